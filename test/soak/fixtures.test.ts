/**
 * The recorded answers of every provider, damaged at random: cut anywhere, bytes flipped, fields dropped, added and
 * changed. A call ends, with an answer or a typed error; a stream is a success only with its finish marker; and where only
 * the packets changed, the answer is the same to the letter.
 */
import { Cause, Effect, Exit, Layer, Redacted, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { AnthropicLlm, GeminiLlm, Llm, LlmError, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { casesOf, eventsOf, type Name, readFixture } from "../fixtures/endpoint.ts"
import { figures } from "./figures.ts"
import { atScale } from "./scale.ts"

type Next = (below: number) => number

const policy = Policy.make({ retry: { retries: 0 }, timeout: { total: "20 seconds" } })
const apiKey = Redacted.make("sk-test")

interface Provider {
  readonly layer: Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>
  /** Whether a text of events has the marker of an end, read without any of our decoders. */
  readonly isFinished: (events: string) => boolean
}

const chat = (provider: Name, options: Partial<OpenAiLlm.Options> = {}): Provider => ({
  layer: OpenAiLlm.layer({ model: "m", apiKey, provider, baseUrl: "http://llm.test/v1", policy, ...options }),
  isFinished: (events) => /"finish_reason"\s*:\s*"/.test(events)
})

const providers: Readonly<Record<Name, Provider>> = {
  openai: chat("openai"),
  deepseek: chat("deepseek", { thinking: "deepseek", jsonSchema: false }),
  anthropic: {
    layer: AnthropicLlm.layer({ model: "m", apiKey, baseUrl: "http://llm.test", policy }),
    isFinished: (events) => events.includes("message_stop")
  },
  gemini: {
    layer: GeminiLlm.layer({ model: "m", apiKey, baseUrl: "http://llm.test", policy }),
    isFinished: (events) => /"finishReason"\s*:\s*"|"blockReason"/.test(events)
  }
}

/** A body in pieces of any size. */
const inPieces = (bytes: Uint8Array, next: Next, type: string): Response => {
  const largest = [1, 3, 16, 256, 65_536][next(5)] ?? 1
  let at = 0
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (at < bytes.length) return controller.enqueue(bytes.slice(at, (at += 1 + next(largest))))
      controller.close()
    }
  })
  return new Response(body, { headers: { "content-type": type } })
}

interface Ended {
  readonly said: Llm.Collected
  readonly error: unknown
}

const ask = async (
  { layer }: Provider,
  bytes: Uint8Array,
  next: Next,
  type: string,
  read: Effect.Effect<Llm.Collected, LlmError.LlmError, Llm.Llm>
): Promise<Ended> => {
  const http = TestHttpClient.layer(() => Effect.sync(() => inPieces(bytes, next, type)))
  const exit = await Effect.runPromiseExit(Effect.provide(read, Layer.provide(layer, http)))
  if (Exit.isSuccess(exit)) return { said: exit.value, error: undefined }
  assert.isFalse(Cause.hasDies(exit.cause), Cause.pretty(exit.cause))
  return { said: Llm.collected, error: Cause.squash(exit.cause) }
}

const request = Llm.toRequest("hi")

const stream = (provider: Provider, bytes: Uint8Array, next: Next): Promise<Ended> =>
  ask(
    provider,
    bytes,
    next,
    "text/event-stream",
    Effect.suspend(() => Stream.runFold(Llm.streamText(request), () => Llm.collected, Llm.collect))
  )

const whole = (provider: Provider, bytes: Uint8Array, next: Next): Promise<Ended> =>
  ask(
    provider,
    bytes,
    next,
    "application/json",
    Effect.map(Llm.generateText(request), ({ reasoning = "", refusal = "", text, toolCalls, ...end }) => ({
      text,
      reasoning,
      refusal,
      toolCalls,
      finish: { type: "finish", ...end }
    }))
  )

/** What must hold whatever came. */
const check = ({ error, said }: Ended, what: string): void => {
  if (error !== undefined) {
    assert.instanceOf(error, LlmError.LlmError, what)
    assert.notInclude(["AttemptTimeout", "DeadlineExceeded", "FirstContentTimeout", "StreamStalled"], error.code, what)
    assert.match(error.message, /^[^\n\r]+$/, what)
    return
  }
  assert.isDefined(said.finish, `${what}: a success without a finish`)
  for (const text of [said.text, said.reasoning, said.refusal, said.finish?.model]) assert.isString(text, what)
  for (const { id, inputText, name } of said.toolCalls) {
    for (const text of [id, inputText, name]) assert.isString(text, what)
    assert.isNotEmpty(id, what)
  }
  const { inputTokens, outputTokens } = said.finish?.usage ?? {}
  assert.isTrue(Number.isFinite(inputTokens) && Number.isFinite(outputTokens), what)
}

const encoder = new TextEncoder()

const values: ReadonlyArray<unknown> = [null, "", "x", 0, -1, 1e308, true, [], {}, [[]], [null], { index: "0" }]

/** Drops, adds or changes something, somewhere in a value. */
const damage = (value: unknown, next: Next): unknown => {
  if (typeof value !== "object" || value === null) return values[next(values.length)]
  const keys = Object.keys(value)
  const key = keys[next(keys.length + 1)] ?? "novelty"
  if (next(4) > 0 && key in value) {
    const inner: unknown = Object.entries(value).find(([name]) => name === key)?.[1]
    if (typeof inner === "object" && inner !== null) return put(value, key, damage(inner, next))
  }
  switch (next(3)) {
    case 0:
      return Array.isArray(value)
        ? value.filter((_, at) => String(at) !== key)
        : Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))
    default:
      return put(value, key, values[next(values.length)])
  }
}

const put = (value: object, key: string, inner: unknown): unknown =>
  Array.isArray(value)
    ? value.map((item: unknown, at) => (String(at) === key ? inner : item))
    : { ...value, [key]: inner }

const damageEvents = (events: ReadonlyArray<string>, next: Next): string => {
  const changed = [...events]
  for (let times = 1 + next(3); times > 0; times--) {
    const at = next(changed.length)
    changed[at] = (changed[at] ?? "").replace(/^data: ?(\{.*\})(?=\r?$)/m, (_, json: string) => {
      return `data: ${JSON.stringify(damage(JSON.parse(json), next))}`
    })
  }
  // Events lost, doubled and out of order.
  if (next(4) === 0) changed.splice(next(changed.length), next(2))
  if (next(8) === 0) changed.splice(next(changed.length), 0, changed[next(changed.length)] ?? "")
  return changed.join("")
}

const flip = (bytes: Uint8Array, next: Next): Uint8Array => {
  for (let flips = 1 + next(4); flips > 0; flips--) {
    const at = next(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8))
  }
  return bytes
}

const names = ["openai", "deepseek", "anthropic", "gemini"] as const

const all = names.flatMap((name) => casesOf(name).map((fixture) => ({ name, provider: providers[name], fixture })))

describe("recorded answers, damaged", { timeout: 900_000 }, () => {
  // 10 000 in all.
  const total = atScale(2500)
  const each = async (use: (one: (typeof all)[number], next: Next, what: string) => Promise<void>): Promise<void> => {
    for (let seed = 1; seed <= total; seed++) {
      const one = all[seed % all.length]
      if (one !== undefined) await use(one, figures(seed), `seed ${seed}, ${one.name} ${one.fixture}`)
    }
  }

  it("are the same answer in any packets", async () => {
    await each(async ({ fixture, name, provider }, next, what) => {
      const bytes = encoder.encode(readFixture(name, fixture, "sse"))
      const [one, other] = [await stream(provider, bytes, () => 4), await stream(provider, bytes, next)]
      check(other, what)
      const { finish, ...said } = other.said
      assert.deepEqual(said, withoutFinish(one.said), what)
      assert.deepEqual(finish?.usage, one.said.finish?.usage, what)
      assert.deepEqual(codeOf(other), codeOf(one), what)
    })
  })

  it("are an answer only with their finish marker, wherever they are cut off", async () => {
    await each(async ({ fixture, name, provider }, next, what) => {
      const bytes = encoder.encode(readFixture(name, fixture, "sse"))
      const left = bytes.subarray(0, next(bytes.length))
      const ended = await stream(provider, left, next)
      check(ended, what)
      const text = new TextDecoder().decode(left)
      if (!provider.isFinished(text)) assert.isDefined(ended.error, `${what}, cut at ${left.length}`)
      const full = (await stream(provider, bytes, () => 4)).said
      assert.isTrue(full.text.startsWith(ended.said.text), what)
    })
  })

  it("survive fields that are dropped, added and changed", async () => {
    await each(async ({ fixture, name, provider }, next, what) => {
      const events = damageEvents(eventsOf(name, fixture), next)
      const ended = await stream(provider, encoder.encode(events), next)
      check(ended, what)
      if (!provider.isFinished(events)) assert.isDefined(ended.error, what)
      const body = readFixture(name, fixture, "json")
      check(await whole(provider, encoder.encode(JSON.stringify(damage(JSON.parse(body), next))), next), what)
    })
  })

  it("survive bits that flip anywhere", async () => {
    await each(async ({ fixture, name, provider }, next, what) => {
      const bytes = flip(encoder.encode(readFixture(name, fixture, "sse")), next)
      const ended = await stream(provider, bytes, next)
      check(ended, what)
      if (!provider.isFinished(new TextDecoder().decode(bytes))) assert.isDefined(ended.error, what)
      check(await whole(provider, flip(encoder.encode(readFixture(name, fixture, "json")), next), next), what)
    })
  })
})

const withoutFinish = ({ finish: _finish, ...said }: Llm.Collected): Omit<Llm.Collected, "finish"> => said

const codeOf = ({ error }: Ended): string | undefined => (error instanceof LlmError.LlmError ? error.code : undefined)
