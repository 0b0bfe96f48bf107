/** A pool under random calls: each ends with an answer or a story, and nothing stays counted. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Llm, LlmError, LlmPool } from "holdfast/llm"
import { type Attempt, PolicyError } from "holdfast/policy"
import { TestLlm } from "holdfast/testing"

const attempt = (endpoint: string, outcome: string): Attempt.Attempt => ({
  endpoint,
  outcome,
  startMillis: 0,
  durationMillis: 0,
  waitMillis: 0,
  waitCause: "none",
  queuedMillis: 0
})

const description = "at random"
const reasons = (seconds: number): ReadonlyArray<LlmError.Reason> => [
  new LlmError.RateLimited({ description, retryAfter: Duration.seconds(seconds) }),
  new LlmError.Overloaded({ description }),
  new LlmError.QuotaExhausted({ description }),
  new LlmError.Unauthorized({ description, status: 401 }),
  new LlmError.Unreachable({ description }),
  new LlmError.ServerError({ description, status: 500 }),
  new LlmError.FirstContentTimeout({ timeoutMillis: 1 }),
  new LlmError.InvalidRequest({ description }),
  new LlmError.ContextLengthExceeded({ description }),
  new PolicyError.CircuitOpen({ key: "k", retryAfter: Duration.seconds(seconds) }),
  new PolicyError.Shed({ key: "k", waiting: 1 })
]

/** Nobody else can help with these. */
const final = ["InvalidRequest", "ContextLengthExceeded"]

/** Members that do anything, until they only hang. */
class World {
  readonly weights: ReadonlyArray<number>
  readonly hanging = new Map<string, number>()
  isHanging = false

  constructor(weights: ReadonlyArray<number>) {
    this.weights = weights
  }

  get members(): ReadonlyArray<LlmPool.Member> {
    return this.weights.map((weight, index) => ({
      name: `m${index}`,
      weight,
      llm: this.llmOf(`m${index}`)
    }))
  }

  private llmOf(name: string): LlmPool.Member["llm"] {
    const plain = TestLlm.layer(() => this.reply(name))
    // Some streams break after their first content.
    return Layer.effect(
      Llm.Llm,
      Effect.map(Llm.Llm, (llm) => ({
        generateText: llm.generateText,
        streamText: (request: Llm.Request) =>
          Stream.mapEffect(llm.streamText(request), (event) =>
            Effect.flatMap(Random.next, (dice) =>
              event.type === "finish" && dice < 0.2 ? Effect.fail(this.failure(name, cut)) : Effect.succeed(event)
            )
          )
      }))
    ).pipe(Layer.provide(plain))
  }

  private failure(name: string, reason: LlmError.Reason): LlmError.LlmError {
    return new LlmError.LlmError({ provider: name, reason, attempts: [attempt(name, reason._tag)] })
  }

  private reply(name: string): Effect.Effect<TestLlm.Reply, LlmError.LlmError> {
    return Effect.gen({ self: this }, function* () {
      if (this.isHanging) {
        this.hanging.set(name, (this.hanging.get(name) ?? 0) + 1)
        return yield* Effect.never
      }
      if (yield* Random.nextBoolean) yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(0, 3_000)))
      const dice = yield* Random.next
      if (dice < 0.04) return yield* Effect.die("a bug")
      if (dice < 0.55) return { text: name, attempts: [attempt(name, "ok")] }
      const all = reasons(yield* Random.nextIntBetween(1, 40))
      const reason = all[yield* Random.nextIntBetween(0, all.length - 1)]
      return yield* Effect.fail(this.failure(name, reason ?? cut))
    })
  }
}

const cut = new LlmError.StreamCut({ description, partial: "m" })

/** One call: what it ends with keeps the promises. */
const call = (members: number) =>
  Effect.gen(function* () {
    const check = (by: string | undefined, text: string, attempts: ReadonlyArray<Attempt.Attempt>) => {
      const asked = attempts.map(({ endpoint }) => endpoint)
      assert.isAtLeast(asked.length, 1)
      assert.isAtMost(asked.length, members)
      assert.strictEqual(new Set(asked).size, asked.length, "each is asked once at most")
      assert.strictEqual(by ?? asked.at(-1), asked.at(-1))
      if (by !== undefined) assert.strictEqual(text, by)
    }
    const isStream = yield* Random.nextBoolean
    const asked = isStream
      ? Effect.map(
          Stream.runFold(Llm.streamText("hi"), () => Llm.collected, Llm.collect),
          ({ finish, text }) => [finish?.servedBy ?? "nobody", text, finish?.attempts ?? []] as const
        )
      : Effect.map(
          Llm.generateText("hi"),
          ({ attempts, servedBy = "nobody", text }) => [servedBy, text, attempts] as const
        )
    const leaves = (yield* Random.next) < 0.2
    const exit = yield* Effect.exit(leaves ? Effect.timeoutOption(asked, "1 second") : Effect.asSome(asked))
    if (Exit.isSuccess(exit)) {
      if (exit.value._tag === "Some") check(...exit.value.value)
      return
    }
    const error = Exit.findErrorOption(exit)
    if (error._tag === "Some") {
      check(undefined, "", error.value.attempts)
      const last = error.value.attempts.at(-1)
      assert.strictEqual(last?.outcome, error.value.code)
      const before = error.value.attempts.slice(0, -1)
      for (const { outcome } of before) assert.notInclude(final, outcome)
    }
  })

describe("LlmPool", () => {
  for (let seed = 1; seed <= 25; seed++) {
    it.effect(`answers or tells the story of every call, and counts none that is over (seed ${seed})`, () =>
      Effect.gen(function* () {
        const size = yield* Random.nextIntBetween(1, 5)
        const weights = yield* Effect.replicateEffect(Random.nextIntBetween(1, 4), size)
        const world = new World(weights)
        const pool = yield* Layer.build(LlmPool.layer(world.members))
        const fibers: Array<Fiber.Fiber<void>> = []
        for (let n = 0; n < 60; n++) {
          fibers.push(yield* Effect.forkChild(Effect.provide(call(size), pool)))
          if ((yield* Random.next) < 0.15) {
            const victim = fibers[yield* Random.nextIntBetween(0, fibers.length - 1)]
            if (victim !== undefined) yield* Fiber.interrupt(victim)
          }
          yield* TestClock.adjust(Duration.millis(yield* Random.nextIntBetween(0, 400)))
        }
        yield* TestClock.adjust("1 minute")
        for (const fiber of fibers) {
          const exit = yield* Fiber.await(fiber)
          if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit)) return yield* exit
        }

        // When nothing is in flight and nobody is skipped, as many calls as all weights together leave each its weight.
        yield* TestClock.adjust("1 hour")
        world.isHanging = true
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const last = yield* Effect.forkChild(
          Effect.provide(
            Effect.all(
              Array.from({ length: total }, () => Llm.generateText("hi")),
              { concurrency: total }
            ),
            pool
          )
        )
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(
          weights.map((_, index) => world.hanging.get(`m${index}`) ?? 0),
          weights
        )
        yield* Fiber.interrupt(last)
      }).pipe(Random.withSeed(seed))
    )
  }
})
