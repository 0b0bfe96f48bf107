/** Streams that break after content, on a real socket: cut after every possible delta, ended early, stalled, refused. */
import { Effect, Exit, Layer, Option, Redacted, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, LlmError, LlmPool, OpenAiLlm, Spending } from "holdfast/llm"
import { CostBudget, Policy } from "holdfast/policy"
import { createServer, type ServerResponse } from "node:http"
import { once } from "node:events"
import { text as readText } from "node:stream/consumers"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

const words = ["Par", "is ", "is  ", "the\n", "cap", "ital ", "of ", "naïve ", "🎉", "日本", " France", "."]
const whole = words.join("")

interface Received {
  readonly messages: ReadonlyArray<{ readonly role: string; readonly content: string; readonly prefix?: boolean }>
  readonly continue_final_message?: boolean
}

/** What the next requests do, in order; then they are answered well. */
type Break = (response: ServerResponse) => void

const received: Array<Received> = []
const keys: Array<unknown> = []
let plan: Array<{ readonly after: number; readonly how: Break }> = []
/** The deltas of the answer. */
let deltas: ReadonlyArray<object> = []
let finish = "stop"

const chunk = (delta: object, reason: string | null = null): string =>
  `data: ${JSON.stringify({ model: "m-1", choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`

const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 12 } })}\n\n`

const isBeginning = ({ messages }: Received): string | undefined => {
  const last = messages.at(-1)
  return last?.role === "assistant" ? last.content : undefined
}

/** The deltas after the text that the request begins with. */
const left = (beginning: string | undefined): ReadonlyArray<object> => {
  if (beginning === undefined) return deltas
  assert.isTrue(whole.startsWith(beginning), `the prefix ${JSON.stringify(beginning)} is what was said`)
  // Cut anew, so that no delta of the second answer begins where one of the first did.
  const rest = whole.slice(beginning.length)
  return rest === "" ? [] : [{ content: rest.slice(0, 3) }, { content: rest.slice(3) }]
}

const server = createServer((request, response) => {
  void readText(request).then((body) => {
    const read: Received = JSON.parse(body)
    received.push(read)
    keys.push(request.headers["idempotency-key"])
    response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": `req-${received.length}` })
    const broken = plan.shift()
    const parts = left(isBeginning(read)).map((delta) => chunk(delta))
    if (broken === undefined) return response.end([...parts, chunk({}, finish), usage, "data: [DONE]\n\n"].join(""))
    const told = parts.slice(0, broken.after).join("")
    if (told === "") return broken.how(response)
    return response.write(told, () => setImmediate(() => broken.how(response)))
  })
})

let baseUrl = ""
beforeAll(async () => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/v1`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const cut: Break = (response) => response.destroy()
const end: Break = (response) => response.end()
const refuse: Break = (response) =>
  response.end(`data: ${JSON.stringify({ error: { message: "busy", type: "overloaded_error" } })}\n\n`)

const layerOf = (options: Partial<OpenAiLlm.Options>): Layer.Layer<Llm.Llm> =>
  OpenAiLlm.layer({
    model: "m",
    apiKey: Redacted.make("sk-test"),
    baseUrl,
    policy: Policy.make({ retry: { base: 1 }, timeout: { idleContent: "5 seconds" } }),
    ...options
  }).pipe(Layer.provide(UndiciHttpClient.layer()))

interface Told {
  readonly events: ReadonlyArray<Llm.StreamEvent>
  readonly error: LlmError.LlmError | undefined
  readonly spent: Spending.Total
}

const stream = async (
  options: Partial<OpenAiLlm.Options>,
  breaks: typeof plan,
  request: Partial<Llm.Request> = {}
): Promise<Told> => {
  received.length = 0
  plan = [...breaks]
  const events: Array<Llm.StreamEvent> = []
  const tally = new Spending.Tally()
  const read = Stream.runForEach(Llm.streamText({ ...Llm.toRequest("hi"), ...request }), (event) =>
    Effect.sync(() => void events.push(event))
  )
  const error = await Effect.runPromise(
    read.pipe(
      Effect.as(undefined),
      Effect.catch((error) => Effect.succeed(error)),
      Effect.provideService(Spending.Current, tally),
      Effect.provide(layerOf(options))
    )
  )
  return { events, error, spent: tally.total }
}

const collected = ({ events }: Told): Llm.Collected => events.reduce(Llm.collect, Llm.collected)

const spoken = ({ events }: Told): string => events.map((event) => (event.type === "text" ? event.text : "")).join("")

const resets = ({ events }: Told): number => events.filter(({ type }) => type === "reset").length

const asText = words.map((content) => ({ content }))

describe.each([
  ["cut", cut],
  ["ended early", end],
  ["told that the server is overloaded", refuse]
] as const)("a stream that is %s", (_name, how) => {
  it.each(words.map((_, at) => at))("goes on from %i deltas with no character lost or doubled", async (after) => {
    deltas = asText
    const told = await stream({ prefix: "prefix", onCut: "continue" }, [{ after, how }])
    assert.isUndefined(told.error)
    // What is delivered is the text itself: there is nothing to take back.
    assert.strictEqual(spoken(told), whole)
    assert.strictEqual(resets(told), 0)
    const { finish } = collected(told)
    assert.strictEqual(finish?.message.content, whole)
    assert.strictEqual(finish?.attempts.length, 2)
    assert.strictEqual(received.length, 2)
    const last = received[1]?.messages.at(-1)
    const said = words.slice(0, after).join("")
    assert.deepStrictEqual(
      last,
      after === 0 ? { role: "user", content: "hi" } : { role: "assistant", content: said, prefix: true }
    )
  })

  it.each(words.map((_, at) => at))("begins again after %i deltas, and says so", async (after) => {
    deltas = asText
    const told = await stream({ onCut: "restart" }, [{ after, how }])
    assert.isUndefined(told.error)
    assert.strictEqual(collected(told).text, whole)
    assert.strictEqual(resets(told), after === 0 ? 0 : 1)
    assert.strictEqual(collected(told).finish?.attempts.length, 2)
    assert.deepStrictEqual(received[1]?.messages, [{ role: "user", content: "hi" }])
  })
})

const call = (index: number, id: string, name: string) => ({
  tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }]
})
const fragment = (index: number, text: string) => ({ tool_calls: [{ index, function: { arguments: text } }] })

const calling = [
  { content: "Let me look." },
  call(0, "call_1", "get_weather"),
  fragment(0, '{"city":'),
  call(1, "call_2", "get_time"),
  fragment(0, '"Par'),
  fragment(1, '{"zone"'),
  fragment(0, 'is"}'),
  fragment(1, ':"CET"}')
]

describe("tool calls", () => {
  it.each(calling.map((_, at) => at + 1))("are delivered once, after a cut behind %i deltas", async (after) => {
    deltas = calling
    finish = "tool_calls"
    const told = await stream({ onCut: "restart" }, [{ after, how: cut }])
    finish = "stop"
    const calls = told.events.flatMap((event) => (event.type === "toolCall" ? [event.call] : []))
    assert.deepStrictEqual(
      calls.map(({ id, input, name }) => [id, name, input]),
      [
        ["call_1", "get_weather", { city: "Paris" }],
        ["call_2", "get_time", { zone: "CET" }]
      ]
    )
    assert.strictEqual(collected(told).finish?.finishReason, "toolCalls")
  })

  it.each(calling.map((_, at) => at + 1))("are never delivered by a stream cut behind %i deltas", async (after) => {
    deltas = calling
    const told = await stream({}, [{ after, how: cut }])
    assert.isDefined(told.error)
    assert.isFalse(told.events.some(({ type }) => type === "toolCall" || type === "finish"))
  })
})

describe("recovery", () => {
  it("spends the retries of the call, and fails with all that had arrived", async () => {
    deltas = asText
    const breaks = [2, 1, 1, 1].map((after) => ({ after, how: cut }))
    const told = await stream({ prefix: "prefix", onCut: "continue" }, breaks)
    assert.strictEqual(received.length, 3)
    assert.deepInclude(told.error?.reason, { _tag: "StreamCut", partial: spoken(told) })
    assert.isTrue(whole.startsWith(spoken(told)))
    assert.deepStrictEqual(
      told.error?.attempts.map(({ outcome }) => outcome),
      ["StreamCut", "StreamCut", "StreamCut"]
    )
  })

  it("adds up what all sends used, and says that it is an estimate", async () => {
    deltas = asText
    const { events, spent } = await stream({ onCut: "restart" }, [{ after: 6, how: cut }])
    const finish = events.at(-1)
    assert.isTrue(finish?.type === "finish" && finish.usage.isEstimate === true)
    assert.isTrue(finish?.type === "finish" && finish.usage.outputTokens > 12)
    assert.strictEqual(spent.calls.length, 1)
    assert.deepInclude(spent.calls[0], { outcome: "ok", provider: "openai" })
  })

  it("tells what a cut stream used, in the error and to whoever listens", async () => {
    deltas = asText
    const { error, spent } = await stream({}, [{ after: 6, how: cut }])
    assert.isTrue(error?.usage?.isEstimate === true && error.usage.outputTokens > 0 && error.usage.inputTokens > 0)
    assert.isTrue(error?.reason._tag === "StreamCut" && error.reason.usage === error.usage)
    assert.deepStrictEqual(
      spent.calls.map(({ outcome, usage }) => [outcome, usage]),
      [["StreamCut", error?.usage]]
    )
  })

  it("tells what an abandoned stream used", async () => {
    deltas = asText
    plan = []
    const tally = new Spending.Tally()
    const first = Stream.runHead(Llm.streamText("hi"))
    await Effect.runPromise(
      first.pipe(Effect.provideService(Spending.Current, tally), Effect.provide(layerOf({ model: "gpt-4o" })))
    )
    assert.deepStrictEqual(
      tally.calls.map(({ outcome }) => outcome),
      ["interrupted"]
    )
    assert.isTrue((tally.calls[0]?.usage.outputTokens ?? 0) > 0)
  })

  it("does not begin again what the model was refused for", async () => {
    deltas = asText
    const filtered: Break = (response) =>
      response.end(
        `data: ${JSON.stringify({ error: { message: "no", code: "content_filter", type: "invalid_request_error" } })}\n\n`
      )
    const told = await stream({ onCut: "restart" }, [{ after: 3, how: filtered }])
    assert.strictEqual(told.error?.code, "ContentFiltered")
    assert.strictEqual(received.length, 1)
  })

  it("asks vLLM in its own words", async () => {
    deltas = asText
    const told = await stream({ prefix: "continue_final_message", onCut: "continue" }, [{ after: 4, how: cut }])
    assert.strictEqual(spoken(told), whole)
    assert.deepInclude(received[1], { continue_final_message: true })
    assert.isUndefined(received[1]?.messages.at(-1)?.prefix)
  })

  it("is chosen by a request over its layer", async () => {
    deltas = asText
    const told = await stream({ onCut: "restart" }, [{ after: 4, how: cut }], { onCut: "fail" })
    assert.strictEqual(told.error?.code, "StreamCut")
    assert.strictEqual(received.length, 1)
  })

  it("is tried again by a reader who gave up waiting for it and comes back", async () => {
    deltas = asText
    const hang: Break = () => {}
    for (const options of [{ onCut: "restart" }, { onCut: "continue", prefix: "prefix" }] as const) {
      received.length = 0
      plan = [
        { after: 3, how: cut },
        { after: 0, how: hang }
      ]
      const events: Array<Llm.StreamEvent> = []
      const read = Effect.gen(function* () {
        const pull = yield* Stream.toPull(Llm.streamText("hi"))
        for (;;) {
          const pulled = yield* Effect.exit(Effect.timeoutOption(pull, "300 millis"))
          // An end is told by failing with `Done`; a reader that waits no longer may come back.
          if (Exit.isFailure(pulled)) return pulled
          if (Option.isSome(pulled.value)) events.push(...pulled.value.value)
        }
      })
      await Effect.runPromise(Effect.scoped(Effect.provide(read, layerOf(options))))
      assert.strictEqual(events.reduce(Llm.collect, Llm.collected).text, whole)
      assert.strictEqual(events.at(-1)?.type, "finish")
      assert.strictEqual(received.length, 3)
    }
  })

  it("fails with the break and what had arrived when it cannot be mended, and says why", async () => {
    deltas = asText
    const refused: Break = (response) => response.destroy()
    const told = await stream({ onCut: "restart", policy: Policy.make({ retry: { retries: 1, base: 1 } }) }, [
      { after: 3, how: cut },
      { after: 0, how: refused }
    ])
    const { error, spent } = told
    assert.deepInclude(error?.reason, { _tag: "StreamCut", partial: words.slice(0, 3).join("") })
    assert.strictEqual(error?.reason.cause instanceof LlmError.ConnectionLost, true)
    assert.deepInclude(error, { phase: "answered", isRetryable: false, delivered: true })
    assert.isAbove(error?.usage?.outputTokens ?? 0, 0)
    assert.deepStrictEqual(
      spent.calls.map(({ outcome }) => outcome),
      ["StreamCut"]
    )
  })

  it("tells an error behind content as answered: whoever tries again tells somebody twice", async () => {
    deltas = asText
    const { error, spent } = await stream({}, [{ after: 3, how: refuse }])
    assert.deepInclude(error, { code: "Overloaded", phase: "answered", isRetryable: false, delivered: true })
    assert.isAbove(error?.usage?.outputTokens ?? 0, 0)
    assert.strictEqual(spent.calls[0]?.outcome, "Overloaded")
  })

  it("stays with the member of a pool that has begun to answer", async () => {
    deltas = asText
    received.length = 0
    let requests = 0
    const throttled: Break = (response) =>
      response.end(
        `data: ${JSON.stringify({ error: { message: "slow down", type: "rate_limit_exceeded", code: "429" } })}\n\n`
      )
    plan = [
      { after: 3, how: throttled },
      { after: 0, how: cut }
    ]
    const member = layerOf({ onCut: "restart" })
    const read = Stream.runFold(
      Stream.tap(Llm.streamText("hi"), () => Effect.sync(() => void requests++)),
      () => Llm.collected,
      Llm.collect
    )
    const { finish, text } = await Effect.runPromise(
      Effect.provide(read, LlmPool.layer([{ llm: member }, { llm: layerOf({ onCut: "restart" }) }]))
    )
    assert.strictEqual(text, whole)
    assert.strictEqual(finish?.attempts.length, 3)
    assert.strictEqual(received.length, 3)
  })

  it("has a key of its own for each body", async () => {
    deltas = asText
    keys.length = 0
    const breaks = [
      { after: 3, how: cut },
      { after: 1, how: cut }
    ]
    await stream({ prefix: "prefix", onCut: "continue" }, breaks, { idempotencyKey: "k" })
    assert.deepStrictEqual(keys, ["k", "k-2", "k-3"])
    keys.length = 0
    await stream({ onCut: "restart" }, breaks, { idempotencyKey: "k" })
    assert.deepStrictEqual(keys, ["k", "k", "k"])
  })

  it("goes on from an object that has only its end left", async () => {
    deltas = [{ content: whole }]
    const told = await stream({ prefix: "prefix", onCut: "continue" }, [{ after: 1, how: cut }], {
      responseFormat: { type: "json" }
    })
    assert.isUndefined(told.error)
    assert.strictEqual(spoken(told), whole)
    assert.strictEqual(received.length, 2)
  })

  it("charges a budget what an abandoned stream used, not what it might have", async () => {
    deltas = asText
    plan = []
    const spent = await Effect.runPromise(
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 100_000 })
        const policy = Policy.make({ costBudget: budget })
        yield* Effect.provide(Stream.runHead(Llm.streamText("hi")), layerOf({ policy }))
        return budget.spent
      })
    )
    assert.isAbove(spent, 0)
    assert.isBelow(spent, 100)
  })

  it("refuses to continue where nobody documents that", async () => {
    const asked = await stream({}, [], { onCut: "continue" })
    assert.deepInclude(asked.error?.reason, { _tag: "InvalidRequest", phase: "notSent" })
    assert.strictEqual(received.length, 0)
    const building = Effect.runPromise(Effect.provide(Llm.generateText("hi"), layerOf({ onCut: "continue" })))
    await building.then(
      () => assert.fail("the layer was built"),
      (error: unknown) => assert.match(String(error), /onCut "continue" needs a provider that documents .*"restart"/)
    )
  })
})
