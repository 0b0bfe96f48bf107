import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Option, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Policy, Tracing } from "holdfast/policy"

class Refused extends Error {
  readonly _tag = "Refused"
  readonly isRetryable = true
  readonly phase = "rejected"
}

/** Two attempts below one span, and what the spans tell. */
const attempts = Effect.gen(function* () {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const held = yield* Policy.open(Policy.make({ retry: { retries: 1, base: "1 second", jitter: "none" } }))
  const call = held.apply({ key: "https://me:secret@db.example.com", safety: "idempotent" })
  const work = Effect.flatMap(Effect.currentSpan, (span) => Effect.fail(new Refused(`not for ${span.name}`)))
  const running = yield* call(work).pipe(
    Effect.ignore,
    Effect.withSpan("work"),
    Effect.withTracer(tracer),
    Effect.forkChild
  )
  yield* TestClock.adjust("1 second")
  yield* Fiber.join(running)
  return spans
}).pipe(Effect.scoped)

const failureOf = ({ status }: Tracer.NativeSpan): string =>
  status._tag === "Ended" && status.exit._tag === "Failure" ? Cause.pretty(status.exit.cause) : ""

describe("Tracing", () => {
  it.effect("makes a span for each attempt, below the span around the call and around the work", () =>
    Effect.gen(function* () {
      const [call, first, second] = yield* attempts
      assert.deepStrictEqual(
        [first, second].map((span) => span?.name),
        ["Policy.attempt", "Policy.attempt"]
      )
      for (const span of [first, second]) {
        assert.strictEqual(Option.getOrUndefined(span?.parent ?? Option.none())?.spanId, call?.spanId)
      }
      assert.deepStrictEqual(
        [first, second].map((span) => Object.fromEntries(span?.attributes ?? [])),
        [
          { "holdfast.attempt.number": 1, "holdfast.endpoint": "https://db.example.com", "error.type": "Refused" },
          {
            "holdfast.attempt.number": 2,
            "holdfast.endpoint": "https://db.example.com",
            "holdfast.wait.cause": "backoff",
            "holdfast.wait.millis": 1000,
            "error.type": "Refused"
          }
        ]
      )
    })
  )

  it.effect("tells of a failure its tag, and its words only where content is recorded", () =>
    Effect.gen(function* () {
      const [, tagged] = yield* attempts
      assert.include(tagged && failureOf(tagged), "Refused")
      assert.notInclude(tagged && failureOf(tagged), "not for")
      const [, worded] = yield* Effect.provideService(attempts, Tracing.RecordContent, true)
      assert.include(worded && failureOf(worded), "not for Policy.attempt")
    })
  )
})
