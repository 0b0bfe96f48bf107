/** What compatible servers send that no protocol says: names of objects, endless numbers, markers that mark nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { Llm, OpenAiLlm, Spending } from "holdfast/llm"
import { CostBudget, Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

const once = Policy.make({ retry: { retries: 0 } })

type Replies = ReadonlyArray<{ readonly body: string; readonly type?: string; readonly status?: number }>

/** Answers one after the other; the last one for ever. */
const layerOf = (replies: Replies, options: Partial<OpenAiLlm.Options> = {}) => {
  let sent = 0
  const http = TestHttpClient.layer(() =>
    Effect.sync(() => {
      const {
        body,
        status = 200,
        type = "text/event-stream"
      } = replies[Math.min(sent++, replies.length - 1)] ?? {
        body: ""
      }
      return new Response(body, { status, headers: { "content-type": type } })
    })
  )
  return OpenAiLlm.layer({ model: "m", baseUrl: "http://llm.test/v1", policy: once, ...options }).pipe(
    Layer.provide(http)
  )
}

const chunk = (delta: object, finish: unknown = null, more: object = {}): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }], ...more })}\n\n`

const done = "data: [DONE]\n\n"

const read = (...events: ReadonlyArray<string>) =>
  Effect.provide(
    Stream.runFold(Llm.streamText("hi"), () => Llm.collected, Llm.collect),
    layerOf([{ body: events.join("") }])
  )

const whole = (fields: object, request: Partial<Llm.Request> = {}, options: Partial<OpenAiLlm.Options> = {}) =>
  Effect.provide(
    Llm.generateText({ ...Llm.toRequest("hi"), ...request }),
    layerOf([{ body: JSON.stringify(fields), type: "application/json" }], options)
  )

const message = (content: string, more: object = {}): object => ({
  choices: [{ message: { content }, finish_reason: "stop", ...more }]
})

describe("a compatible server", () => {
  it.effect("may send an empty finish reason with every chunk: it marks no end", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read(chunk({ content: "Par" }, ""), chunk({ content: "is" }, "")))
      assert.deepInclude(error.reason, { _tag: "StreamTruncated", partial: "Paris" })
      const { finish, text } = yield* read(chunk({ content: "Par" }, ""), chunk({ content: "is" }, "stop"), done)
      assert.deepStrictEqual([text, finish?.finishReason], ["Paris", "stop"])
    })
  )

  it.effect("may use names that every object has", () =>
    Effect.gen(function* () {
      for (const name of ["constructor", "__proto__", "toString"]) {
        const { finish } = yield* read(chunk({ content: "x" }, name), done)
        assert.strictEqual(finish?.finishReason, "other")
        const calls = [{ index: 0, id: name, function: { name, arguments: "{}" } }]
        const { toolCalls } = yield* read(chunk({ tool_calls: calls }), chunk({}, "tool_calls"), done)
        assert.deepStrictEqual(
          toolCalls.map(({ id, name }) => [id, name]),
          [[name, name]]
        )
      }
    })
  )

  it.effect("may count what is no count, and no sum is spoilt by it", () =>
    Effect.gen(function* () {
      const budget = yield* CostBudget.make({ limit: 100_000 })
      for (const counts of ['{"prompt_tokens":1e999,"completion_tokens":5}', '{"prompt_tokens":-7}', "{}", "[]"]) {
        const body = JSON.stringify({ ...message("hello"), usage: 0 }).replace('"usage":0', `"usage":${counts}`)
        const policy = Policy.make({ costBudget: budget })
        const [{ usage }, total] = yield* Spending.track(
          Effect.provide(Llm.generateText("hi"), layerOf([{ body, type: "application/json" }], { policy }))
        )
        assert.isTrue(Number.isFinite(usage.inputTokens) && usage.inputTokens >= 0)
        assert.isTrue(Number.isFinite(total.cost) && Number.isFinite(total.usage.outputTokens))
      }
      assert.isTrue(Number.isFinite(budget.spent))
    })
  )

  it.effect("may go wrong behind the end of an answer, which stays one", () =>
    Effect.gen(function* () {
      const error = `data: ${JSON.stringify({ error: { message: "late", type: "overloaded_error" } })}\n\n`
      for (const tail of [error, "data: {broken\n\n", "event: error\ndata: oops\n\n"]) {
        const { finish, text } = yield* read(chunk({ content: "Paris" }), chunk({}, "stop"), tail)
        assert.deepStrictEqual([text, finish?.finishReason], ["Paris", "stop"])
      }
    })
  )

  it.effect("may put an empty error beside a good answer", () =>
    Effect.gen(function* () {
      for (const error of ["", null, false, 0]) {
        assert.strictEqual((yield* whole({ ...message("Paris"), error })).text, "Paris")
        const { text } = yield* read(chunk({ content: "Paris" }, null, { error }), chunk({}, "stop"), done)
        assert.strictEqual(text, "Paris")
      }
    })
  )

  it.effect("may leave out the index of a call's fragments, or give every call the same", () =>
    Effect.gen(function* () {
      const fragment = (call: object): string => chunk({ tool_calls: [call] })
      const inputs = (events: ReadonlyArray<string>) =>
        Effect.map(read(...events, chunk({}, "tool_calls"), done), ({ toolCalls }) =>
          toolCalls.map(({ input, name }) => [name, input])
        )
      const repeated = [
        fragment({ id: "c1", function: { name: "a", arguments: '{"x"' } }),
        fragment({ id: "c2", function: { name: "b", arguments: "{" } }),
        fragment({ id: "c1", function: { arguments: ":1}" } }),
        fragment({ id: "c2", function: { arguments: "}" } })
      ]
      assert.deepStrictEqual(yield* inputs(repeated), [
        ["a", { x: 1 }],
        ["b", {}]
      ])
      const bare = [
        fragment({ id: "c1", function: { name: "a", arguments: '{"x"' } }),
        fragment({ function: { arguments: ":1}" } }),
        fragment({ id: "", function: { arguments: " " } })
      ]
      assert.deepStrictEqual(yield* inputs(bare), [["a", { x: 1 }]])
      const same = [
        fragment({ index: 0, id: "c1", function: { name: "a", arguments: "{}" } }),
        fragment({ index: 0, id: "c2", function: { name: "b", arguments: "{}" } })
      ]
      assert.deepStrictEqual(yield* inputs(same), [
        ["a", {}],
        ["b", {}]
      ])
    })
  )

  it.effect("may write its content type in capitals", () =>
    Effect.gen(function* () {
      const body = chunk({ content: "Paris" }) + chunk({}, "stop") + done
      const layer = layerOf([{ body, type: "Text/Event-Stream; Charset=UTF-8" }])
      const { text } = yield* Effect.provide(
        Stream.runFold(Llm.streamText("hi"), () => Llm.collected, Llm.collect),
        layer
      )
      assert.strictEqual(text, "Paris")
    })
  )

  it.effect("may not count at all: then what is told is an estimate, whole and streamed alike", () =>
    Effect.gen(function* () {
      const answer = yield* whole(message("four words are here"))
      const { finish } = yield* read(chunk({ content: "four words are here" }), chunk({}, "stop"), done)
      for (const usage of [answer.usage, finish?.usage]) {
        assert.isTrue(usage?.isEstimate)
        assert.isAbove(usage?.inputTokens ?? 0, 0)
        assert.strictEqual(usage?.outputTokens, 5)
      }
    })
  )

  it.effect("is paid for answers that would not do, and everybody is told", () =>
    Effect.gen(function* () {
      const blank = JSON.stringify({ ...message("   "), usage: { prompt_tokens: 10, completion_tokens: 12 } })
      const good = JSON.stringify({ ...message('{"a":1}'), usage: { prompt_tokens: 10, completion_tokens: 3 } })
      const request: Llm.Request = { ...Llm.toRequest("hi"), responseFormat: { type: "json" } }
      const json = (body: string) => ({ body, type: "application/json" })
      const policy = Policy.make({ retry: { retries: 1, base: 0 } })
      const asked = Llm.generateText(request)
      const [answer, { calls }] = yield* Spending.track(
        Effect.provide(asked, layerOf([json(blank), json(good)], { policy }))
      )
      assert.deepInclude(answer.usage, { inputTokens: 20, outputTokens: 15 })
      assert.strictEqual(calls.length, 1)
      const tally = new Spending.Tally()
      const error = yield* Effect.flip(
        Effect.provideService(Effect.provide(asked, layerOf([json(blank)], { policy })), Spending.Current, tally)
      )
      assert.deepInclude(error.usage, { inputTokens: 20, outputTokens: 24 })
      assert.deepStrictEqual(
        tally.calls.map(({ outcome }) => outcome),
        ["InvalidResponse"]
      )
    })
  )

  it.effect("may repeat a secret of the request's own headers", () =>
    Effect.gen(function* () {
      const secret = "sk-of-one-request"
      const headers = { authorization: `Bearer ${secret}` }
      const echo = JSON.stringify({ error: { message: `no such key: ${secret}` } })
      const refused = layerOf([{ body: echo, status: 401, type: "application/json" }])
      const garbled = layerOf([{ body: `<p>${secret}</p>`, type: "application/json" }])
      const inside = layerOf([{ body: `data: {"error":{"message":"${secret}"}}\n\n` }])
      const request: Llm.Request = { ...Llm.toRequest("hi"), headers }
      const errors = [
        yield* Effect.flip(Effect.provide(Llm.generateText(request), refused)),
        yield* Effect.flip(Effect.provide(Llm.generateText(request), garbled)),
        yield* Effect.flip(Effect.provide(Stream.runDrain(Llm.streamText(request)), refused)),
        yield* Effect.flip(Effect.provide(Stream.runDrain(Llm.streamText(request)), inside))
      ]
      for (const error of errors) {
        const excerpt = error.reason._tag === "InvalidResponse" ? error.reason.excerpt : ""
        assert.notInclude(`${error.message}${excerpt}`, secret)
        assert.include(`${error.message}${excerpt}`, "<redacted>")
      }
    })
  )
})

describe("a token that may not do what is asked", () => {
  it.effect("is replaced once, and not again for every further call", () =>
    Effect.gen(function* () {
      let fetched = 0
      let sent = 0
      const auth = {
        token: Effect.sync(() => Redacted.make(`token-${fetched}`)),
        invalidate: () => Effect.sync(() => void fetched++)
      }
      const http = TestHttpClient.layer(() =>
        Effect.sync(() => {
          sent++
          return new Response("{}", { status: 403 })
        })
      )
      const layer = OpenAiLlm.layer({ model: "m", baseUrl: "http://llm.test/v1", policy: once, auth }).pipe(
        Layer.provide(http)
      )
      const asked = Effect.forEach([1, 2, 3, 4, 5], () => Effect.flip(Llm.generateText("hi")))
      const errors = yield* Effect.provide(asked, layer)
      assert.deepStrictEqual(new Set(errors.map(({ code }) => code)), new Set(["Unauthorized"]))
      assert.deepStrictEqual([fetched, sent], [1, 6])
    })
  )
})
