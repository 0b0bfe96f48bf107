/**
 * Our layers beside the official clients, over the same fake of each provider: asked the same, both read the same text,
 * the same calls of tools, the same end and the same usage, in the words of ours.
 */
import Anthropic, { APIError as AnthropicError } from "@anthropic-ai/sdk"
import {
  ApiError,
  type Content,
  GoogleGenAI,
  type GenerateContentConfig,
  type GenerateContentResponse
} from "@google/genai"
import { Effect, Layer, Redacted, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, DeepSeekLlm, GeminiLlm, Llm, type LlmError, Message, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import OpenAI, { APIError as OpenAiError } from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { city, time, weather } from "../../contract/Llm.ts"
import { casesOf, type Endpoint, type Name, startEndpoint } from "../../fixtures/endpoint.ts"
import { errors } from "../../fixtures/errors.ts"

/** What an answer says, in the words of ours. */
interface Told {
  readonly text: string
  readonly reasoning: string | undefined
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: string; readonly input: unknown }>
  readonly finish: string
  readonly usage: {
    readonly inputTokens: number
    readonly outputTokens: number
    readonly cachedInputTokens?: number | undefined
    readonly cacheWriteInputTokens?: number | undefined
    readonly reasoningTokens?: number | undefined
  }
}

/** An answer, and how to go on with what came of its calls. */
interface Asked {
  readonly told: Told
  readonly goOn: (result: string) => Promise<Asked>
}

interface Official {
  readonly ask: (name: string, isStream: boolean) => Promise<Asked>
  /** The status of its error. */
  readonly statusOf: (error: unknown) => number | undefined
}

const key = "sk-test"
const maxTokens = 4096
const png = "iVBORw0KGgo="
const pdf = "JVBERi0="

const hasTools = (name: string): boolean => name.includes("tools")
const hasFormat = (name: string): boolean => name.startsWith("object") || name === "blank-json"
const isImage = (name: string): boolean => name === "image"
const isFile = (name: string): boolean => name === "file"

const { schema } = city.type === "jsonSchema" ? city : { schema: {} }
/** Two choices, of which ours is the first. */
const extraOf = (name: string) => (name === "logprobs" ? { logprobs: true, n: 2 } : undefined)

const noParameters = { type: "object", properties: {} }

/** A string that a client's types do not know. */
const own = (from: object | undefined, name: string): string | undefined => {
  const value: unknown = from === undefined ? undefined : Object.entries(from).find(([key]) => key === name)?.[1]
  return typeof value === "string" && value !== "" ? value : undefined
}

// --- OpenAI and DeepSeek ----------------------------------------------------------------------------------------------

const chatFinish: Readonly<Record<string, string>> = {
  stop: "stop",
  length: "length",
  tool_calls: "toolCalls",
  content_filter: "contentFilter"
}

/** What a completion says, whole or added up. */
interface Completed {
  readonly message: Pick<OpenAI.ChatCompletionMessage, "content" | "refusal" | "tool_calls">
  readonly finish: string | undefined
  readonly usage: OpenAI.CompletionUsage | undefined
  readonly reasoning: string
}

const chatTold = ({ finish, message, reasoning, usage }: Completed): Told => {
  const calls = (message.tool_calls ?? []).filter((call) => call.type === "function")
  return {
    text: message.content ?? "",
    reasoning: reasoning === "" ? undefined : reasoning,
    calls: calls.map(({ function: { arguments: input, name }, id }) => ({
      id,
      name,
      input: JSON.parse(input || "{}")
    })),
    // A refusal is a message of its own to OpenAI, and an end to us.
    finish: message.refusal ? "contentFilter" : (chatFinish[finish ?? ""] ?? "other"),
    usage: {
      inputTokens: usage?.prompt_tokens ?? NaN,
      outputTokens: usage?.completion_tokens ?? NaN,
      cachedInputTokens: usage?.prompt_tokens_details?.cached_tokens,
      reasoningTokens: usage?.completion_tokens_details?.reasoning_tokens
    }
  }
}

type ChatParams = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "stream">

const thoughtIn = (from: object | undefined): string => own(from, "reasoning_content") ?? own(from, "reasoning") ?? ""

const completed = ({ choices, usage }: OpenAI.ChatCompletion, reasoning: string): Completed => ({
  message: choices[0]?.message ?? { content: null, refusal: null },
  finish: choices[0]?.finish_reason,
  usage,
  reasoning
})

const complete = async (client: OpenAI, params: ChatParams): Promise<Completed> => {
  const completion = await client.chat.completions.create(params)
  return completed(completion, thoughtIn(completion.choices[0]?.message))
}

const stream_options = { include_usage: true }

/** By the client's own helper, which puts the fragments together. */
const addUp = async (client: OpenAI, params: ChatParams): Promise<Completed> => {
  let reasoning = ""
  const stream = client.chat.completions.stream({ ...params, stream_options })
  stream.on("chunk", ({ choices }) => {
    reasoning += thoughtIn(choices[0]?.delta)
  })
  return completed(await stream.finalChatCompletion(), reasoning)
}

/** The helper refuses a choice without an index; the chunks themselves are read. */
const addUpChunks = async (client: OpenAI, params: ChatParams): Promise<Completed> => {
  const seen: { content: string; finish?: string; usage?: OpenAI.CompletionUsage } = { content: "" }
  for await (const chunk of await client.chat.completions.create({ ...params, stream: true, stream_options })) {
    seen.content += chunk.choices[0]?.delta.content ?? ""
    seen.finish = chunk.choices[0]?.finish_reason ?? seen.finish ?? ""
    if (chunk.usage) seen.usage = chunk.usage
  }
  const { content, finish, usage } = seen
  return { message: { content, refusal: null }, finish, usage, reasoning: "" }
}

const chatContent = (name: string): OpenAI.ChatCompletionUserMessageParam["content"] => {
  const text = { type: "text" as const, text: name }
  if (isImage(name)) return [text, { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }]
  if (!isFile(name)) return name
  return [text, { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${pdf}` } }]
}

const chatTools = [weather, { ...time, parameters: noParameters }].map(({ description, name, parameters }) => ({
  type: "function" as const,
  function: { name, description: description ?? "", parameters: { ...parameters } }
}))

const chat = (baseURL: string, model: string, isDeepSeek: boolean): Official => {
  const client = new OpenAI({ apiKey: key, baseURL, maxRetries: 0 })
  const format = isDeepSeek
    ? { type: "json_object" as const }
    : { type: "json_schema" as const, json_schema: { name: "answer", schema: { ...schema } } }
  // DeepSeek wants the word in the messages.
  const json: ReadonlyArray<OpenAI.ChatCompletionMessageParam> = isDeepSeek
    ? [{ role: "system", content: "Answer in JSON." }]
    : []
  const send = async (
    name: string,
    isStream: boolean,
    messages: ReadonlyArray<OpenAI.ChatCompletionMessageParam>
  ): Promise<Asked> => {
    const params: ChatParams = {
      model,
      messages: [...messages],
      max_tokens: maxTokens,
      ...(hasTools(name) && { tools: chatTools }),
      ...(hasFormat(name) && { response_format: format }),
      ...extraOf(name)
    }
    const ask = !isStream ? complete : name === "extras" ? addUpChunks : addUp
    const answer = await ask(client, params)
    return {
      told: chatTold(answer),
      goOn: (content) => {
        const { message, reasoning } = answer
        const calls = message.tool_calls ?? []
        const results = calls.map(({ id }) => ({ role: "tool" as const, tool_call_id: id, content }))
        const turn = { role: "assistant" as const, content: message.content, tool_calls: calls }
        // Its types do not know that DeepSeek wants this back.
        const thought = reasoning === "" ? undefined : { reasoning_content: reasoning }
        return send(name, isStream, [...messages, { ...turn, ...thought }, ...results])
      }
    }
  }
  return {
    ask: (name, isStream) => send(name, isStream, [...json, { role: "user", content: chatContent(name) }]),
    statusOf: (error) => (error instanceof OpenAiError ? error.status : undefined)
  }
}

// --- Anthropic --------------------------------------------------------------------------------------------------------

const messageFinish: Readonly<Record<string, string>> = {
  end_turn: "stop",
  max_tokens: "length",
  tool_use: "toolCalls",
  refusal: "contentFilter"
}

const messageTold = ({ content, stop_reason, usage }: Anthropic.Message): Told => {
  const said = content.flatMap((block) => (block.type === "text" ? [block.text] : []))
  const thought = content.flatMap((block) => (block.type === "thinking" ? [block.thinking] : []))
  const cached = usage.cache_read_input_tokens ?? 0
  const written = usage.cache_creation_input_tokens ?? 0
  return {
    text: said.join(""),
    reasoning: thought.length === 0 ? undefined : thought.join(""),
    calls: content.flatMap((block) =>
      block.type === "tool_use" ? [{ id: block.id, name: block.name, input: block.input }] : []
    ),
    finish: messageFinish[stop_reason ?? ""] ?? "other",
    usage: {
      // What came from the cache and went there is not among its input tokens.
      inputTokens: usage.input_tokens + cached + written,
      outputTokens: usage.output_tokens,
      cachedInputTokens: cached,
      cacheWriteInputTokens: written,
      reasoningTokens: usage.output_tokens_details?.thinking_tokens
    }
  }
}

const messageContent = (name: string): Anthropic.MessageParam["content"] => {
  const text = { type: "text" as const, text: name }
  if (isImage(name)) return [text, { type: "image", source: { type: "base64", media_type: "image/png", data: png } }]
  if (!isFile(name)) return name
  return [text, { type: "document", source: { type: "base64", media_type: "application/pdf", data: pdf } }]
}

const messages = (baseURL: string, model: string): Official => {
  const client = new Anthropic({ apiKey: key, baseURL, maxRetries: 0 })
  const tools = [weather, { ...time, parameters: noParameters }].map(({ description, name, parameters }) => ({
    name,
    description: description ?? "",
    input_schema: { ...parameters, type: "object" as const }
  }))
  const send = async (
    name: string,
    isStream: boolean,
    history: ReadonlyArray<Anthropic.MessageParam>
  ): Promise<Asked> => {
    const params: Anthropic.MessageCreateParamsNonStreaming = {
      model,
      max_tokens: maxTokens,
      messages: [...history],
      ...(hasTools(name) && { tools }),
      ...(hasFormat(name) && { output_config: { format: { type: "json_schema", schema: { ...schema } } } })
    }
    const message = isStream
      ? await client.messages.stream(params).finalMessage()
      : await client.messages.create(params)
    return {
      told: messageTold(message),
      goOn: (content) => {
        const results = message.content.flatMap((block) =>
          block.type === "tool_use" ? [{ type: "tool_result" as const, tool_use_id: block.id, content }] : []
        )
        const turn = { role: "assistant" as const, content: message.content }
        return send(name, isStream, [...history, turn, { role: "user", content: results }])
      }
    }
  }
  return {
    ask: (name, isStream) => send(name, isStream, [{ role: "user", content: messageContent(name) }]),
    statusOf: (error) => (error instanceof AnthropicError ? error.status : undefined)
  }
}

// --- Gemini -----------------------------------------------------------------------------------------------------------

const contentFinish: Readonly<Record<string, string>> = { STOP: "stop", MAX_TOKENS: "length", SAFETY: "contentFilter" }

const contentTold = (
  responses: ReadonlyArray<GenerateContentResponse>
): { readonly told: Told; readonly turn: Content } => {
  const parts = responses.flatMap(({ candidates }) => candidates?.[0]?.content?.parts ?? [])
  const functions = parts.flatMap(({ functionCall }) => functionCall ?? [])
  const usage = responses.at(-1)?.usageMetadata
  const reason = responses.at(-1)?.candidates?.[0]?.finishReason
  const thoughts = parts.flatMap(({ text = "", thought }) => (thought === true ? [text] : []))
  const finish = contentFinish[reason ?? ""] ?? "other"
  return {
    turn: { role: "model", parts },
    told: {
      text: parts.map(({ text = "", thought }) => (thought === true ? "" : text)).join(""),
      reasoning: thoughts.length === 0 ? undefined : thoughts.join(""),
      // Gemini need not name its calls; ours have names always.
      calls: functions.map(({ args, id, name = "" }, at) => ({ id: id ?? `call_${at}`, name, input: args })),
      // There is no end for calls.
      finish: finish === "stop" && functions.length > 0 ? "toolCalls" : finish,
      usage: {
        inputTokens: usage?.promptTokenCount ?? NaN,
        // Thoughts are not among its candidates' tokens; a blocked answer has none.
        outputTokens: (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0),
        cachedInputTokens: usage?.cachedContentTokenCount,
        reasoningTokens: usage?.thoughtsTokenCount
      }
    }
  }
}

const contentParts = (name: string): Content["parts"] & object => {
  if (isImage(name)) return [{ text: name }, { inlineData: { mimeType: "image/png", data: png } }]
  if (isFile(name)) return [{ text: name }, { inlineData: { mimeType: "application/pdf", data: pdf } }]
  return [{ text: name }]
}

const contents = (baseUrl: string, model: string): Official => {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl } })
  const declarations = [weather, time].map(({ description = "", name, parameters = noParameters }) => ({
    name,
    description,
    parametersJsonSchema: parameters
  }))
  const send = async (name: string, isStream: boolean, history: ReadonlyArray<Content>): Promise<Asked> => {
    const config: GenerateContentConfig = {
      maxOutputTokens: maxTokens,
      ...(hasTools(name) && { tools: [{ functionDeclarations: declarations }] }),
      ...(hasFormat(name) && { responseMimeType: "application/json", responseJsonSchema: schema })
    }
    const params = { model, contents: [...history], config }
    const responses: Array<GenerateContentResponse> = []
    if (isStream) {
      for await (const response of await client.models.generateContentStream(params)) responses.push(response)
    } else responses.push(await client.models.generateContent(params))
    const { told, turn } = contentTold(responses)
    return {
      told,
      goOn: (output) => {
        const parts = (turn.parts ?? []).flatMap(({ functionCall }) =>
          functionCall === undefined
            ? []
            : [{ functionResponse: { ...functionCall, args: undefined, response: { output } } }]
        )
        return send(name, isStream, [...history, turn, { role: "user", parts }])
      }
    }
  }
  return {
    ask: (name, isStream) => send(name, isStream, [{ role: "user", parts: contentParts(name) }]),
    statusOf: (error) => (error instanceof ApiError ? error.status : undefined)
  }
}

// --- ours -------------------------------------------------------------------------------------------------------------

type Make = (shared: {
  readonly apiKey: Redacted.Redacted<string>
  readonly baseUrl: string
  readonly policy: Policy.Policy
}) => Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>

const toTold = (
  { finishReason, usage }: Pick<Llm.Answer, "finishReason" | "usage">,
  { reasoning, text, toolCalls }: Pick<Llm.Answer, "reasoning" | "text" | "toolCalls">
): Told => ({
  text,
  reasoning: reasoning === "" ? undefined : reasoning,
  calls: toolCalls.map(({ id, input, name }) => ({ id, name, input })),
  finish: finishReason,
  usage
})

const ourContent = (name: string): string | ReadonlyArray<Message.Part> => {
  if (isImage(name)) return [{ type: "text", text: name }, Message.image(png, "image/png")]
  if (isFile(name)) return [{ type: "text", text: name }, Message.file(pdf, "application/pdf", "a.pdf")]
  return name
}

const ours = (make: Make, baseUrl: string) => {
  // One send, as the official clients are told.
  const policy = Policy.make({ retry: { retries: 0 } })
  const llm = Layer.provide(make({ apiKey: Redacted.make(key), baseUrl, policy }), UndiciHttpClient.layer())
  const run = <A, E>(effect: Effect.Effect<A, E, Llm.Llm>): Promise<A> => Effect.runPromise(Effect.provide(effect, llm))
  const asking = (name: string, history: ReadonlyArray<Message.Message>): Llm.Request => ({
    messages: history,
    maxTokens,
    ...(hasTools(name) && { tools: [weather, time] }),
    ...(hasFormat(name) && { responseFormat: city }),
    extra: extraOf(name)
  })
  const told = async (request: Llm.Request, isStream: boolean) => {
    if (!isStream) {
      const answer = await run(Llm.generateText(request))
      return { told: toTold(answer, answer), message: answer.message }
    }
    const said = await run(Stream.runFold(Llm.streamText(request), () => Llm.collected, Llm.collect))
    if (said.finish === undefined) throw new Error("the stream ended without a finish event")
    return { told: toTold(said.finish, said), message: said.finish.message }
  }
  const send = async (name: string, isStream: boolean, history: ReadonlyArray<Message.Message>): Promise<Asked> => {
    const { message, told: one } = await told(asking(name, history), isStream)
    return {
      told: one,
      goOn: (content) => {
        const results = (message.toolCalls ?? []).map((call) => Message.toolResult(call, content))
        return send(name, isStream, [...history, message, ...results])
      }
    }
  }
  return {
    ask: (name: string, isStream: boolean) => send(name, isStream, [Message.user(ourContent(name))]),
    fail: (name: string, isStream: boolean): Promise<LlmError.LlmError> => {
      const request = asking(name, [Message.user(name)])
      return isStream
        ? run(Effect.flip(Stream.runDrain(Llm.streamText(request))))
        : run(Effect.flip(Llm.generateText(request)))
    }
  }
}

// --- both -------------------------------------------------------------------------------------------------------------

interface Provider {
  readonly name: Name
  readonly official: (url: string) => Official
  readonly make: Make
  /** The headers that say who asks, and in which version. */
  readonly headers: ReadonlyArray<string>
  /** Cases that the official client takes for answers, and we do not: what they are to us. */
  readonly failures: Readonly<Record<string, string>>
}

const providers: ReadonlyArray<Provider> = [
  {
    name: "openai",
    official: (url) => chat(url, "gpt-5.2", false),
    make: (shared) => OpenAiLlm.layer({ ...shared, model: "gpt-5.2" }),
    headers: ["authorization", "content-type"],
    failures: {}
  },
  {
    name: "deepseek",
    official: (url) => chat(url, "deepseek-flash", true),
    make: (shared) => DeepSeekLlm.layer({ ...shared, model: "deepseek-flash" }),
    headers: ["authorization", "content-type"],
    failures: { "no-capacity": "Overloaded", "blank-json": "InvalidResponse" }
  },
  {
    name: "anthropic",
    official: (url) => messages(url, "claude-sonnet-5"),
    make: (shared) => AnthropicLlm.layer({ ...shared, model: "claude-sonnet-5" }),
    headers: ["authorization", "x-api-key", "anthropic-version", "content-type"],
    failures: {}
  },
  {
    name: "gemini",
    official: (url) => contents(url, "gemini-3-flash"),
    make: (shared) => GeminiLlm.layer({ ...shared, model: "gemini-3-flash" }),
    headers: ["x-goog-api-key", "authorization", "content-type"],
    failures: { "prompt-blocked": "ContentFiltered" }
  }
]

const doors = [
  ["whole", false],
  ["streamed", true]
] as const

describe.each(providers)("$name, official and ours", ({ failures, headers, make, name, official }) => {
  const cases = casesOf(name).filter((one) => !one.endsWith("-after") && !Object.hasOwn(failures, one))
  let endpoint: Endpoint
  let theirs: Official
  let mine: ReturnType<typeof ours>

  beforeAll(async () => {
    endpoint = await startEndpoint(name)
    theirs = official(endpoint.url)
    mine = ours(make, endpoint.url)
  })
  afterAll(() => endpoint.close())

  describe.each(doors)("%s", (_, isStream) => {
    it.each(cases)("read %s alike", async (one) => {
      const expected = await theirs.ask(one, isStream)
      const answer = await mine.ask(one, isStream)
      expect(expected.told.usage.inputTokens).toBeGreaterThan(0)
      expect(answer.told).toEqual(expected.told)
    })

    it.each(cases.filter(hasTools))("go on alike with what came of %s", async (one) => {
      const expected = await (await theirs.ask(one, isStream)).goOn("21 degrees")
      const answer = await (await mine.ask(one, isStream)).goOn("21 degrees")
      expect(expected.told.text).not.toBe("")
      expect(answer.told).toEqual(expected.told)
    })

    it.each(Object.entries(failures))("differ about %s: it is %s to us", async (one, code) => {
      // The official client gives it out as an answer.
      await theirs.ask(one, isStream)
      const error = await mine.fail(one, isStream)
      expect(error.code).toBe(code)
    })

    it("tell each error by the same status", async () => {
      for (const { case: one, status } of errors[name]) {
        const refused = await theirs.ask(one, isStream).then(
          () => undefined,
          (error: unknown) => theirs.statusOf(error)
        )
        const error = await mine.fail(one, isStream)
        expect([one, error.status ?? error.code]).toEqual([one, refused])
        expect(status).toBe(refused)
      }
    })
  })

  it("show the key and the version alike", async () => {
    const shown = async (ask: () => Promise<unknown>) => {
      const before = endpoint.requests.length
      await ask()
      const sent = endpoint.requests.slice(before)
      expect(sent).toHaveLength(1)
      return { path: sent[0]?.path, headers: headers.map((header) => [header, sent[0]?.headers[header]]) }
    }
    for (const [, isStream] of doors) {
      expect(await shown(() => mine.ask("text", isStream))).toEqual(await shown(() => theirs.ask("text", isStream)))
    }
  })
})
