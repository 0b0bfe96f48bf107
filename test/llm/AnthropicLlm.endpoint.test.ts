/** The Messages API over real HTTP, by its fixtures: what a stream adds up to is what comes whole. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, Llm, Message } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { city, time, weather } from "../contract/Llm.ts"
import { isRecord } from "../fixtures/checks.ts"
import { casesOf, deltasOf, type Endpoint, startEndpoint } from "../fixtures/endpoint.ts"

let endpoint: Endpoint
beforeAll(async () => {
  endpoint = await startEndpoint("anthropic")
})
afterAll(() => endpoint.close())

const llm = Layer.unwrap(
  Effect.sync(() =>
    AnthropicLlm.layer({
      model: "some-model",
      apiKey: Redacted.make("sk-test"),
      baseUrl: endpoint.url,
      policy: Policy.make({ retry: { retries: 0 } })
    })
  )
).pipe(Layer.provide(UndiciHttpClient.layer()))

/** What the endpoint wants to see before it answers with a fixture. */
const requestOf = (fixture: string): Llm.Request => ({
  messages: [
    Message.user([
      { type: "text", text: fixture },
      Message.image(Uint8Array.of(1), "image/png"),
      Message.file("JVBERg==", "application/pdf")
    ])
  ],
  tools: [weather, time],
  ...(fixture.startsWith("object") ? { responseFormat: city } : undefined),
  ...(fixture.startsWith("reasoning") ? { reasoning: { effort: "low" } as const } : undefined)
})

const streamed = (request: Llm.Request) => Stream.runFold(Llm.streamText(request), () => Llm.collected, Llm.collect)

/** The next request of a conversation, with results for what was asked for. */
const next = (request: Llm.Request, turn: Message.AssistantMessage): Llm.Request => ({
  ...request,
  messages: [
    ...request.messages,
    turn,
    ...(turn.toolCalls ?? []).map((call) => Message.toolResult(call, "sunny", call.name === "get_time")),
    Message.user("Well?")
  ]
})

const messagesOf = (body: unknown): ReadonlyArray<unknown> =>
  isRecord(body) && Array.isArray(body.messages) ? body.messages : []

const inputs = (calls: ReadonlyArray<Message.ToolCall>) => calls.map(({ id, input, name }) => [id, name, input])

describe("AnthropicLlm over HTTP", () => {
  it.live.each(casesOf("anthropic").filter((fixture) => !fixture.endsWith("-after")))(
    "says the same of %s, whole and streamed",
    (fixture) =>
      Effect.gen(function* () {
        const request = requestOf(fixture)
        const answer = yield* Llm.generateText(request)
        const { finish, ...said } = yield* streamed(request)
        assert.deepStrictEqual([said.text, said.reasoning], [answer.text, answer.reasoning ?? ""])
        assert.deepStrictEqual(inputs(said.toolCalls), inputs(answer.toolCalls))
        assert.deepStrictEqual(finish?.message.native, answer.message.native)
        assert.strictEqual(finish?.finishReason, answer.finishReason)
        assert.deepStrictEqual(finish?.usage, answer.usage)
        assert.strictEqual(finish?.model, "claude-sonnet-5")
        assert.match(finish?.requestId ?? "", /^req_/)
      }).pipe(Effect.provide(llm))
  )

  it.live.each(["tools", "reasoning-tools"])("goes on after %s, with the turn as it was", (fixture) =>
    Effect.gen(function* () {
      const request = requestOf(fixture)
      const whole = yield* Llm.generateText(request)
      const { finish } = yield* streamed(request)
      assert.isDefined(finish)
      for (const message of finish === undefined ? [] : [whole.message, finish.message]) {
        const after = yield* Llm.generateText(next(request, message))
        assert.deepStrictEqual([after.finishReason, after.toolCalls], ["stop", []])
        assert.deepStrictEqual(messagesOf(endpoint.requests.at(-1)?.body).slice(1), [
          { role: "assistant", content: message.native?.content },
          {
            role: "user",
            content: [
              ...(message.toolCalls ?? []).map(({ id, name }) => ({
                type: "tool_result",
                tool_use_id: id,
                content: "sunny",
                ...(name === "get_time" ? { is_error: true } : undefined)
              })),
              { type: "text", text: "Well?" }
            ]
          }
        ])
      }
    }).pipe(Effect.provide(llm))
  )

  it.live("delivers no call of a stream that is cut anywhere in a tool's arguments", () =>
    Effect.gen(function* () {
      // The first two deltas are text.
      for (let deltas = 3; deltas < deltasOf("anthropic", "tools"); deltas++) {
        const seen: Array<Llm.StreamEvent["type"]> = []
        const read = Stream.runForEach(Llm.streamText(requestOf(`tools@cut:${deltas}`)), ({ type }) =>
          Effect.sync(() => void seen.push(type))
        )
        const { reason } = yield* Effect.flip(read)
        assert.deepInclude(reason, { _tag: "StreamCut", partial: "Let me look." })
        assert.deepStrictEqual([...new Set(seen)], ["text"])
      }
    }).pipe(Effect.provide(llm))
  )

  it.live("refuses the key that the API refuses, in either header", () =>
    Effect.gen(function* () {
      for (const authScheme of ["bearer", "x-api-key"] as const) {
        const options = { model: "some-model", baseUrl: endpoint.url, authScheme }
        const layerWith = (key: string) =>
          Layer.provide(AnthropicLlm.layer({ ...options, apiKey: Redacted.make(key) }), UndiciHttpClient.layer())
        const asked = Llm.generateText("text")
        assert.strictEqual((yield* Effect.flip(Effect.provide(asked, layerWith("bad-key")))).code, "Unauthorized")
        assert.strictEqual((yield* Effect.provide(asked, layerWith("sk-test"))).text, "Paris is the capital of France.")
      }
    })
  )
})
