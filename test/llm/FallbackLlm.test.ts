import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { UndiciHttpClient } from "holdfast/http"
import { FallbackLlm, Llm, LlmError, OpenAiLlm } from "holdfast/llm"
import { type Attempt, Policy } from "holdfast/policy"
import { ReplayServer, TestLlm } from "holdfast/testing"

const attempt = (endpoint: string, outcome = "ok"): Attempt.Attempt => ({
  endpoint,
  outcome,
  startMillis: 0,
  durationMillis: 1,
  waitMillis: 0,
  waitCause: "none",
  queuedMillis: 0
})

const failure = (reason: LlmError.Reason, endpoint = "a"): LlmError.LlmError =>
  new LlmError.LlmError({ provider: endpoint, reason, attempts: [attempt(endpoint, reason._tag)] })

const description = "on purpose"
const rateLimited = new LlmError.RateLimited({ description, retryAfter: Duration.seconds(30) })
const overloaded = new LlmError.Overloaded({ description })

/** A model that fails until told otherwise, and counts its calls. */
const model = (reply: () => Effect.Effect<TestLlm.Reply, LlmError.LlmError>) => {
  const seen = { calls: 0 }
  const llm = TestLlm.layer(() => {
    seen.calls++
    return reply()
  })
  return { llm, seen }
}

const named = (name: string) => model(() => Effect.succeed({ text: name, attempts: [attempt(name)] }))
const failing = (reason: LlmError.Reason, name = "a") => model(() => Effect.fail(failure(reason, name)))

const outcomes = (attempts: ReadonlyArray<Attempt.Attempt>) =>
  attempts.map(({ endpoint, outcome }) => `${endpoint} ${outcome}`)

const textOf = (events: ReadonlyArray<Llm.StreamEvent>) =>
  events.map((event) => (event.type === "text" ? event.text : "")).join("")

/** A client that answers by host. */
const httpOf = (answers: Record<string, () => Response>) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.sync(() => HttpClientResponse.fromWeb(request, answers[url.hostname]?.() ?? new Response(null)))
    )
  )

const openAi = (host: string, policy: Policy.Options = {}) =>
  OpenAiLlm.layer({ model: "m", baseUrl: `http://${host}`, provider: host, policy: Policy.make(policy) })

const good = (text: string) => () =>
  Response.json({ model: "m", choices: [{ index: 0, message: { content: text }, finish_reason: "stop" }] })

describe("FallbackLlm", () => {
  it.effect("is served at once by the next when the first asks to wait, which is skipped until then", () =>
    Effect.gen(function* () {
      let isWell = false
      const a = model(() => (isWell ? Effect.succeed("a") : Effect.fail(failure(rateLimited))))
      const b = named("b")
      const layer = yield* Layer.build(FallbackLlm.layer([a, b]))
      const ask = Effect.provide(Llm.generateText("hi"), layer)

      assert.strictEqual((yield* ask).text, "b")
      isWell = true
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual((yield* ask).text, "b")
      assert.deepStrictEqual([a.seen.calls, b.seen.calls], [1, 2])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* ask).text, "a")
      assert.deepStrictEqual([a.seen.calls, b.seen.calls], [2, 2])
    })
  )

  it.effect("goes by the reason", () =>
    Effect.gen(function* () {
      const servedAfter = (reason: LlmError.Reason) =>
        Effect.gen(function* () {
          const long = named("long")
          const layer = FallbackLlm.layer([failing(reason), failing(reason, "b"), { ...long, longerContext: true }])
          const exit = yield* Effect.exit(Effect.provide(Llm.generateText("hi"), layer))
          return Exit.isSuccess(exit) ? outcomes(exit.value.attempts).join(", ") : "nobody"
        })
      for (const reason of [
        rateLimited,
        overloaded,
        new LlmError.QuotaExhausted({ description }),
        new LlmError.ServerError({ description, status: 500, retryable: false }),
        new LlmError.Unreachable({ description }),
        new LlmError.FirstContentTimeout({ timeoutMillis: 1 })
      ]) {
        assert.strictEqual(yield* servedAfter(reason), `a ${reason._tag}, b ${reason._tag}, long ok`)
      }
      const tooLong = new LlmError.ContextLengthExceeded({ description })
      assert.strictEqual(yield* servedAfter(tooLong), "a ContextLengthExceeded, long ok")
      assert.strictEqual(yield* servedAfter(new LlmError.Unauthorized({ description })), "nobody")
      assert.strictEqual(yield* servedAfter(new LlmError.InvalidRequest({ description })), "nobody")
      assert.strictEqual(yield* servedAfter(new LlmError.ContentFiltered({ description })), "nobody")
    })
  )

  it.effect("lets an alternative choose what it serves, and tells who takes over", () =>
    Effect.gen(function* () {
      const events: Array<string> = []
      const layer = FallbackLlm.layer(
        [
          { ...failing(new LlmError.ContentFiltered({ description })), name: "strict" },
          { ...named("b"), name: "lenient", when: (reason) => reason instanceof LlmError.ContentFiltered }
        ],
        { onFallback: ({ from, to }) => Effect.sync(() => void events.push(`${from} > ${to}`)) }
      )
      assert.strictEqual((yield* Effect.provide(Llm.generateText("hi"), layer)).text, "b")
      assert.deepStrictEqual(events, ["strict > lenient"])
    })
  )

  it.effect("fails with the last failure and the attempts of all", () =>
    Effect.gen(function* () {
      const layer = FallbackLlm.layer([failing(overloaded), failing(new LlmError.Unauthorized({ description }), "b")])
      const check = (error: LlmError.LlmError) => {
        assert.deepStrictEqual([error.provider, error.code], ["b", "Unauthorized"])
        assert.deepStrictEqual(outcomes(error.attempts), ["a Overloaded", "b Unauthorized"])
      }
      check(yield* Effect.flip(Effect.provide(Llm.generateText("hi"), layer)))
      check(yield* Effect.flip(Effect.provide(Stream.runDrain(Llm.streamText("hi")), layer)))
    })
  )

  it.effect("tells who served, of alternatives that are several themselves both names", () =>
    Effect.gen(function* () {
      const busy = { ...failing(overloaded), name: "busy" }
      const inner = FallbackLlm.layer([busy, named("second")])
      const servedBy = Effect.fnUntraced(function* (layer: Layer.Layer<Llm.Llm>) {
        const context = yield* Layer.build(layer)
        const answer = yield* Effect.provide(Llm.generateText("hi"), context)
        const events = yield* Effect.provide(Stream.runCollect(Llm.streamText("hi")), context)
        const last = events.at(-1)
        return [answer.servedBy, last?.type === "finish" ? last.servedBy : "no finish"]
      })
      assert.deepStrictEqual(yield* servedBy(FallbackLlm.layer([named("first")])), ["llm 1", "llm 1"])
      assert.deepStrictEqual(yield* servedBy(inner), ["llm 2", "llm 2"])
      const outer = FallbackLlm.layer([busy, { llm: inner, name: "inner" }])
      assert.deepStrictEqual(yield* servedBy(outer), ["inner/llm 2", "inner/llm 2"])
    })
  )

  it.effect("keeps what the last failure says of its usage and its request", () =>
    Effect.gen(function* () {
      const usage = { inputTokens: 3, outputTokens: 2 }
      const last = new LlmError.LlmError({
        provider: "b",
        reason: new LlmError.InvalidRequest({ description }),
        attempts: [attempt("b")],
        requestId: "req_1",
        usage,
        cost: 0.5
      })
      const layer = FallbackLlm.layer([failing(overloaded), model(() => Effect.fail(last))])
      const error = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), layer))
      assert.strictEqual(error.attempts.length, 2)
      assert.deepStrictEqual([error.requestId, error.usage, error.cost], ["req_1", usage, 0.5])
    })
  )

  it.effect("moves a stream on before its first content, and never after it", () =>
    Effect.gen(function* () {
      const moved = FallbackLlm.layer([failing(overloaded), named("hello")])
      const events = yield* Effect.provide(Stream.runCollect(Llm.streamText("hi")), moved)
      assert.strictEqual(textOf(events), "hello")
      const last = events.at(-1)
      assert.deepStrictEqual(last?.type === "finish" ? outcomes(last.attempts) : [], ["a Overloaded", "hello ok"])

      const late = failure(overloaded)
      const cutting = Layer.succeed(Llm.Llm, {
        generateText: () => Effect.fail(late),
        streamText: () => Stream.concat(Stream.make({ type: "text", text: "he" } as const), Stream.fail(late))
      })
      const other = named("other")
      const exit = yield* Effect.flip(
        Effect.provide(Stream.runDrain(Llm.streamText("hi")), FallbackLlm.layer([{ llm: cutting }, other]))
      )
      assert.strictEqual(exit.code, "Overloaded")
      assert.strictEqual(other.seen.calls, 0)
    })
  )

  it.effect("does not sleep a wait that the server asked for while another can serve", () =>
    Effect.gen(function* () {
      let requests = 0
      const http = httpOf({
        "a.test": () => {
          requests++
          return new Response("{}", { status: 429, headers: { "retry-after": "30" } })
        },
        "b.test": good("b")
      })
      const layer = FallbackLlm.layer([{ llm: openAi("a.test") }, { llm: openAi("b.test") }])
      const ask = Effect.provide(Llm.generateText("hi"), Layer.provide(layer, http))
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(0)
      const answer = fiber.pollUnsafe()
      assert.isTrue(answer !== undefined && Exit.isSuccess(answer) && answer.value.text === "b")
      assert.strictEqual(requests, 1)
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("ends all alternatives together by its total, with the story of what was sent", () =>
    Effect.gen(function* () {
      const http = httpOf({ "a.test": () => new Response("{}", { status: 503 }) })
      const hanging = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make(() => Effect.never)
      )
      const layer = FallbackLlm.layer(
        [
          { llm: Layer.provide(openAi("a.test", { retry: { retries: 0 } }), http) },
          { llm: Layer.provide(openAi("b.test"), hanging) }
        ],
        { total: "10 seconds" }
      )
      for (const ask of [Llm.generateText("hi"), Stream.runDrain(Llm.streamText("hi"))]) {
        const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(ask, layer)))
        yield* TestClock.adjust("9999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.code, "DeadlineExceeded")
        assert.deepStrictEqual(
          error.attempts.map(({ outcome }) => outcome),
          ["ServerError", "DeadlineExceeded"]
        )
      }
    })
  )

  it.effect("interrupts an alternative that keeps no deadline", () =>
    Effect.gen(function* () {
      const layer = FallbackLlm.layer([model(() => Effect.never), named("b")], { total: "10 seconds" })
      for (const ask of [Llm.generateText("hi"), Stream.runDrain(Llm.streamText("hi"))]) {
        const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(ask, layer)))
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual((yield* Fiber.join(fiber)).code, "DeadlineExceeded")
      }
    })
  )

  it.live("takes over from a server that is down, over HTTP", () =>
    Effect.gen(function* () {
      const down = yield* Effect.scoped(Effect.map(ReplayServer.make({ answer: () => "down" }), ({ url }) => url))
      const { requests, url } = yield* ReplayServer.make({ answer: () => "up" })
      const at = (baseUrl: string) =>
        OpenAiLlm.layer({
          model: "replay",
          apiKey: Redacted.make("k"),
          baseUrl,
          policy: Policy.make({ retry: { retries: 1, base: "1 millis" } })
        })
      const layer = FallbackLlm.layer([{ llm: at(down) }, { llm: at(url) }])
      const [answer, events] = yield* Effect.provide(
        Effect.all([Llm.generateText("hi"), Stream.runCollect(Llm.streamText("hi"))]),
        Layer.provide(layer, UndiciHttpClient.layer())
      )
      assert.strictEqual(answer.text, "up")
      assert.deepStrictEqual(
        answer.attempts.map(({ outcome }) => outcome),
        ["Unreachable", "Unreachable", "ok"]
      )
      assert.strictEqual(textOf(events), "up")
      assert.strictEqual((yield* requests).length, 2)
    })
  )
})
