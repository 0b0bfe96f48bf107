/**
 * Sandbox in E2B's cloud: a virtual machine for each session, with a code interpreter, a shell and files.
 *
 * Over the `HttpClient` in context, without E2B's own packages (protocol: e2b 2.51 and code-interpreter 2.8, 2026-11).
 * Prefer a client over HTTP/1.1: over HTTP/2 a cancelled request does not interrupt the program (e2b-dev/code-interpreter
 * #328), which then costs its context.
 */
import type { ConfigError } from "effect/Config"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Policy from "../policy/Policy.ts"
import { Api, type Listed, seconds } from "./internal/e2bApi.ts"
import { refuse } from "./internal/e2bError.ts"
import { Factory, ownerName } from "./internal/e2bFactory.ts"
import { configured } from "./internal/e2bConfig.ts"
import { Machine } from "./internal/e2bMachine.ts"
import * as E2bSession from "./internal/e2bSession.ts"
import * as Variables from "./internal/e2bVariables.ts"
import { type CreateOptions, type Language, Sandbox, type Session } from "./Sandbox.ts"
import { type SandboxError, UnsupportedLanguage } from "./SandboxError.ts"

export type { Listed } from "./internal/e2bApi.ts"

/** Where E2B is and who calls. */
export interface Access {
  /** `e2b_…`, from https://e2b.dev/dashboard. */
  readonly apiKey: Redacted.Redacted<string>
  /** Default: `"e2b.app"`. */
  readonly domain?: string | undefined
  /** The control plane. Default: `"https://api."` and the domain. */
  readonly apiUrl?: string | undefined
  /** Takes the traffic of all sandboxes. Default: a host for each, below the domain that E2B names for it. */
  readonly sandboxUrl?: string | undefined
  /** How calls hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

/** What is kept of one run or command. */
export interface Limits {
  /** stdout and stderr together; the head is kept and `truncated` set. Default: 1 MiB. */
  readonly outputBytes?: number | undefined
  /** All results. Default: 8 MiB, a few plots. */
  readonly resultBytes?: number | undefined
  /** The code of one run. Default: 1 MiB, more than any model writes. */
  readonly codeBytes?: number | undefined
}

/** How sessions are. */
export interface SessionOptions {
  /** Default: all six that E2B's own template runs. */
  readonly languages?: ReadonlyArray<Language> | undefined
  /**
   * How long a sandbox lives that nobody ends, at most what the account allows (an hour for the smallest). Default:
   * `"30 minutes"`: the scope's close kills it, so this is what a crash of this program costs.
   */
  readonly lifetime?: Duration.Input | undefined
  /**
   * How long a program has to obey, after it was interrupted; then its context is dropped and its variables are lost.
   * Default: `"2 seconds"`.
   */
  readonly grace?: Duration.Input | undefined
  readonly limits?: Limits | undefined
}

export interface Options extends Access, SessionOptions {
  /** Default: `"code-interpreter-v1"`; a template without its interpreter runs commands only. */
  readonly template?: string | undefined
  /** Names and values that E2B keeps with each sandbox. Default: none but a tag of the sandbox's making. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Whether the sandbox reaches the internet. Default: E2B's own, it does. */
  readonly allowInternetAccess?: boolean | undefined
  /**
   * The name under which this program makes its sandboxes. The layer kills what carries it when it is built, so that a
   * crash leaves nothing: no two programs that run at once may have the same. Default: none, `lifetime` ends what is left.
   */
  readonly reapOrphans?: string | undefined
}

const languages: ReadonlyArray<Language> = ["python", "javascript", "typescript", "bash", "r", "java"]
const mebibyte = 1024 * 1024

const open = Effect.fnUntraced(function* ({ policy = Policy.defaults, ...place }: Access) {
  const http = yield* HttpClient.HttpClient
  return new Api({ place, http, held: yield* Policy.hold(policy) })
})

const limitsOf = ({ codeBytes = mebibyte, outputBytes = mebibyte, resultBytes = 8 * mebibyte }: Limits = {}) => ({
  codeBytes,
  outputBytes,
  resultBytes
})

const isolationOf = (allowInternetAccess: boolean | undefined) =>
  ({
    engine: "e2b",
    process: "remote",
    os: "remote",
    network: allowInternetAccess === false ? "none" : "remote"
  }) as const

const lifetimeOf = (lifetime: Duration.Input | undefined, options: SessionOptions): Duration.Duration =>
  Duration.fromInputUnsafe(lifetime ?? options.lifetime ?? "30 minutes")

const graceOf = ({ grace = "2 seconds" }: SessionOptions): Duration.Duration => Duration.fromInputUnsafe(grace)

/** Makes the service over the `HttpClient` in context. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Sandbox["Service"], SandboxError, HttpClient.HttpClient | Scope.Scope> {
  const api = yield* open(options)
  const { allowInternetAccess, reapOrphans, template = "code-interpreter-v1" } = options
  const owner = reapOrphans === undefined ? undefined : { [ownerName]: reapOrphans }
  const factory = new Factory(api, { ...options.metadata, ...owner }, yield* Effect.scope)
  yield* Effect.addFinalizer(() => factory.close)
  if (reapOrphans !== undefined) yield* factory.orphans(reapOrphans)
  const supported = options.languages ?? languages

  const create = Effect.fn("E2bSandbox.create")(function* (request: CreateOptions = {}) {
    const { createTimeout = "30 seconds", cwd, language = "python", userId } = request
    if (!supported.includes(language))
      return yield* Effect.fail(refuse(new UnsupportedLanguage({ language, supported })))
    const variables = yield* Effect.mapError(Effect.fromResult(Variables.checked(request.env ?? {})), refuse)
    const { plain, special } = Variables.split(variables)
    const wanted = { template, lifetime: lifetimeOf(request.lifetime, options), env: plain, allowInternetAccess }
    const within = Duration.fromInputUnsafe(createTimeout)
    const scope = yield* Effect.scope
    const current: { machine: Machine | undefined } = { machine: undefined }
    const making = Effect.uninterruptibleMask((restore) =>
      Effect.tap(factory.make(wanted, within, restore), (made) => {
        current.machine = made
        // A scope that has closed meanwhile kills nothing any more.
        return scope.state._tag === "Closed" ? factory.kill(made) : Effect.void
      })
    )
    yield* Effect.addFinalizer(() => (current.machine === undefined ? Effect.void : factory.kill(current.machine)))
    const machine = yield* making
    const parts = { userId, language, languages: supported, env: special, cwd, machine, scope }
    // Another machine takes its place.
    const replace = (old: Machine) => Effect.andThen(factory.kill(old), making)
    const isolation = isolationOf(allowInternetAccess)
    return E2bSession.make({ ...parts, replace, isolation, limits: limitsOf(options.limits), grace: graceOf(options) })
  })
  return Sandbox.of({ create })
})

/**
 * `Sandbox` over the `HttpClient` in context. Closing a session's scope kills its machine. `layer(options)` has slots of
 * its own at each call: keep it in a constant.
 */
export const layer = (options: Options): Layer.Layer<Sandbox, SandboxError, HttpClient.HttpClient> =>
  Layer.effect(Sandbox, make(options))

/**
 * The same with the key and the addresses from `E2B_API_KEY`, `E2B_DOMAIN`, `E2B_API_URL` and `E2B_SANDBOX_URL`, where
 * the options do not say them. The variable's key is never sent to an address of the options.
 */
export const layerConfig = (
  options: Omit<Options, "apiKey"> & Partial<Pick<Options, "apiKey">> = {}
): Layer.Layer<Sandbox, ConfigError | SandboxError, HttpClient.HttpClient> =>
  Layer.effect(Sandbox, Effect.flatMap(configured(options), make))

/** A filter for `list`. */
export interface Filter {
  /** Sandboxes that carry all of it. Default: all of the account's. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** The account's sandboxes, running and paused. */
export const list = (
  access: Access,
  { metadata = {} }: Filter = {}
): Effect.Effect<ReadonlyArray<Listed>, SandboxError, HttpClient.HttpClient> =>
  Effect.scoped(Effect.flatMap(open(access), (api) => api.list(metadata)))

/** Kills a sandbox by its id; gives whether there was one. */
export const kill = (access: Access, id: string): Effect.Effect<boolean, SandboxError, HttpClient.HttpClient> =>
  Effect.scoped(Effect.flatMap(open(access), (api) => api.kill(id)))

/** Pauses a sandbox with its memory and files, until `connect` resumes it; gives whether it was running. */
export const pause = (access: Access, id: string): Effect.Effect<boolean, SandboxError, HttpClient.HttpClient> =>
  Effect.scoped(Effect.flatMap(open(access), (api) => api.pause(id)))

/** How to take up a sandbox that is there. */
export interface ConnectOptions extends Access, SessionOptions, Pick<CreateOptions, "language" | "cwd" | "userId"> {}

/**
 * A session on a sandbox that is there: one that runs, or a paused one, which is resumed. Its lifetime becomes no shorter
 * than `lifetime`. Closing the scope leaves it running; `reset` is `Unsupported`.
 */
export const connect = Effect.fn("E2bSandbox.connect")(function* (
  options: ConnectOptions,
  id: string
): Effect.fn.Return<Session, SandboxError, HttpClient.HttpClient | Scope.Scope> {
  const api = yield* open(options)
  const lifetime = lifetimeOf(undefined, options)
  const now = yield* Clock.currentTimeMillis
  const machine = new Machine(api, yield* api.connect(id, lifetime), now + seconds(lifetime) * 1000)
  const { cwd, language = "python", userId } = options
  const parts = { userId, language, languages: options.languages ?? languages, env: {}, cwd, machine }
  const isolation = isolationOf(undefined)
  const limits = limitsOf(options.limits)
  return E2bSession.make({
    ...parts,
    isolation,
    limits,
    grace: graceOf(options),
    replace: undefined,
    scope: yield* Effect.scope
  })
})
