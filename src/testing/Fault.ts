/**
 * Faults by seed: what a busy provider and a bad network do to a program, on purpose and repeatably.
 *
 * A plan decides, call by call, which ones fail and how. `http`, `llm` and `sandbox` play it on a layer, `ReplayServer`
 * on a real socket. The same seed and the same order of calls give the same faults. What waits, waits by the Clock.
 *
 * | kind          | `http`, `httpClient`              | `llm`                                          | `sandbox`                      |
 * | ------------- | --------------------------------- | ---------------------------------------------- | ------------------------------ |
 * | `latency`     | the request is sent late          | the model is asked late                        | created late, run late         |
 * | `refuse`      | no connection (ECONNREFUSED)      | `Unreachable`                                  | create: `Unavailable`          |
 * | `reset`       | ECONNRESET before the headers     | `ConnectionLost`                               | run: `SessionLost` before it   |
 * | `rateLimited` | 429, `Retry-After` of 30 ms       | `RateLimited`                                  | create: `LimitExceeded`        |
 * | `unavailable` | 503, overloaded                   | `Overloaded`                                   | create: `Unavailable`          |
 * | `serverError` | 500                               | `ServerError`                                  | create: `Unavailable` for good |
 * | `silence`     | taken, and never answered         | `FirstContentTimeout`, `AttemptTimeout`        | create: over its time          |
 * | `stall`       | half of the body, then nothing    | `StreamStalled` after contents                 | run: `timedOut`, then lost     |
 * | `cut`         | half of the body, then broken off | `StreamCut` after contents                     | run: `SessionLost` after it    |
 * | `garbage`     | a body that is not the protocol's | `InvalidResponse`                              | run: `SessionLost`, `protocol` |
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { Llm } from "../llm/Llm.ts"
import * as Timeout from "../policy/Timeout.ts"
import { Sandbox } from "../sandbox/Sandbox.ts"
import * as OnHttp from "./internal/faultHttp.ts"
import * as OnLlm from "./internal/faultLlm.ts"
import { type Options, type Plan, SeededPlan } from "./internal/faultPlan.ts"
import * as OnSandbox from "./internal/faultSandbox.ts"

export { allKinds, type Kind, kinds, type Options, type Plan, type Tally } from "./internal/faultPlan.ts"

/**
 * Makes a plan.
 *
 * Kinds are dealt from a shuffled deck that holds each once, so `n` faults of five kinds have each at least
 * `floor(n / 5) - 1` times. A request fails when the share of failed ones would otherwise fall below `rate`, and sometimes
 * by chance, so that the seed moves the faults to other calls. A call never gets one kind twice in a row, because after
 * a timeout a policy re-sends only once.
 */
export const plan = (options: Options = {}): Effect.Effect<Plan> =>
  Effect.map(Random.withSeed(Random.Random, options.seed ?? 1), (random) => new SeededPlan(options, random))

/** The same, at once, for a test without Effect. */
export const planUnsafe = (options: Options = {}): Plan => Effect.runSync(plan(options))

/** How slow is what is slow. */
export interface LatencyOptions {
  /** What `latency` adds. Default: `"2 seconds"`. */
  readonly latency?: Duration.Input | undefined
}

/** How an `Llm` fails. */
export interface LlmOptions extends LatencyOptions {
  /** Contents of a stream that come before `cut` and `stall`, at least 1. Default: `1`. */
  readonly contents?: number | undefined
  /** When `silence` and `stall` are given up: the timeouts of the layer that fails. Defaults: those of `Timeout.Options`. */
  readonly timeout?: Pick<Timeout.Options, "attempt" | "firstContent" | "idleContent"> | undefined
}

const defaultLatency = "2 seconds"

/**
 * Plays a plan on an `HttpClient`, in memory. A logical call is the same method, URL and body; a fault that is not a
 * whole answer of its own (`stall`, `cut`, `garbage`) spoils the real one.
 */
export const httpClient =
  (plan: Plan, { latency = defaultLatency }: LatencyOptions = {}) =>
  (client: HttpClient.HttpClient): HttpClient.HttpClient =>
    OnHttp.over(client, plan, latency)

/** Plays a plan on the `HttpClient` of a layer: below the policy of a model, whose retries then have to hold. */
export const http =
  (plan: Plan, options?: LatencyOptions) =>
  <A, E, R>(layer: Layer.Layer<HttpClient.HttpClient | A, E, R>): Layer.Layer<HttpClient.HttpClient | A, E, R> =>
    update(HttpClient.HttpClient, layer, httpClient(plan, options))

/**
 * Plays a plan on the `Llm` of a layer, above its policy: as a provider that fails after all retries. A logical call is
 * the same model and messages. A broken stream has failed for good, with any `onCut`: taking it up again is the layer's
 * work, below.
 */
export const llm =
  (plan: Plan, { contents = 1, latency = defaultLatency, timeout }: LlmOptions = {}) =>
  <A, E, R>(layer: Layer.Layer<Llm | A, E, R>): Layer.Layer<Llm | A, E, R> => {
    const times = { latency, contents: Math.max(1, contents), timeout: Timeout.make(timeout) }
    return update(Llm, layer, (llm) => OnLlm.over(llm, plan, times))
  }

/**
 * Plays a plan on the `Sandbox` of a layer. Creates and runs are dealt from decks of their own, each with the kinds that
 * can happen to it. A lost session stays lost; the guest below it ends with its scope.
 */
export const sandbox =
  (plan: Plan, { latency = defaultLatency }: LatencyOptions = {}) =>
  <A, E, R>(layer: Layer.Layer<Sandbox | A, E, R>): Layer.Layer<Sandbox | A, E, R> =>
    update(Sandbox, layer, (sandbox) => OnSandbox.over(sandbox, plan, latency))

/** The layer with one of its services changed, and the others as they were. */
const update = <I, S, A, E, R>(
  service: Context.Key<I, S>,
  layer: Layer.Layer<I | A, E, R>,
  change: (service: S) => S
): Layer.Layer<I | A, E, R> =>
  Layer.flatMap(layer, (context) =>
    Layer.succeedContext(Context.add(context, service, change(Context.get(context, service))))
  )
