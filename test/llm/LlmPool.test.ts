import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Redacted, References, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { UndiciHttpClient } from "holdfast/http"
import { FallbackLlm, Llm, LlmError, LlmPool, OpenAiLlm } from "holdfast/llm"
import { type Attempt, Policy, PolicyError } from "holdfast/policy"
import { TestLlm } from "holdfast/testing"
import { startEndpoint } from "../fixtures/endpoint.ts"

const attempt = (endpoint: string, outcome = "ok"): Attempt.Attempt => ({
  endpoint,
  outcome,
  startMillis: 0,
  durationMillis: 1,
  waitMillis: 0,
  waitCause: "none",
  queuedMillis: 0
})

type Reply = Effect.Effect<TestLlm.Reply, LlmError.LlmError>

const answered = (name: string): Reply => Effect.succeed({ text: name, attempts: [attempt(name)] })
const failed = (name: string, reason: LlmError.Reason): Reply =>
  Effect.fail(new LlmError.LlmError({ provider: name, reason, attempts: [attempt(name, reason._tag)] }))

const description = "on purpose"
const rateLimited = new LlmError.RateLimited({ description, retryAfter: Duration.seconds(30) })
const overloaded = new LlmError.Overloaded({ description })
const unauthorized = new LlmError.Unauthorized({ description, status: 401 })
const quota = new LlmError.QuotaExhausted({ description })
const timedOut = new LlmError.FirstContentTimeout({ timeoutMillis: 1 })

/** Members by name, whose replies a test changes as it goes; `asked` has the names in the order in which they were asked. */
const members = <const Name extends string>(...names: ReadonlyArray<Name>) => {
  const asked: Array<string> = []
  const replies = new Map<string, Reply>()
  const list = names.map((name) => ({
    name,
    llm: TestLlm.layer(() => {
      asked.push(name)
      return replies.get(name) ?? answered(name)
    })
  }))
  const set = (name: Name, reply: Reply | LlmError.Reason) =>
    void replies.set(name, reply instanceof Error ? failed(name, reply) : reply)
  const heal = () => replies.clear()
  return { list, set, heal, take: () => asked.splice(0).join(" ") }
}

const generate = Llm.generateText("hi")
const outcomes = (attempts: ReadonlyArray<Attempt.Attempt>) =>
  attempts.map(({ endpoint, outcome }) => `${endpoint} ${outcome}`).join(", ")
const count = (names: string) => {
  const counts: Record<string, number> = {}
  for (const name of names.split(" ")) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** The model of a pool, one for all calls of a test. */
const poolOf = <E, R>(list: ReadonlyArray<LlmPool.Member<E, R>>, options: LlmPool.Options = {}) =>
  Layer.build(LlmPool.layer(list, options))

describe("LlmPool", () => {
  describe("shares calls", () => {
    for (const strategy of ["leastInFlight", "roundRobin"] as const) {
      it.effect(`exactly by weight, and smoothly, with ${strategy}`, () =>
        Effect.gen(function* () {
          const { list, take } = members("a", "b", "c")
          const [a, b, c] = list
          assert(a !== undefined && b !== undefined && c !== undefined)
          const pool = yield* poolOf([{ ...a, weight: 5 }, b, c], { strategy })
          yield* Effect.provide(Effect.replicateEffect(generate, 7), pool)
          assert.strictEqual(take(), "a a b a c a a")
          yield* Effect.provide(Effect.replicateEffect(generate, 693), pool)
          assert.deepStrictEqual(count(take()), { a: 495, b: 99, c: 99 })
        })
      )
    }

    it.effect("among those that are left while one is skipped, and with it once it is back", () =>
      Effect.gen(function* () {
        const { heal, list, set, take } = members("a", "b", "c")
        const pool = yield* poolOf(list)
        const ask = (times: number) => Effect.provide(Effect.replicateEffect(generate, times), pool)
        set("b", rateLimited)
        yield* ask(2)
        take()
        yield* ask(100)
        assert.deepStrictEqual(count(take()), { a: 50, c: 50 })
        heal()
        yield* TestClock.adjust("30 seconds")
        yield* ask(99)
        assert.deepStrictEqual(count(take()), { a: 33, b: 33, c: 33 })
      })
    )

    it.effect("by what is in flight for its weight", () =>
      Effect.gen(function* () {
        const { list, set, take } = members("a", "b")
        set("a", Effect.never)
        set("b", Effect.never)
        const [a, b] = list
        assert(a !== undefined && b !== undefined)
        const pool = yield* poolOf([{ ...a, weight: 2 }, b])
        const fiber = yield* Effect.forkChild(
          Effect.provide(
            Effect.all(
              Array.from({ length: 30 }, () => generate),
              { concurrency: 30 }
            ),
            pool
          )
        )
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(count(take()), { a: 20, b: 10 })
        yield* Fiber.interrupt(fiber)
      })
    )

    it.effect("less to a member that became slow, unless it is round robin", () =>
      Effect.gen(function* () {
        const shares = Effect.fnUntraced(function* (strategy: LlmPool.Options["strategy"]) {
          const { list, set, take } = members("slow", "fast")
          set("slow", Effect.delay(answered("slow"), "10 seconds"))
          set("fast", Effect.delay(answered("fast"), "1 seconds"))
          const pool = yield* poolOf(list, { strategy })
          for (let n = 0; n < 120; n++) {
            yield* Effect.forkChild(Effect.provide(generate, pool))
            yield* TestClock.adjust("500 millis")
          }
          yield* TestClock.adjust("10 seconds")
          return count(take())
        })
        const { fast = 0, slow = 0 } = yield* shares("leastInFlight")
        assert.strictEqual(fast + slow, 120)
        // Two calls a second: the fast one is done with each before the next, the slow one holds its call for ten seconds.
        assert.isAbove(fast, 5 * slow)
        assert.deepStrictEqual(yield* shares("roundRobin"), { slow: 60, fast: 60 })
      })
    )
  })

  describe("skips a member", () => {
    it.effect("that asked to wait, until then", () =>
      Effect.gen(function* () {
        const { heal, list, set, take } = members("a", "b")
        const pool = yield* poolOf(list)
        const ask = Effect.provide(generate, pool)
        set("a", rateLimited)
        assert.strictEqual((yield* ask).text, "b")
        heal()
        yield* TestClock.adjust("29999 millis")
        yield* ask
        yield* ask
        assert.strictEqual(take(), "a b b b")
        yield* TestClock.adjust("1 millis")
        yield* ask
        yield* ask
        assert.deepStrictEqual(count(take()), { a: 1, b: 1 })
      })
    )

    it.effect("for coolDown when it is away and names no time, for keyCoolDown when its quota is used up", () =>
      Effect.gen(function* () {
        const skippedFor = Effect.fnUntraced(function* (reason: LlmError.Reason) {
          const { heal, list, set, take } = members("a", "b")
          const pool = yield* poolOf(list, {
            coolDown: "10 seconds",
            keyCoolDown: "5 minutes",
            maxCoolDown: "20 minutes"
          })
          const ask = Effect.provide(generate, pool)
          set("a", reason)
          assert.strictEqual((yield* ask).servedBy, "b", reason._tag)
          heal()
          take()
          for (const seconds of [0, 10, 300, 1200]) {
            yield* TestClock.adjust(Duration.seconds(seconds))
            yield* ask
            yield* ask
            if (take().includes("a")) return seconds
          }
          return Infinity
        })
        const after = (seconds: number) => Duration.seconds(seconds)
        assert.strictEqual(yield* skippedFor(overloaded), 10)
        assert.strictEqual(yield* skippedFor(new LlmError.RateLimited({ description })), 10)
        assert.strictEqual(yield* skippedFor(new LlmError.RateLimited({ description, retryable: false })), 10)
        assert.strictEqual(yield* skippedFor(new LlmError.Unreachable({ description })), 10)
        assert.strictEqual(yield* skippedFor(new LlmError.ServerError({ description, status: 503 })), 10)
        assert.strictEqual(yield* skippedFor(quota), 300)
        assert.strictEqual(yield* skippedFor(unauthorized), 300)
        // A wrong header ends.
        assert.strictEqual(yield* skippedFor(new LlmError.Overloaded({ description, retryAfter: after(1e9) })), 1200)
        // What one request did to a server, the next one need not do.
        assert.strictEqual(yield* skippedFor(timedOut), 0)
        assert.strictEqual(yield* skippedFor(new LlmError.ServerError({ description, status: 500 })), 0)
        assert.strictEqual(yield* skippedFor(new LlmError.ConnectionLost({ description })), 0)
        assert.strictEqual(yield* skippedFor(new PolicyError.CircuitOpen({ key: "a" })), 0)
        assert.strictEqual(yield* skippedFor(new PolicyError.CircuitOpen({ key: "a", retryAfter: after(9) })), 10)
      })
    )

    it.effect("while its circuit is open, and lets the trial through", () =>
      Effect.gen(function* () {
        let isUp = false
        const sent: Array<string> = []
        const http = Layer.succeed(
          HttpClient.HttpClient,
          HttpClient.make((request, url) =>
            Effect.sync(() => {
              sent.push(url.hostname)
              if (url.hostname === "a" && !isUp)
                return HttpClientResponse.fromWeb(request, new Response("", { status: 500 }))
              const choices = [{ index: 0, message: { content: "ok" }, finish_reason: "stop" }]
              return HttpClientResponse.fromWeb(request, Response.json({ model: "m", choices }))
            })
          )
        )
        const policy = Policy.make({ retry: { retries: 0 }, circuit: { failures: 2, openFor: "20 seconds" } })
        const list = ["a", "b"].map((host) => ({
          llm: OpenAiLlm.layer({ model: "m", baseUrl: `http://${host}`, policy })
        }))
        const pool = yield* Layer.build(Layer.provide(LlmPool.layer(list, { strategy: "roundRobin" }), http))
        const ask = Effect.provide(generate, pool)
        const take = () => sent.splice(0).join(" ")
        // Two failures open it, and the call after them finds it open.
        for (let n = 0; n < 6; n++) yield* ask
        assert.strictEqual(take(), "a b b a b b b b")
        isUp = true
        yield* TestClock.adjust("19999 millis")
        yield* Effect.replicateEffect(ask, 4)
        assert.strictEqual(take(), "b b b b")
        yield* TestClock.adjust("1 millis")
        yield* Effect.replicateEffect(ask, 4)
        assert.deepStrictEqual(count(take()), { a: 2, b: 2 })
      })
    )

    it.effect("no longer once all are skipped: the one that is ready soonest is asked", () =>
      Effect.gen(function* () {
        const { list, set, take } = members("a", "b", "c")
        const pool = yield* poolOf(list)
        const ask = Effect.provide(generate, pool)
        set("a", rateLimited)
        set("b", new LlmError.RateLimited({ description, retryAfter: Duration.seconds(20) }))
        set("c", quota)
        const error = yield* Effect.flip(ask)
        assert.strictEqual(error.code, "QuotaExhausted")
        assert.strictEqual(outcomes(error.attempts), "a RateLimited, b RateLimited, c QuotaExhausted")
        assert.strictEqual(take(), "a b c")
        set("b", answered("b"))
        const answer = yield* ask
        assert.deepStrictEqual([answer.text, outcomes(answer.attempts)], ["b", "b ok"])
        // Its success ends the wait.
        yield* ask
        assert.strictEqual(take(), "b b")
      })
    )

    it.effect("that comes back while the soonest of all fails is asked after it", () =>
      Effect.gen(function* () {
        const { list, set, take } = members("a", "b")
        const pool = yield* poolOf(list)
        const ask = Effect.provide(generate, pool)
        set("a", rateLimited)
        set("b", new LlmError.RateLimited({ description, retryAfter: Duration.seconds(40) }))
        yield* Effect.flip(ask)
        take()
        set("a", Effect.delay(failed("a", overloaded), "1 minute"))
        set("b", answered("b"))
        const fiber = yield* Effect.forkChild(ask)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Fiber.join(fiber)).text, "b")
        assert.strictEqual(take(), "a b")
      })
    )
  })

  describe("of keys", () => {
    it.effect("answers every call when one is revoked, and asks it again only after keyCoolDown", () =>
      Effect.gen(function* () {
        const { heal, list, set, take } = members("a", "b", "c")
        const pool = yield* poolOf(list)
        const ask = Effect.provide(generate, pool)
        set("b", unauthorized)
        const answers = yield* Effect.replicateEffect(ask, 30)
        assert.deepStrictEqual(answers.filter(({ text }) => text === "b").length, 0)
        assert.strictEqual(count(take())["b"], 1)
        yield* TestClock.adjust("599999 millis")
        yield* Effect.replicateEffect(ask, 3)
        assert.isUndefined(count(take())["b"])
        heal()
        yield* TestClock.adjust("1 millis")
        yield* Effect.replicateEffect(ask, 3)
        assert.deepStrictEqual(count(take()), { a: 1, b: 1, c: 1 })
      })
    )

    it.effect("finds out by a stream, too", () =>
      Effect.gen(function* () {
        const { list, set, take } = members("a", "b")
        const pool = yield* poolOf(list)
        set("a", unauthorized)
        // Its reader leaves before the end.
        yield* Effect.provide(Stream.runDrain(Stream.take(Llm.streamText("hi"), 1)), pool)
        yield* Effect.provide(Effect.replicateEffect(generate, 2), pool)
        assert.strictEqual(take(), "a b b b")
      })
    )

    it.effect("skips none for a request that all of them refuse", () =>
      Effect.gen(function* () {
        const { heal, list, set, take } = members("a", "b", "c")
        const pool = yield* poolOf(list)
        const ask = Effect.provide(generate, pool)
        for (const name of ["a", "b", "c"] as const) set(name, unauthorized)
        const error = yield* Effect.flip(ask)
        assert.deepStrictEqual([error.code, error.attempts.length], ["Unauthorized", 3])
        heal()
        take()
        yield* Effect.replicateEffect(ask, 6)
        assert.hasAllKeys(count(take()), ["a", "b", "c"])
        yield* Effect.replicateEffect(ask, 6)
        assert.deepStrictEqual(count(take()), { a: 2, b: 2, c: 2 })
      })
    )

    it.live("takes over from a refused key, over HTTP", () =>
      Effect.gen(function* () {
        const endpoint = yield* Effect.acquireRelease(
          Effect.promise(() => startEndpoint("openai")),
          ({ close }) => Effect.promise(close)
        )
        const list = ["bad-key", "key-2", "key-3"].map((key, index) => ({
          name: `key ${index + 1}`,
          llm: OpenAiLlm.layer({ model: "gpt-4o-mini", apiKey: Redacted.make(key), baseUrl: endpoint.url })
        }))
        const pool = yield* Layer.build(Layer.provide(LlmPool.layer(list), UndiciHttpClient.layer()))
        const ask = Effect.all([
          Llm.generateText("text"),
          Stream.runFold(Llm.streamText("text"), () => Llm.collected, Llm.collect)
        ])
        const both = yield* Effect.provide(Effect.replicateEffect(ask, 3), pool)
        const served = both.flatMap(([answer, { finish }]) => [answer.servedBy, finish?.servedBy])
        assert.deepStrictEqual(served, ["key 2", "key 3", "key 2", "key 3", "key 2", "key 3"])
        assert.deepStrictEqual(
          both[0]?.[0].attempts.map(({ outcome }) => outcome),
          ["Unauthorized", "ok"]
        )
        assert.strictEqual(new Set(both.map(([answer, { text }]) => `${answer.text === text}`)).size, 1)
        const keys = endpoint.requests.map(({ headers }) => headers["authorization"])
        assert.strictEqual(keys.filter((key) => key === "Bearer bad-key").length, 1)
        assert.strictEqual(keys.length, 7)
      })
    )
  })

  it.effect("moves on by the reason, to each at most once", () =>
    Effect.gen(function* () {
      const storyOf = Effect.fnUntraced(function* (reason: LlmError.Reason) {
        const { list, set, take } = members("a", "b", "c")
        for (const name of ["a", "b", "c"] as const) set(name, reason)
        const pool = yield* poolOf(list)
        const error = yield* Effect.flip(Effect.provide(generate, pool))
        assert.strictEqual(error.code, reason._tag)
        assert.strictEqual(outcomes(error.attempts).replaceAll(` ${reason._tag}`, "").replaceAll(",", ""), take())
        return error.attempts.map(({ endpoint }) => endpoint).join(" ")
      })
      const key = "a"
      for (const reason of [
        rateLimited,
        overloaded,
        quota,
        unauthorized,
        timedOut,
        new LlmError.ServerError({ description, status: 500, retryable: false }),
        new LlmError.Unreachable({ description }),
        new LlmError.ConnectionLost({ description }),
        new PolicyError.CircuitOpen({ key }),
        new PolicyError.Shed({ key, waiting: 1 }),
        new PolicyError.DeadlineExceeded({ key, totalMillis: 1, phase: "maybeSent" })
      ]) {
        assert.strictEqual(yield* storyOf(reason), "a b c", reason._tag)
      }
      for (const reason of [
        new LlmError.InvalidRequest({ description }),
        new LlmError.ContextLengthExceeded({ description }),
        new LlmError.ContentFiltered({ description }),
        new PolicyError.Draining({ key })
      ]) {
        assert.strictEqual(yield* storyOf(reason), "a", reason._tag)
      }
    })
  )

  it.effect("tells who served, what was tried before, and each move", () =>
    Effect.gen(function* () {
      const moves: Array<string> = []
      const { list, set } = members("a", "b")
      set("a", overloaded)
      const pool = yield* poolOf([...list, { llm: TestLlm.layer("third") }], {
        onMove: ({ error, from, to }) =>
          Effect.sync(() => {
            const code = error instanceof LlmError.LlmError ? error.code : "?"
            moves.push(`${from} > ${to}: ${code}`)
          })
      })
      const answer = yield* Effect.provide(generate, pool)
      assert.deepStrictEqual([answer.servedBy, outcomes(answer.attempts)], ["b", "a Overloaded, b ok"])
      assert.deepStrictEqual(moves, ["a > b: Overloaded"])
      // Without a name it has its place.
      assert.strictEqual((yield* Effect.provide(generate, pool)).servedBy, "llm 3")
      const { finish } = yield* Effect.provide(
        Stream.runFold(Llm.streamText("hi"), () => Llm.collected, Llm.collect),
        pool
      )
      assert.strictEqual(finish?.servedBy, "b")

      const nested = FallbackLlm.layer([{ llm: LlmPool.layer(list), name: "primary" }, { llm: TestLlm.layer("last") }])
      assert.strictEqual((yield* Effect.provide(generate, nested)).servedBy, "primary/b")
    })
  )

  it.effect("does not sleep a wait that the server asked for while another member would serve", () =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      const http = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request, url) =>
          Effect.sync(() => {
            sent.push(url.hostname)
            const busy = new Response("{}", { status: 429, headers: { "retry-after": "30" } })
            return HttpClientResponse.fromWeb(request, busy)
          })
        )
      )
      const list = ["a", "b"].map((host) => ({
        name: host,
        llm: OpenAiLlm.layer({ model: "m", baseUrl: `http://${host}`, policy: Policy.make({ retry: { retries: 1 } }) })
      }))
      const pool = yield* Layer.build(Layer.provide(LlmPool.layer(list), http))
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(generate, pool)))
      // The second is the last: nobody else would serve, so it waits as its policy says.
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual(sent.join(" "), "a b")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).code, "RateLimited")
      assert.strictEqual(sent.join(" "), "a b b")
    })
  )

  it.effect("moves a stream on before its first content, and never after it", () =>
    Effect.gen(function* () {
      const { list, set, take } = members("a", "b")
      set("a", overloaded)
      const { finish, text } = yield* Effect.provide(
        Stream.runFold(Llm.streamText("hi"), () => Llm.collected, Llm.collect),
        yield* poolOf(list)
      )
      assert.strictEqual(text, "b")
      assert.strictEqual(finish === undefined ? "" : outcomes(finish.attempts), "a Overloaded, b ok")
      assert.strictEqual(take(), "a b")

      const late = new LlmError.LlmError({
        provider: "cut",
        reason: overloaded,
        attempts: [attempt("cut", "Overloaded")]
      })
      const cutting = Layer.succeed(Llm.Llm, {
        generateText: () => Effect.fail(late),
        streamText: () => Stream.concat(Stream.make({ type: "text", text: "he" } as const), Stream.fail(late))
      })
      const seen: Array<string> = []
      const error = yield* Llm.streamText("hi").pipe(
        Stream.runForEach((event) => Effect.sync(() => seen.push(event.type))),
        Effect.flip,
        Effect.provide(yield* poolOf([{ llm: cutting }, ...list]))
      )
      assert.deepStrictEqual([error.code, outcomes(error.attempts)], ["Overloaded", "cut Overloaded"])
      assert.deepStrictEqual(seen, ["text"])
      assert.strictEqual(take(), "")
    })
  )

  it.effect("counts a stream as in flight until it ends or its reader leaves", () =>
    Effect.gen(function* () {
      const { list, take } = members("a", "b")
      const pool = yield* poolOf(list)
      const ask = Effect.provide(generate, pool)
      const pull = yield* Stream.toPull(Stream.provide(Llm.streamText("a long question"), pool))
      yield* pull
      assert.strictEqual(take(), "a")
      yield* Effect.replicateEffect(ask, 3)
      assert.strictEqual(take(), "b b b")
      // It ends while its reader's scope stays open.
      yield* Effect.ignore(Effect.forever(pull))
      yield* Effect.replicateEffect(ask, 3)
      assert.strictEqual(take(), "b a b")
    })
  )

  it.effect("takes a call back that was interrupted, died, failed or was left", () =>
    Effect.gen(function* () {
      const { heal, list, set, take } = members("a", "b")
      const pool = yield* poolOf(list)
      const hang = (times: number) =>
        Effect.forkChild(
          Effect.provide(
            Effect.all(
              Array.from({ length: times }, () => generate),
              { concurrency: "unbounded" }
            ),
            pool
          )
        )
      const both = (reply: Reply) => {
        set("a", reply)
        set("b", reply)
      }
      const streams = Effect.provide(Stream.runDrain(Llm.streamText("hi")), pool)
      both(Effect.never)
      const interrupted = [yield* hang(3), yield* hang(4)]
      const reading = yield* Effect.forkChild(streams)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(count(take()), { a: 4, b: 4 })
      yield* Fiber.interruptAll([...interrupted, reading])
      both(Effect.die("a bug"))
      for (const dying of [Effect.provide(generate, pool), streams]) {
        const exit = yield* Effect.exit(dying)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
      both(failed("x", new LlmError.InvalidRequest({ description })))
      yield* Effect.flip(Effect.provide(generate, pool))
      yield* Effect.flip(streams)
      heal()
      yield* Effect.provide(Stream.runDrain(Stream.take(Llm.streamText("hi"), 1)), pool)
      take()
      both(Effect.never)
      // As many to each as if nothing had been before.
      const last = yield* hang(10)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(count(take()), { a: 5, b: 5 })
      yield* Fiber.interrupt(last)
    })
  )

  it.effect("takes a call back that was interrupted at any of its steps", () =>
    Effect.gen(function* () {
      const { list, set, take } = members("a", "b")
      const pool = yield* poolOf(list)
      set("a", Effect.never)
      set("b", Effect.never)
      const streams = Stream.runDrain(Llm.streamText("hi"))
      const two = Effect.provide(Effect.all([generate, generate], { concurrency: 2 }), pool)
      const seen = new Set<string>()
      for (const call of [Effect.asVoid(generate), streams]) {
        for (const ops of [2, 3, 4]) {
          const slowly = Effect.provideService(Effect.provide(call, pool), References.MaxOpsBeforeYield, ops)
          for (let steps = 0; steps < 80; steps++) {
            const fiber = yield* Effect.forkChild(slowly)
            for (let n = 0; n < steps; n++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            seen.add(take())
            const both = yield* Effect.forkChild(two)
            yield* Effect.yieldNow
            assert.deepStrictEqual(count(take()), { a: 1, b: 1 }, `${steps} steps`)
            yield* Fiber.interrupt(both)
          }
        }
      }
      // Some were interrupted before they had asked anybody, some after.
      assert.deepStrictEqual([...seen].sort(), ["", "a", "b"])
    })
  )

  it.effect("ends all members together by its total, with the story of what was sent", () =>
    Effect.gen(function* () {
      const { list, set } = members("a", "b")
      set("a", overloaded)
      set("b", Effect.never)
      for (const ask of [generate, Stream.runDrain(Llm.streamText("hi"))]) {
        const layer = LlmPool.layer(list, { total: "10 seconds" })
        const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(ask, layer)))
        yield* TestClock.adjust("9999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("51 millis")
        const error = yield* Fiber.join(fiber)
        assert.deepStrictEqual([error.code, error.provider], ["DeadlineExceeded", "pool"])
        assert.strictEqual(outcomes(error.attempts), "a Overloaded")
      }
    })
  )

  it.effect("has turns and a memory of its own for each layer", () =>
    Effect.gen(function* () {
      const { list, set, take } = members("a", "b")
      const [one, other] = [yield* poolOf(list), yield* poolOf(list)]
      set("a", rateLimited)
      yield* Effect.provide(generate, one)
      set("a", answered("a"))
      yield* Effect.provide(generate, one)
      yield* Effect.provide(generate, other)
      assert.strictEqual(take(), "a b b a")
    })
  )

  it.effect("dies of members that no program means", () =>
    Effect.gen(function* () {
      const [a, b] = members("a", "b").list
      assert(a !== undefined && b !== undefined)
      const problemOf = Effect.fnUntraced(function* (list: ReadonlyArray<LlmPool.Member>) {
        const exit = yield* Effect.exit(poolOf(list))
        return Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none"
      })
      assert.strictEqual(yield* problemOf([a]), "none")
      assert.strictEqual(yield* problemOf([]), "TypeError: LlmPool: there are no members; give at least one")
      for (const weight of [0, -1, Number.NaN, Infinity]) {
        assert.strictEqual(
          yield* problemOf([a, { ...b, weight }]),
          `TypeError: LlmPool: the weight ${weight} of "b" is not a number above zero`
        )
      }
      assert.strictEqual(
        yield* problemOf([a, { ...b, name: "a" }]),
        'TypeError: LlmPool: two members are named "a"; give each its own name'
      )
    })
  )
})
