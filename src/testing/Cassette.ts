/**
 * What a live endpoint said, kept in a file and said again without the network: a layer over Effect's `HttpClient`, below
 * every provider, embedder and policy, or a server on loopback for programs that take a base URL.
 *
 * Kept are the frames of each body with their times, how each ended, and the connections that broke. Secrets are
 * replaced before anything is written. Put it directly over the transport: what a policy above tries again is recorded
 * and replayed attempt by attempt.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import { EncodeError, HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as SecretHeaders from "../http/SecretHeaders.ts"
import * as UndiciHttpClient from "../http/UndiciHttpClient.ts"
import { CassetteError } from "./internal/cassetteError.ts"
import * as File from "./internal/cassetteFile.ts"
import type { RequestRecord } from "./internal/cassetteFormat.ts"
import { Deck } from "./internal/cassetteMatch.ts"
import { Recording } from "./internal/cassetteRecord.ts"
import { replay as replayExchange } from "./internal/cassetteReplay.ts"
import { type Asked, ask, recordOf } from "./internal/cassetteRequest.ts"
import { type Names, redactRequest, Secrets } from "./internal/cassetteSecrets.ts"
import { listen } from "./internal/cassetteServer.ts"

export { CassetteError, type Reason } from "./internal/cassetteError.ts"
export type { RequestRecord } from "./internal/cassetteFormat.ts"

/**
 * What a cassette does.
 *
 * - `replay`: answers from the file; the network is denied.
 * - `record`: asks the endpoint, and replaces the file when the scope closes.
 * - `auto`: answers from the file, and asks the endpoint for what is not in it.
 */
export type Mode = "replay" | "record" | "auto"

/** Which values are secret beside the usual headers and URL parameters (`SecretHeaders`), tokens and cookies. */
export interface Redaction {
  /** Names of headers, URL parameters and JSON fields, in any case. Default: none. */
  readonly names?: ReadonlyArray<string> | undefined
  /** Texts that must not be in the file. Default: none. */
  readonly values?: ReadonlyArray<string | Redacted.Redacted<string>> | undefined
}

export interface ReplayOptions {
  /** The file, from the working directory. */
  readonly path: string
  /**
   * How answers are timed: at once, as recorded, or by a factor of that (`0.1` is ten times as fast). By Effect's Clock.
   * Default: `"none"`.
   */
  readonly timing?: "none" | "recorded" | number | undefined
  /**
   * Fields in which a request may differ, as a stale cassette names them: `"origin"`, `"query.page"`,
   * `"body.messages[*].id"`. Default: none.
   */
  readonly ignore?: ReadonlyArray<string> | undefined
  /** Request headers that are kept and must be equal too. Default: none. */
  readonly headers?: ReadonlyArray<string> | undefined
  /** Decides in place of the comparison by fields. Default: method, URL and body are equal. */
  readonly match?: ((asked: RequestRecord, recorded: RequestRecord) => boolean) | undefined
  /**
   * Whether a request that is asked more often than it was recorded gets its last answer again. Default: `false`: it
   * fails.
   */
  readonly repeat?: boolean | undefined
  /** The largest file, recording or request body. Default: 16 MiB, as much as a review will bear. */
  readonly maxBytes?: number | undefined
  readonly redact?: Redaction | undefined
}

export interface Options extends ReplayOptions {
  /** Default: `"replay"`. */
  readonly mode?: Mode | undefined
}

export interface ServeOptions extends Options {
  /** The base URL of the endpoint that the server stands for, e.g. `"https://api.openai.com/v1"`. */
  readonly target: string
  /** Default: a free one. */
  readonly port?: number | undefined
}

/** A cassette behind a URL. */
export interface Server extends AsyncDisposable {
  /** The base URL to give to a client, e.g. `"http://127.0.0.1:40123"`. */
  readonly url: string
  /** Closes the server and saves what was recorded; rejects when that cannot be saved. */
  readonly close: () => Promise<void>
}

const defaultMaxBytes = 16 * 1024 * 1024

/**
 * The `HttpClient` below, recorded or replayed. A recording is saved when the scope closes, unless it was interrupted or
 * died: then the old file stays. Fails with `CassetteError` when the file cannot be used.
 */
export const layer = (options: Options): Layer.Layer<HttpClient.HttpClient, CassetteError, HttpClient.HttpClient> =>
  provided(Effect.flatMap(HttpClient.HttpClient, (below) => open(options, below)))

/** An `HttpClient` that answers from the file alone: there is no network below it. */
export const replay = (options: ReplayOptions): Layer.Layer<HttpClient.HttpClient, CassetteError> =>
  provided(open({ ...options, mode: "replay" }, undefined))

const provided = <R>(
  client: Effect.Effect<HttpClient.HttpClient, CassetteError, R | Scope.Scope>
): Layer.Layer<HttpClient.HttpClient, CassetteError, Exclude<R, Scope.Scope>> =>
  Layer.merge(Layer.effect(HttpClient.HttpClient, client), SecretHeaders.layer)

/**
 * Starts a server on loopback that answers as the endpoint `target` did, for promise clients and other languages: give
 * its `url` as their base URL. Rejects with `CassetteError` when the file cannot be used.
 */
export const serve = async (options: ServeOptions): Promise<Server> => {
  const { maxBytes = defaultMaxBytes, port = 0, target } = options
  if (!/^https?:$/.test(URL.parse(target)?.protocol ?? "")) {
    throw new TypeError(`Cassette: target ${JSON.stringify(target)} is not an http(s) URL`)
  }
  const scope = Scope.makeUnsafe()
  const opening = Effect.gen(function* () {
    const isReplay = (options.mode ?? "replay") === "replay"
    const below = isReplay ? undefined : yield* UndiciHttpClient.make()
    return yield* listen(yield* open(options, below), target, port, maxBytes)
  })
  const close = (exit: Exit.Exit<unknown, unknown> = Exit.void): Promise<void> =>
    Effect.runPromise(Scope.close(scope, exit))
  const opened = await Effect.runPromiseExit(Scope.provide(opening, scope))
  if (Exit.isFailure(opened)) {
    await close(opened)
    throw Cause.squash(opened.cause)
  }
  let closing: Promise<void> | undefined
  const closeOnce = (): Promise<void> => (closing ??= close())
  return { url: opened.value, close: closeOnce, [Symbol.asyncDispose]: closeOnce }
}

const paceOf = (timing: ReplayOptions["timing"] = "none"): number => {
  if (timing === "none") return 0
  if (timing === "recorded") return 1
  if (timing >= 0 && timing < Infinity) return timing
  throw new TypeError(`Cassette: timing ${timing} is not a factor of at least 0`)
}

/** What the program around calls secret, at the time of a request. */
const namesOf = (fiber: Fiber.Fiber<unknown, unknown>, redact: Redaction | undefined): Names => ({
  headers: fiber.getRef(Headers.CurrentRedactedNames),
  parameters: fiber.getRef(UrlParams.CurrentRedactedNames),
  own: redact?.names ?? []
})

/** A request that never leaves: no policy sends it again. */
const refused = (request: HttpClientRequest, cause: CassetteError): HttpClientError =>
  new HttpClientError({ reason: new EncodeError({ request, cause, description: cause.message }) })

const open = Effect.fnUntraced(function* (
  options: Options,
  below: HttpClient.HttpClient | undefined
): Effect.fn.Return<HttpClient.HttpClient, CassetteError, Scope.Scope> {
  const { headers = [], ignore = [], match, maxBytes = defaultMaxBytes, path, repeat = false } = options
  const mode = below === undefined ? "replay" : (options.mode ?? "replay")
  const pace = paceOf(options.timing)
  const exchanges = mode === "record" ? undefined : yield* File.load(path, maxBytes)
  if (mode === "replay" && exchanges === undefined) {
    const description = `does not exist: record it with mode "record"`
    return yield* new CassetteError({ path, reason: "missing", description })
  }
  const deck = new Deck(exchanges ?? [], { headers, ignore, match }, repeat)
  const recording = mode === "replay" ? undefined : yield* record(options, exchanges ?? [])

  const answer = (request: HttpClientRequest): Effect.Effect<HttpClientResponse, HttpClientError> =>
    Effect.withFiber((fiber) =>
      Effect.flatMap(ask(request, maxBytes), (asked) => {
        const found = deck.take(recordOf(asked, headers))
        if (found !== undefined) return replayExchange(found, request, asked.url.href, pace)
        const names = namesOf(fiber, options.redact)
        return below === undefined || recording === undefined
          ? Effect.fail(refused(request, unmatched(options, deck, asked, names)))
          : recording.send(below, asked, names, fiber.getRef(Clock.Clock))
      })
    )
  return HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(
    Effect.flatMap(answer),
    below?.preprocess ?? ((request) => Effect.succeed(request))
  )
})

/** The message shows what was asked, so its secrets are replaced before anything is cut to length. */
const unmatched = ({ headers = [], path, redact }: Options, deck: Deck, asked: Asked, names: Names): CassetteError => {
  const secrets = new Secrets(names.own, redact?.values ?? [])
  secrets.learn(asked, names)
  const description = deck.explain(redactRequest(asked, headers, names, secrets.redactor()))
  return new CassetteError({ path, reason: "unmatched", description })
}

/** Begins a recording that is saved behind `before` when the scope closes. */
const record = Effect.fnUntraced(function* (
  { headers = [], maxBytes = defaultMaxBytes, path, redact }: Options,
  before: Parameters<typeof File.save>[1]
): Effect.fn.Return<Recording, CassetteError, Scope.Scope> {
  yield* File.prepare(path)
  const secrets = new Secrets(redact?.names ?? [], redact?.values ?? [])
  const description = `would be over ${maxBytes} bytes, and nothing of it is saved: raise \`maxBytes\``
  const recording = new Recording(secrets, headers, maxBytes, (request) =>
    refused(request, new CassetteError({ path, reason: "tooLarge", description }))
  )
  yield* Effect.addFinalizer((exit) =>
    recording.isEmpty || recording.isTooLarge || isBroken(exit)
      ? Effect.void
      : // A scope's close has no error of its own; silence would be a stale file.
        Effect.orDie(Effect.suspend(() => File.save(path, [...before, ...recording.finish()], maxBytes)))
  )
  return recording
})

/** A program that was stopped or crashed has not said all that belongs into its recording; one that failed has. */
const isBroken = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && (Cause.hasInterrupts(exit.cause) || Cause.hasDies(exit.cause))
