/** Faults on an `Llm`: what is left of them when a layer's own policy has given up. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { collect, collected, type Llm, type Request, type StreamEvent } from "../../llm/Llm.ts"
import {
  ConnectionLost,
  FirstContentTimeout,
  InvalidResponse,
  LlmError,
  Overloaded,
  RateLimited,
  type Reason,
  ServerError,
  StreamCut,
  StreamStalled,
  Unreachable
} from "../../llm/LlmError.ts"
import { AttemptTimeout } from "../../policy/PolicyError.ts"
import type { Timeout } from "../../policy/Timeout.ts"
import { allKinds, type Kind, type Plan } from "./faultPlan.ts"

/** How long what is slow takes, and where a stream breaks. */
export interface Times {
  readonly latency: Duration.Input
  readonly contents: number
  readonly timeout: Timeout
}

/** The model, with what the plan deals. */
export const over = (llm: Llm["Service"], plan: Plan, times: Times): Llm["Service"] => ({
  generateText: (request) =>
    Effect.suspend(() => {
      const key = callKey(request)
      const answered = Effect.tap(llm.generateText(request), () => Effect.sync(() => plan.answeredUnsafe(key)))
      const kind = plan.dealUnsafe(key, allKinds)
      if (kind === undefined) return answered
      return kind === "latency" ? Effect.delay(answered, times.latency) : refusal(kind, times, false)
    }),
  streamText: (request) =>
    Stream.suspend(() => {
      const key = callKey(request)
      const stream = llm.streamText(request)
      const answered = Stream.tap(stream, ({ type }) =>
        Effect.sync(() => {
          if (type === "finish") plan.answeredUnsafe(key)
        })
      )
      const kind = plan.dealUnsafe(key, allKinds)
      if (kind === undefined) return answered
      if (kind === "latency") return Stream.unwrap(Effect.delay(Effect.succeed(answered), times.latency))
      if (kind === "cut" || kind === "stall") return broken(kind, stream, times)
      return Stream.fromEffect(refusal(kind, times, true))
    })
})

/** One logical call: the same model and conversation, however it is sent again. Of bytes, their number is enough. */
const callKey = ({ messages, model }: Request): string =>
  JSON.stringify([model, messages], (_, value: unknown) => (value instanceof Uint8Array ? value.byteLength : value))

/** A stream that breaks after some contents, before its finish at the latest. */
const broken = (
  kind: "cut" | "stall",
  stream: Stream.Stream<StreamEvent, LlmError>,
  { contents, timeout }: Times
): Stream.Stream<StreamEvent, LlmError> =>
  Stream.suspend(() => {
    let said = collected
    const beginning = stream.pipe(
      Stream.takeWhile(({ type }) => type !== "finish"),
      Stream.take(contents),
      Stream.tap((event) =>
        Effect.sync(() => {
          said = collect(said, event)
        })
      )
    )
    const end = Effect.suspend(() =>
      kind === "cut"
        ? fail(0, new StreamCut({ description: "injected fault: the connection broke", partial: said.text }))
        : fail(
            timeout.idleContentMillis,
            new StreamStalled({ timeoutMillis: timeout.idleContentMillis, partial: said.text })
          )
    )
    return Stream.concat(beginning, Stream.fromEffect(end))
  })

/** A call that fails before anything of its answer is told. */
const refusal = (kind: Exclude<Kind, "latency">, times: Times, isStream: boolean): Effect.Effect<never, LlmError> => {
  const { attemptMillis, firstContentMillis } = times.timeout
  switch (kind) {
    case "rateLimited":
      return fail(0, new RateLimited({ description: said("too many requests"), status: 429, retryAfter }))
    case "unavailable":
      return fail(0, new Overloaded({ description: said("overloaded"), status: 503 }))
    case "serverError":
      return fail(0, new ServerError({ description: said("internal error"), status: 500 }))
    case "refuse":
      return fail(0, new Unreachable({ description: said("the connection was refused") }))
    case "reset":
    case "cut":
      return fail(0, new ConnectionLost({ description: said(`the connection was ${kind}`) }))
    case "garbage":
      return fail(0, new InvalidResponse({ description: said("not JSON") }))
    case "silence":
    case "stall":
      return isStream
        ? fail(firstContentMillis, new FirstContentTimeout({ timeoutMillis: firstContentMillis }))
        : fail(attemptMillis, new AttemptTimeout({ key: provider, timeoutMillis: attemptMillis }))
  }
}

const provider = "fault"
const said = (what: string): string => `injected fault: ${what}`
// As `httpClient` says it: short, so that a run with faults stays quick.
const retryAfter = Duration.millis(30)

/** Fails after `millis` of the clock, with the one attempt that it was. */
const fail = (millis: number, reason: Reason): Effect.Effect<never, LlmError> =>
  Effect.flatMap(Clock.currentTimeMillis, (startMillis) => {
    const attempt = {
      endpoint: provider,
      startMillis,
      durationMillis: millis,
      outcome: reason._tag,
      phase: reason.phase,
      waitMillis: 0,
      waitCause: "none",
      queuedMillis: 0
    } as const
    return Effect.andThen(
      Effect.sleep(Duration.millis(millis)),
      Effect.fail(new LlmError({ provider, reason, attempts: [attempt] }))
    )
  })
