/**
 * Sandbox behind a plain code interpreter's REST service. A server needs three endpoints, with JSON in both directions:
 *
 * ```text
 * POST   /sandboxes               { "runtime": "python" }  → { "id": "s1" }
 * POST   /sandboxes/{id}/execute  { "code": "print(42)" }  → { "stdout": "42\n", "stderr": "", "exitCode": 0 }
 * DELETE /sandboxes/{id}
 * ```
 *
 * More fields are sent only where they are asked for: `env`, `cwd` and `lifetimeMillis` at a create; `language` (another
 * one than the sandbox's), `env`, `cwd`, `context` and `timeoutMillis` at an execute. A create carries an
 * `idempotency-key`. Whatever else a server has it says in its create's answer: `features`, with any of `"timeout"`,
 * `"interrupt"`, `"contexts"`, `"lifetime"`, `"commands"` and `"files"`, and `languages`; or the options say it. The
 * protocol as a whole is in docs/services/sandbox-rest.md; `SandboxServer` of `holdfast/testing` speaks it.
 *
 * Answers are read leniently: `output` is `stdout`, `exit_code` is `exitCode`, an `error` may be a text. A run may be
 * answered line by line (`application/x-ndjson`), then its output streams.
 */
import type { ConfigError } from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as UrlParams from "effect/http/UrlParams"
import * as Policy from "../policy/Policy.ts"
import { defaultPaths, type Paths, RestApi } from "./internal/restApi.ts"
import { access } from "./internal/restConfig.ts"
import type { Feature } from "./internal/restDecode.ts"
import { Machines } from "./internal/restMachines.ts"
import { RestSession } from "./internal/restSession.ts"
import { type Language, Sandbox } from "./Sandbox.ts"
import { SandboxError, UnsupportedLanguage } from "./SandboxError.ts"

export type { Feature, Paths }

export interface Options {
  /** The service's address, without `/sandboxes`. */
  readonly baseUrl: string
  /** Sent as `authorization: Bearer …`, or as `keyHeader` says. Default: no key. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** The header that has the key alone, e.g. `"x-api-key"`. Default: `authorization`, with `Bearer` before the key. */
  readonly keyHeader?: string | undefined
  /** Headers of each request. Default: none. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted<string>>> | undefined
  /** Where the endpoints are below `baseUrl`; `{id}` stands for the sandbox's. Default: as above. */
  readonly paths?: Partial<Paths> | undefined
  /** The languages of each sandbox. Default: what the server says, or else the one that it was made for. */
  readonly languages?: ReadonlyArray<Language> | undefined
  /** What the server calls a language, e.g. `{ python: "python3.13" }`. Default: its name. */
  readonly runtimes?: Partial<Readonly<Record<Language, string>>> | undefined
  /** What the server has beside `execute`. Default: what its create's answer says, or else nothing. */
  readonly features?: ReadonlyArray<Feature> | undefined
  /** How long a run may go on after it was asked to stop, before its sandbox is deleted. Default: `"2 seconds"`. */
  readonly grace?: Duration.Input | undefined
  /** The name in errors. Default: `"rest"`. */
  readonly provider?: string | undefined
  /** How calls hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

/** What `layerConfig` is told; an address that it is not told is `HOLDFAST_SANDBOX_URL`. */
export type ConfigOptions = Omit<Options, "baseUrl"> & Partial<Pick<Options, "baseUrl">>

const keyOf = ({ apiKey, keyHeader }: Options): Record<string, Redacted.Redacted<string>> => {
  if (apiKey === undefined) return {}
  if (keyHeader !== undefined) return { [keyHeader]: apiKey }
  return { authorization: Redacted.make(`Bearer ${Redacted.value(apiKey)}`) }
}

/** The paths, each with its own word or the default; those of a sandbox may be left out together with its features. */
const pathsOf = (paths: Options["paths"]): Paths => ({ ...defaultPaths, ...paths })

const make = Effect.fnUntraced(function* (options: Options) {
  const { features, languages, policy = Policy.defaults, provider = "rest", runtimes } = options
  const baseUrl = options.baseUrl.replace(/\/+$/, "")
  const http = yield* HttpClient.HttpClient
  const held = yield* Policy.hold(policy)
  const headers = { ...keyOf(options), ...options.headers }
  const key = `${provider} ${UrlParams.redactUrl(baseUrl)}`
  const api = new RestApi({ provider, key, baseUrl, headers, paths: pathsOf(options.paths), held, http })
  // After the policy, so that what is still to be deleted is deleted before it closes.
  const machines = yield* Machines.make(provider, api)
  const grace = Duration.fromInputUnsafe(options.grace ?? "2 seconds")
  const runtimeOf = (language: Language): string => runtimes?.[language] ?? language
  return Sandbox.of({
    create: Effect.fn("RestSandbox.create")(function* (created = {}) {
      const { createTimeout = "30 seconds", language = "python" } = created
      if (languages !== undefined && !languages.includes(language)) {
        const reason = new UnsupportedLanguage({ language, supported: languages })
        return yield* new SandboxError({ provider, reason })
      }
      const scope = yield* Scope.Scope
      const createTotal = Duration.fromInputUnsafe(createTimeout)
      return yield* RestSession.make({
        machines,
        created,
        features,
        languages,
        runtimeOf,
        grace,
        createTotal,
        scope
      })
    })
  })
})

/**
 * `Sandbox` over the `HttpClient` in context. Each session is a sandbox on the server, deleted when its scope closes, on
 * failure and interruption too, also when the create was given up half-way. `layer(options)` has slots of its own at each
 * call: keep it in a constant.
 */
export const layer = (options: Options): Layer.Layer<Sandbox, never, HttpClient.HttpClient> =>
  Layer.effect(Sandbox, make(options))

/**
 * The same with the address and the key from `HOLDFAST_SANDBOX_URL` and `HOLDFAST_SANDBOX_API_KEY`, where the options do
 * not say them. The variable's key goes to the variable's address, never to a `baseUrl` of the options.
 */
export const layerConfig = (options: ConfigOptions = {}): Layer.Layer<Sandbox, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Sandbox, Effect.flatMap(access(options), make))
