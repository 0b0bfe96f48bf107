/** Ask more than a minute allows: at most five requests and 1 000 tokens a minute, the rest waits for its turn. */
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { RateLimit } from "holdfast/policy"

interface Answer {
  readonly usage: { readonly totalTokens: number }
}

// Stands for a call of a model. It uses half of the tokens that were reserved for it.
const ask: Effect.Effect<Answer> = Effect.delay(Effect.succeed({ usage: { totalTokens: 200 } }), "3 seconds")

const program = Effect.gen(function* () {
  const limit = yield* RateLimit.make({ requestsPerMinute: 5, tokensPerMinute: 1000 })

  const call = (name: string) =>
    ask.pipe(
      RateLimit.withLimit(limit, {
        key: "openai gpt",
        tokens: 400,
        tokensOf: ({ usage }: Answer) => usage.totalTokens
      }),
      Effect.andThen(Effect.clockWith((clock) => clock.currentTimeMillis)),
      Effect.map((now) => console.log(`${name} is answered after ${Math.floor(now / 1000)} s`))
    )

  const all = yield* Effect.forkChild(
    Effect.forEach(["a", "b", "c", "d", "e", "f"], call, { concurrency: "unbounded" })
  )
  // Virtual time: three minutes pass at once.
  yield* TestClock.adjust("3 minutes")
  yield* Fiber.join(all)
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, TestClock.layer())))
// Output:
// a is answered after 3 s
// b is answered after 3 s
// c is answered after 6 s
// d is answered after 9 s
// e is answered after 63 s
// f is answered after 66 s
