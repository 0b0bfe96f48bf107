import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Circuit, Deadline, Fallback, PolicyError, type Retryable } from "holdfast/policy"

const error = (members: Partial<Retryable.Retryable> = {}): Retryable.Retryable => ({
  isRetryable: true,
  phase: "rejected",
  ...members
})
const throttled = (seconds: number) => error({ isThrottle: true, retryAfter: Duration.seconds(seconds) })
const invalid = error({ isRetryable: false })
const quota = error({ isRetryable: false, fallback: "next" })
const tooLong = error({ isRetryable: false, fallback: "longer" })

type Results = Record<string, Effect.Effect<string, unknown>>

/** Alternatives by name, each with its result; `asked` lists who was asked. */
const over = (
  results: Results,
  settings: Fallback.Settings = {},
  more: Record<string, Partial<Fallback.Alternative>> = {}
) =>
  Effect.gen(function* () {
    const asked: Array<string> = []
    const [first = "none", ...others] = Object.keys(results)
    const named = (name: string) => ({ name, ...more[name] })
    const fallback = yield* Fallback.make({ ...settings, alternatives: [named(first), ...others.map(named)] })
    const run = ({ name }: Fallback.Alternative) =>
      Effect.suspend(() => {
        asked.push(name)
        return results[name] ?? Effect.die(name)
      })
    const ask = Effect.exit(fallback.use(run))
    return { fallback, asked, ask, take: () => asked.splice(0).join(" ") }
  })

describe("Fallback", () => {
  it.effect("asks nobody else while the primary answers", () =>
    Effect.gen(function* () {
      const { ask, take } = yield* over({ a: Effect.succeed("a"), b: Effect.succeed("b") })
      assert.deepStrictEqual(yield* ask, Exit.succeed("a"))
      assert.strictEqual(take(), "a")
    })
  )

  it.effect("skips who said when to come back until then, and asks it then", () =>
    Effect.gen(function* () {
      const results: Results = { a: Effect.fail(throttled(30)), b: Effect.succeed("b") }
      const { ask, fallback, take } = yield* over(results)
      assert.deepStrictEqual(yield* ask, Exit.succeed("b"))
      assert.strictEqual(take(), "a b")
      results["a"] = Effect.succeed("a")
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual(fallback.coolUntilUnsafe("a", 29_999), 30_000)
      yield* ask
      assert.strictEqual(take(), "b")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* ask, Exit.succeed("a"))
      assert.isUndefined(fallback.coolUntilUnsafe("a", 30_000))
    })
  )

  it.effect("goes by what the failure says of itself", () =>
    Effect.gen(function* () {
      const askedAfter = (failure: unknown, settings: Fallback.Settings = {}) =>
        Effect.gen(function* () {
          const results = { a: Effect.fail(failure), b: Effect.fail(failure), long: Effect.succeed("long") }
          const { ask, take } = yield* over(results, settings, { long: { longer: true } })
          yield* ask
          return take()
        })
      assert.strictEqual(yield* askedAfter(error()), "a b long")
      assert.strictEqual(yield* askedAfter(quota), "a b long")
      assert.strictEqual(yield* askedAfter(error({ isRetryable: false, isThrottle: true })), "a b long")
      assert.strictEqual(yield* askedAfter(tooLong), "a long")
      assert.strictEqual(yield* askedAfter(invalid), "a")
      assert.strictEqual(yield* askedAfter("of an unknown kind"), "a")
      assert.strictEqual(yield* askedAfter("of an unknown kind", { classify: () => error() }), "a b long")
      assert.strictEqual(yield* askedAfter(new PolicyError.CircuitOpen({ key: "k" })), "a b long")
      assert.strictEqual(yield* askedAfter(new PolicyError.Shed({ key: "k", waiting: 1 })), "a b long")
      assert.strictEqual(yield* askedAfter(new PolicyError.AttemptTimeout({ key: "k", timeoutMillis: 1 })), "a b long")
      assert.strictEqual(yield* askedAfter(new PolicyError.Draining({ key: "k" })), "a")
      assert.strictEqual(yield* askedAfter(error({ phase: "maybeSent" }), { safety: "unsafe" }), "a")
      assert.strictEqual(yield* askedAfter(error({ phase: "notSent" }), { safety: "unsafe" }), "a b long")
    })
  )

  it.effect("lets an alternative choose what it serves", () =>
    Effect.gen(function* () {
      const results = { a: Effect.fail(invalid), b: Effect.succeed("b"), c: Effect.succeed("c") }
      const { ask, take } = yield* over(results, {}, { c: { when: (failure) => failure === invalid } })
      assert.deepStrictEqual(yield* ask, Exit.succeed("c"))
      assert.strictEqual(take(), "a c")
    })
  )

  it.effect("fails with the last failure, and leaves defects and interruptions alone", () =>
    Effect.gen(function* () {
      const last = error({ phase: "notSent" })
      const failing = yield* over({ a: Effect.fail(error()), b: Effect.fail(last) })
      assert.deepStrictEqual(yield* failing.ask, Exit.fail(last))
      const dying = yield* over({ a: Effect.die("bug"), b: Effect.succeed("b") })
      assert.deepStrictEqual(yield* dying.ask, Exit.die("bug"))
      const leaving = yield* over({ a: Effect.interrupt, b: Effect.succeed("b") })
      yield* leaving.ask
      assert.strictEqual(leaving.take(), "a")
    })
  )

  it.effect("asks who comes back first when all are cooling down", () =>
    Effect.gen(function* () {
      const results: Results = { a: Effect.fail(throttled(30)), b: Effect.fail(throttled(20)) }
      const { ask, take } = yield* over(results)
      yield* ask
      assert.strictEqual(take(), "a b")
      results["b"] = Effect.succeed("b")
      assert.deepStrictEqual(yield* ask, Exit.succeed("b"))
      // Its success ends its cool-down.
      assert.deepStrictEqual(yield* ask, Exit.succeed("b"))
      assert.strictEqual(take(), "b b")
    })
  )

  it.effect("skips a refusal without a time for coolDown, and believes no wait longer than maxCoolDown", () =>
    Effect.gen(function* () {
      const results: Results = { a: Effect.fail(quota), b: Effect.fail(throttled(1e6)), c: Effect.succeed("c") }
      const { ask, take } = yield* over(results, { coolDown: "10 seconds", maxCoolDown: "20 seconds" })
      yield* ask
      assert.strictEqual(take(), "a b c")
      yield* TestClock.adjust("9 seconds")
      yield* ask
      assert.strictEqual(take(), "c")
      yield* TestClock.adjust("1 seconds")
      yield* ask
      assert.strictEqual(take(), "a c")
      yield* TestClock.adjust("10 seconds")
      yield* ask
      assert.strictEqual(take(), "a b c")
    })
  )

  it.effect("skips an alternative whose circuit is open", () =>
    Effect.gen(function* () {
      const { ask, take } = yield* over(
        { a: Effect.succeed("a"), b: Effect.succeed("b") },
        {},
        { a: { openUntil: () => 5_000 } }
      )
      yield* ask
      yield* TestClock.adjust("5 seconds")
      yield* ask
      assert.strictEqual(take(), "b a")
    })
  )

  it.effect("leaves a primary alone while its circuit is open, and lets the trial through", () =>
    Effect.gen(function* () {
      const circuit = yield* Circuit.make({ failures: 2, openFor: "10 seconds" })
      let sends = 0
      let isUp = false
      const send = Effect.suspend(() => {
        sends++
        return isUp ? Effect.succeed("a") : Effect.fail(error())
      })
      const { ask, take } = yield* over({ a: circuit.protect("k")(send), b: Effect.succeed("b") })
      for (let n = 0; n < 5; n++) yield* ask
      // The third call finds the circuit open; the others do not even ask it.
      assert.strictEqual(take(), "a b a b a b b b")
      assert.strictEqual(sends, 2)
      isUp = true
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* ask, Exit.succeed("a"))
    })
  )

  it.effect("tells what runs inside whether a further alternative would serve a failure now", () =>
    Effect.gen(function* () {
      const read = Effect.map(Fallback.Open, (isOpen) => [throttled(1), tooLong, invalid].map((e) => isOpen?.(e)))
      const seen: Array<unknown> = []
      const look = (result: Effect.Effect<string, unknown>) =>
        Effect.andThen(
          Effect.flatMap(read, (row) => Effect.sync(() => seen.push(row))),
          result
        )
      const { ask } = yield* over({ a: look(Effect.fail(throttled(60))), b: look(Effect.fail(error())) })
      yield* ask
      yield* ask
      assert.deepStrictEqual(seen, [
        [true, false, false],
        [false, false, false],
        // While `a` is cooling down there is nobody but `b`.
        [false, false, false]
      ])
      assert.isUndefined(yield* Fallback.Open)

      const nested = yield* over({ x: look(Effect.succeed("x")) })
      seen.length = 0
      yield* (yield* over({ a: nested.ask.pipe(Effect.andThen(Effect.fail(error()))), b: Effect.succeed("b") })).ask
      assert.deepStrictEqual(seen, [[true, false, false]])
    })
  )

  it.effect("moves on when an alternative's own time is over, not when the call's is", () =>
    Effect.gen(function* () {
      const exceeded = new PolicyError.DeadlineExceeded({ key: "a", totalMillis: 1, phase: "maybeSent" })
      const { fallback } = yield* over({ a: Effect.void.pipe(Effect.as("")), b: Effect.succeed("b") })
      const asked: Array<string> = []
      const run = ({ name }: Fallback.Alternative) =>
        Effect.suspend(() => {
          asked.push(name)
          return name === "a" ? Effect.fail(exceeded) : Effect.succeed(name)
        })
      assert.strictEqual(yield* fallback.use(run).pipe(Deadline.within("1 second")), "b")
      const late = fallback.use(run).pipe(Effect.provideService(Deadline.Current, 0))
      assert.deepStrictEqual(yield* Effect.exit(late), Exit.fail(exceeded))
      assert.deepStrictEqual(asked, ["a", "b", "a"])
    })
  )

  it.effect("tells a hook before it moves on", () =>
    Effect.gen(function* () {
      const events: Array<Fallback.FallbackEvent> = []
      const onFallback = (event: Fallback.FallbackEvent) => Effect.sync(() => void events.push(event))
      const failure = error()
      const { ask } = yield* over({ a: Effect.fail(failure), b: Effect.succeed("b") }, { onFallback })
      yield* ask
      assert.deepStrictEqual(events, [{ from: "a", to: "b", error: failure }])
    })
  )

  it.effect("works on any effect, and keeps its memory with it", () =>
    Effect.gen(function* () {
      let asked = 0
      const primary = Effect.suspend(() => {
        asked++
        return Effect.fail(throttled(30))
      })
      const both = primary.pipe(Fallback.fallback([{ name: "other", run: Effect.succeed(42) }]))
      assert.strictEqual(yield* both, 42)
      assert.strictEqual(yield* both, 42)
      assert.strictEqual(asked, 1)
    })
  )

  describe("of streams", () => {
    it.effect("moves on before the first element, with what was open closed", () =>
      Effect.gen(function* () {
        const story: Array<string> = []
        const { fallback } = yield* over({ a: Effect.never, b: Effect.never })
        const run = ({ name }: Fallback.Alternative) =>
          Stream.unwrap(
            Effect.acquireRelease(
              Effect.sync(() => {
                story.push(`${name} opens`)
                return name === "a" ? Stream.fail(error()) : Stream.make(1, 2, 3)
              }),
              () => Effect.sync(() => story.push(`${name} closes`))
            )
          )
        assert.deepStrictEqual(yield* Stream.runCollect(fallback.useStream(run)), [1, 2, 3])
        assert.deepStrictEqual(story, ["a opens", "a closes", "b opens", "b closes"])
      })
    )

    it.effect("stays with what has emitted", () =>
      Effect.gen(function* () {
        const failure = error()
        const { fallback } = yield* over({ a: Effect.never, b: Effect.never })
        const emitted: Array<string> = []
        const stream = fallback.useStream(({ name }) => Stream.concat(Stream.make(name), Stream.fail(failure)))
        const exit = yield* Effect.exit(Stream.runForEach(stream, (x) => Effect.sync(() => emitted.push(x))))
        assert.deepStrictEqual(exit, Exit.fail(failure))
        assert.deepStrictEqual(emitted, ["a"])
      })
    )

    it.effect("passes an empty stream on, and closes what its reader leaves", () =>
      Effect.gen(function* () {
        const { fallback } = yield* over({ a: Effect.never, b: Effect.never })
        assert.deepStrictEqual(yield* Stream.runCollect(fallback.useStream(() => Stream.empty)), [])
        let closed = 0
        const endless = Stream.ensuring(
          Stream.forever(Stream.make(1)),
          Effect.sync(() => closed++)
        )
        assert.deepStrictEqual(
          yield* Stream.runCollect(
            Stream.take(
              fallback.useStream(() => endless),
              2
            )
          ),
          [1, 1]
        )
        assert.strictEqual(closed, 1)
      })
    )
  })
})
