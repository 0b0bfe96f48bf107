/** An answer of ours as the parts of effect/ai, whole or as it arrives. */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Result from "effect/Result"
import type { Answer, Finish, FinishReason, StreamEvent } from "../Llm.ts"
import type { Native, ToolCall } from "../Message.ts"
import type { Usage } from "../Usage.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import { key, markOf, toJsonObject, type Turn } from "./languageModelMark.ts"

type Asked = Pick<LanguageModel.ProviderOptions, "responseFormat" | "tools" | "toolCallValidation">

type Outcome<A> = Result.Result<A, AiError.AiErrorReason>

/** What came after the words: the same for both kinds of answers. */
type Told = Pick<Finish, "attempts" | "cost" | "finishReason" | "model" | "requestId" | "servedBy" | "usage">

const reasons: Readonly<Record<FinishReason, Response.FinishReason>> = {
  stop: "stop",
  length: "length",
  toolCalls: "tool-calls",
  contentFilter: "content-filter",
  other: "other"
}

/** The parts of a whole answer. */
export const partsOf = (answer: Answer, asked: Asked, timestamp: string): Outcome<Array<Response.PartEncoded>> => {
  const { message, reasoning = "", refusal = "", text } = answer
  // Where an object was asked for, words for not answering are no answer; `LlmObject` fails, too.
  if (asked.responseFormat.type === "json" && (refusal !== "" || answer.finishReason === "contentFilter")) {
    const description = oneLine(refusal) || "it filtered its answer"
    return Result.fail(new AiError.ContentPolicyError({ description, metadata: detailsOf(answer) }))
  }
  return Result.map(callsOf(answer.toolCalls, asked), (calls) => {
    const parts: Array<Response.TextPartEncoded | Response.ReasoningPartEncoded | Response.ToolCallPartEncoded> = []
    if (reasoning !== "") parts.push({ type: "reasoning", text: reasoning })
    if (text !== "") parts.push({ type: "text", text })
    if (refusal !== "") parts.push({ type: "text", text: refusal, metadata: refused })
    for (const { id, name, params } of calls) parts.push({ type: "tool-call", id, name, params })
    const mark = markOf(message.native, { text: text + refusal, reasoning, calls })
    if (mark !== undefined) {
      const last = parts.pop() ?? { type: "text", text: "" }
      parts.push({
        ...last,
        metadata: { [key]: { ...(last.metadata === refused ? refused[key] : undefined), ...mark } }
      })
    }
    return [...parts, ...endOf(answer, refusal !== "", timestamp)]
  })
}

/** The mark of a model's words for not answering. */
const refused = { [key]: { refusal: true } }

type Call = Turn["calls"][number] & { readonly inputText: string }

/** Arguments that are no JSON go on as text: effect/ai finds that they do not fit, and the tool says what comes of it. */
const callsOf = (
  calls: ReadonlyArray<ToolCall>,
  { tools, toolCallValidation }: Asked
): Outcome<ReadonlyArray<Call>> => {
  const availableTools = tools.map((tool) => tool.name)
  const unknown = calls.find(({ name }) => !availableTools.includes(name))
  if (unknown !== undefined && toolCallValidation !== "deferred") {
    return Result.fail(new AiError.ToolNotFoundError({ toolName: unknown.name, availableTools }))
  }
  return Result.succeed(
    calls.map(({ id, input, inputText, name }) => {
      return { id, name, inputText, params: input === undefined ? inputText : input }
    })
  )
}

const detailsOf = ({ attempts, cost, requestId, servedBy, usage }: Told) => ({
  [key]: toJsonObject({ attempts, cost, requestId, servedBy, isEstimate: usage.isEstimate })
})

/** The last parts. Their response has no `id`: an `Llm` is asked with the whole conversation each time, never by an id. */
const endOf = (
  told: Told,
  isRefused: boolean,
  timestamp: string
): [Response.ResponseMetadataPartEncoded, Response.FinishPartEncoded] => {
  const reason = isRefused && told.finishReason === "stop" ? "contentFilter" : told.finishReason
  return [
    { type: "response-metadata", modelId: told.model, timestamp },
    { type: "finish", reason: reasons[reason], usage: usageOf(told.usage), metadata: detailsOf(told) }
  ]
}

const usageOf = (usage: Usage): Response.FinishPartEncoded["usage"] => {
  const { cachedInputTokens, cacheWriteInputTokens, inputTokens, outputTokens, reasoningTokens } = usage
  // No tokens at all is a provider that did not say.
  if (inputTokens + outputTokens === 0) return { inputTokens: {}, outputTokens: {} }
  return {
    inputTokens: {
      total: inputTokens,
      uncached: Math.max(0, inputTokens - (cachedInputTokens ?? 0) - (cacheWriteInputTokens ?? 0)),
      cacheRead: cachedInputTokens,
      cacheWrite: cacheWriteInputTokens
    },
    outputTokens: {
      total: outputTokens,
      text: reasoningTokens === undefined ? undefined : Math.max(0, outputTokens - reasoningTokens),
      reasoning: reasoningTokens
    }
  }
}

type Kind = "text" | "reasoning" | "refusal"

type StreamPart = Response.StreamPartEncoded

/** The parts of one streamed answer. */
export class StreamedParts {
  private readonly id: string
  private readonly asked: Asked
  private blocks = 0
  private open: { readonly kind: Kind; readonly id: string } | undefined
  /** Words and refusals in their order, as a history joins them. */
  private text = ""
  private reasoning = ""
  private isRefused = false
  private readonly calls: Array<ToolCall> = []

  /** `id` begins the ids of the answer's blocks. */
  constructor(id: string, asked: Asked) {
    this.id = id
    this.asked = asked
  }

  /** The parts of an event before the last one. */
  push(event: Exclude<StreamEvent, Finish | { readonly type: "reset" }>): ReadonlyArray<StreamPart> {
    if (event.type === "toolCall") {
      // The turn as its provider wrote it is known with the finish, and the last call carries it.
      this.calls.push(event.call)
      return []
    }
    if (event.type === "reasoning") this.reasoning += event.text
    else this.text += event.text
    if (event.type === "refusal") this.isRefused = true
    return this.append(event.type, event.text)
  }

  /** The last parts. */
  finish(event: Finish, timestamp: string): Outcome<ReadonlyArray<StreamPart>> {
    return Result.map(callsOf(this.calls, this.asked), (calls) => {
      const metadata = this.metadataOf(event.message.native, calls)
      const end = endOf(event, this.isRefused, timestamp)
      if (calls.length === 0) return [...this.last(metadata), ...end]
      const called = calls.flatMap((call, index) => calledBy(call, index === calls.length - 1 ? metadata : undefined))
      return [...this.close(), ...called, ...end]
    })
  }

  private metadataOf(native: Native | undefined, calls: Turn["calls"]): Response.ProviderMetadata | undefined {
    const mark = markOf(native, { text: this.text, reasoning: this.reasoning, calls })
    return mark === undefined ? undefined : { [key]: mark }
  }

  /** The end of what was said; where nothing was, an empty text that carries the turn. */
  private last(metadata: Response.ProviderMetadata | undefined): ReadonlyArray<StreamPart> {
    if (this.open !== undefined || metadata === undefined) return this.close(metadata)
    return [...this.begin("text"), ...this.close(metadata)]
  }

  private append(kind: Kind, delta: string): ReadonlyArray<StreamPart> {
    const begun = this.open?.kind === kind ? [] : [...this.close(), ...this.begin(kind)]
    const id = this.open?.id ?? ""
    return [...begun, { type: kind === "reasoning" ? "reasoning-delta" : "text-delta", id, delta }]
  }

  private begin(kind: Kind): Array<StreamPart> {
    const id = `${this.id}_${this.blocks++}`
    this.open = { kind, id }
    if (kind === "refusal") return [{ type: "text-start", id, metadata: refused }]
    return [{ type: kind === "text" ? "text-start" : "reasoning-start", id }]
  }

  private close(metadata?: Response.ProviderMetadata): Array<StreamPart> {
    const { open } = this
    if (open === undefined) return []
    this.open = undefined
    return [{ type: open.kind === "reasoning" ? "reasoning-end" : "text-end", id: open.id, metadata }]
  }
}

/** A call is told when its arguments are complete, so they are one delta. */
const calledBy = (
  { id, inputText, name, params }: Call,
  metadata: Response.ProviderMetadata | undefined
): Array<StreamPart> => [
  { type: "tool-params-start", id, name },
  { type: "tool-params-delta", id, delta: inputText },
  { type: "tool-params-end", id },
  { type: "tool-call", id, name, params, metadata }
]
