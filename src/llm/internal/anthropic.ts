/**
 * The answers of the Messages API, read leniently: unknown fields, blocks, events and values never fail a call.
 *
 * https://platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming (2026-11).
 */
import type { ServerSentEvent } from "../../http/EventStream.ts"
import * as RetryAfter from "../../http/RetryAfter.ts"
import type { FinishReason, Request, StreamEvent } from "../Llm.ts"
import { InvalidResponse, type Reason } from "../LlmError.ts"
import type { Native, ToolCall } from "../Message.ts"
import type * as Usage from "../Usage.ts"
import { format, joined, toInput } from "./anthropicRequest.ts"
import { count, type Json, lookup, parsed, record, records, text } from "./json.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import type { Decoded, Protocol, StreamDecoder } from "./protocol.ts"
import { reasonOfStatus } from "./statusReason.ts"
import * as ToolCalls from "./toolCalls.ts"

type Redact = Protocol["redact"]

// --- what a whole answer and a stream have in common -----------------------------------------------------------------

const finishReasons: Readonly<Record<string, FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "toolCalls",
  refusal: "contentFilter"
  // pause_turn: the API's own tools need another request, with the turn as it is
}

/** Compatible servers say "end_turn" where there are calls. */
const toFinishReason = (stop: string | undefined, hasCalls: boolean): FinishReason => {
  const reason = lookup(finishReasons, stop ?? "") ?? "other"
  return reason === "stop" && hasCalls ? "toolCalls" : reason
}

/** An answer that ran out of tokens, or was stopped by the provider, breaks off inside its last block: that is no call. */
const unbroken = <A extends { readonly type?: unknown }>(
  blocks: ReadonlyArray<A>,
  stop: string | undefined
): ReadonlyArray<A> => {
  const reason = lookup(finishReasons, stop ?? "")
  const breaksOff = reason === "length" || reason === "contentFilter"
  return breaksOff && blocks.at(-1)?.type === "tool_use" ? blocks.slice(0, -1) : blocks
}

const toNative = (content: ReadonlyArray<Json>): Native | undefined =>
  content.length === 0 ? undefined : { format, content }

const toUsage = (usage: Json): Usage.Usage => {
  const cached = count(usage.cache_read_input_tokens)
  const written = count(usage.cache_creation_input_tokens)
  const reasoning = count(record(usage.output_tokens_details)?.thinking_tokens)
  return {
    // The API's own number leaves out what went to its cache and came from there.
    inputTokens: (count(usage.input_tokens) ?? 0) + (cached ?? 0) + (written ?? 0),
    outputTokens: count(usage.output_tokens) ?? 0,
    ...(cached === undefined ? undefined : { cachedInputTokens: cached }),
    ...(written === undefined ? undefined : { cacheWriteInputTokens: written }),
    ...(reasoning === undefined ? undefined : { reasoningTokens: reasoning })
  }
}

/** The provider's words for a refusal, where it has some. */
const refusalOf = (message: Json | undefined): string | undefined => {
  const words = text(record(message?.stop_details)?.explanation)
  return words === "" ? undefined : words
}

/** An error in the place of an answer: the API's own, or a gateway's without a type. */
const errorIn = (message: Json | undefined): unknown =>
  message?.type === "error" || message?.type === undefined ? (message?.error ?? undefined) : undefined

// --- the whole answer ------------------------------------------------------------------------------------------------

/** Reads a body with a 2xx status. */
export const decode = (body: string, request: Request, redact: Redact): Decoded | Reason => {
  const raw = parsed(body)
  if (raw === undefined) return new InvalidResponse({ description: "the body is not JSON", excerpt: redact(body) })
  const root = record(raw)
  const error = errorIn(root)
  if (error !== undefined) return reasonOfError(error, 200, {}, redact)
  if (root === undefined || !Array.isArray(root.content)) {
    return new InvalidResponse({ description: "the answer has no content", excerpt: redact(body) })
  }
  const stop = text(root.stop_reason)
  const content = unbroken(records(root.content), stop)
  const ids = new ToolCalls.CallIds(request)
  const toolCalls = content.flatMap((block) => (block.type === "tool_use" ? [toCall(block, ids)] : []))
  const reasoning = joined(content, "thinking")
  return {
    text: joined(content, "text"),
    reasoning: reasoning === "" ? undefined : reasoning,
    refusal: refusalOf(root),
    toolCalls,
    native: toNative(content),
    finishReason: toFinishReason(stop, toolCalls.length > 0),
    usage: toUsage(record(root.usage) ?? {}),
    model: text(root.model),
    raw
  }
}

const toCall = ({ id, input, name }: Json, ids: ToolCalls.CallIds): ToolCall =>
  ToolCalls.fromValue(ids.of(text(id)), text(name) ?? "", input)

// --- the stream ------------------------------------------------------------------------------------------------------

/** One block of a streamed answer, put together from what started it and the deltas after that. */
class Block {
  readonly type: string
  private readonly start: Json
  /** The text, the thinking, or the JSON of the arguments. */
  private said: string
  private signature: string | undefined = undefined
  private readonly citations: Array<unknown> = []

  constructor(start: Json) {
    this.start = start
    this.type = text(start.type) ?? ""
    this.said = this.type === "text" || this.type === "thinking" ? (text(start[this.type]) ?? "") : ""
  }

  /** Its text or thinking so far. */
  get text(): string {
    return this.said
  }

  /** Takes a delta; the result is what it adds to the text, the thinking or the arguments. */
  push(delta: Json): string {
    switch (delta.type) {
      case "text_delta":
        return this.add(text(delta.text))
      case "thinking_delta":
        return this.add(text(delta.thinking))
      case "input_json_delta":
        return this.add(text(delta.partial_json))
      case "signature_delta":
        this.signature = text(delta.signature)
        return ""
      case "citations_delta":
        this.citations.push(delta.citation)
        return ""
      default:
        return ""
    }
  }

  private add(piece = ""): string {
    this.said += piece
    return piece
  }

  call(ids: ToolCalls.CallIds): ToolCall {
    const { said, start } = this
    return said === "" ? toCall(start, ids) : ToolCalls.fromText(ids.of(text(start.id)), text(start.name) ?? "", said)
  }

  /** The block as an answer that comes whole has it. */
  get whole(): Json {
    const { citations, said, signature, start } = this
    switch (this.type) {
      case "text":
        return { ...start, text: said, ...(citations.length === 0 ? undefined : { citations }) }
      case "thinking":
        return { ...start, thinking: said, ...(signature === undefined ? undefined : { signature }) }
      default:
        return said === "" ? start : { ...start, input: toInput(parsed(said), said) }
    }
  }
}

/** Reads the events of one stream, and remembers what its end will be told. */
export class EventDecoder implements StreamDecoder {
  /** `message_stop` was read; a stop reason alone is no end. */
  isFinished = false
  usage: Usage.Usage | undefined = undefined
  model: string | undefined = undefined
  /** The text so far, for the errors of a stream that breaks. */
  partial = ""
  reasoning = ""
  refusal = ""
  /** Content that is no event of ours: arguments, signatures, citations, blocks of the API's own tools. */
  progress = 0
  /** A failure that the stream itself told. */
  failure: Reason | undefined = undefined
  private stop: string | undefined = undefined
  /** Counts of all events together: each says the total of what it names. */
  private counts: Json = {}
  private readonly blocks = new Map<number, Block>()
  private readonly request: Request
  private readonly redact: Redact

  constructor(request: Request, redact: Redact) {
    this.request = request
    this.redact = redact
  }

  get isDone(): boolean {
    return this.isFinished
  }

  get finishReason(): FinishReason | undefined {
    return this.stop === undefined ? undefined : toFinishReason(this.stop, this.toolCalls.length > 0)
  }

  get toolCalls(): ReadonlyArray<ToolCall> {
    const ids = new ToolCalls.CallIds(this.request)
    return this.unbroken.flatMap((block) => (block.type === "tool_use" ? [block.call(ids)] : []))
  }

  get native(): Native | undefined {
    return toNative(this.unbroken.map((block) => block.whole))
  }

  private get unbroken(): ReadonlyArray<Block> {
    return unbroken([...this.blocks.values()], this.stop)
  }

  /** Reads one event into `out`. Nothing is read after the end or a failure. */
  push({ data, event }: ServerSentEvent, out: Array<StreamEvent>): void {
    if (this.isFinished || this.failure !== undefined) return
    const raw = parsed(data)
    const message = record(raw)
    const error = errorIn(message) ?? (event === "error" ? (message ?? data) : undefined)
    if (error !== undefined) this.failure = reasonOfError(error, 200, {}, this.redact)
    else if (raw === undefined) {
      const excerpt = this.redact(data)
      const delivered = this.partial !== "" || this.reasoning !== ""
      this.failure = new InvalidResponse({ description: "an event is not JSON", excerpt, delivered })
    } else if (message !== undefined) this.pushMessage(message, out)
  }

  private pushMessage(message: Json, out: Array<StreamEvent>): void {
    switch (message.type) {
      case "message_start": {
        const start = record(message.message)
        this.model ??= text(start?.model)
        return this.count(record(start?.usage), false)
      }
      case "content_block_start":
        return this.start(count(message.index), record(message.content_block), out)
      case "content_block_delta":
        return this.pushDelta(count(message.index), record(message.delta), out)
      case "message_delta":
        return this.pushEnd(record(message.delta), record(message.usage), out)
      case "message_stop":
        this.isFinished = true
    }
  }

  /** What `message_start` says of the output is the first token; only a `message_delta` knows. */
  private count(usage: Json | undefined, isFinal: boolean): void {
    if (usage === undefined) return
    // What is null was told before.
    const told = Object.entries(usage).filter(([, value]) => value !== null)
    this.counts = { ...this.counts, ...Object.fromEntries(told) }
    this.usage = isFinal ? toUsage(this.counts) : { ...toUsage(this.counts), isEstimate: true }
  }

  private start(index = this.blocks.size, start: Json | undefined, out: Array<StreamEvent>): void {
    if (start === undefined) return
    const block = new Block(start)
    this.blocks.set(index, block)
    // Texts come in deltas; a block of another kind is content by itself.
    if (block.type === "text" || block.type === "thinking") this.tell(block, block.text, out)
    else this.progress++
  }

  private pushDelta(index = this.blocks.size - 1, delta: Json | undefined, out: Array<StreamEvent>): void {
    const block = this.blocks.get(index)
    if (block === undefined || delta === undefined) return
    const piece = block.push(delta)
    if (block.type === "text" || block.type === "thinking") this.tell(block, piece, out)
    if (piece !== "" || delta.type === "signature_delta" || delta.type === "citations_delta") this.progress++
  }

  private tell({ type }: Block, piece: string, out: Array<StreamEvent>): void {
    if (piece === "") return
    if (type === "text") {
      this.partial += piece
      out.push({ type: "text", text: piece })
    } else {
      this.reasoning += piece
      out.push({ type: "reasoning", text: piece })
    }
  }

  private pushEnd(delta: Json | undefined, usage: Json | undefined, out: Array<StreamEvent>): void {
    this.count(usage, true)
    this.stop = text(delta?.stop_reason) ?? this.stop
    const refusal = refusalOf(delta)
    if (refusal === undefined) return
    this.refusal += refusal
    out.push({ type: "refusal", text: refusal })
  }
}

// --- the errors ------------------------------------------------------------------------------------------------------

/** Reads an answer with an error status. `redact` removes known secrets from what the provider says. */
export const reasonOfResponse = (
  source: { readonly status: number; readonly headers: Readonly<Record<string, string | undefined>> },
  body: string,
  nowMillis: number,
  redact: Redact
): Reason => {
  const json = parsed(body)
  const { headers, status } = source
  const hint = RetryAfter.readAt({ status, headers, body: json }, nowMillis)
  return reasonOfError(record(json)?.error ?? json ?? redact(body).trim().slice(0, 200), status, hint, redact)
}

/** platform.claude.com/docs/en/api/errors (2026-11) */
const statuses: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529
}

/** `error.details.error_code` of a 429 that waiting does not help. */
const quotaCodes = /spend_limit|credit|billing/
/** The usage grows too fast: the one code that waiting helps. */
const rampCode = "ramp_limit_exceeded"

// The statuses have no room for these; they are told in words, mostly by a 400.
const quotaWords = /credit balance|plans & billing|spend(?:ing)? limit|api usage limits?|you will regain access/i
const lengthWords = /prompt is too long|input is too long|exceeds? (?:the )?context (?:limit|window)/i
const filterWords = /content filtering policy/i

/** The one mapping from (status, error object) to a reason: for a body, and for an error inside a stream. */
const reasonOfError = (error: unknown, httpStatus: number, hint: RetryAfter.Hint, redact: Redact): Reason => {
  const fields = record(error)
  const type = text(fields?.type) ?? ""
  const code = text(record(fields?.details)?.error_code) ?? ""
  const said = text(fields?.message) ?? text(error) ?? ""
  // Inside a stream the status is 200 already: the error's own type tells what it would have been.
  const status = httpStatus >= 200 && httpStatus < 300 ? (lookup(statuses, type) ?? 500) : httpStatus
  const description = oneLine(redact(said)) || `status ${httpStatus}`
  return reasonOfStatus(status, description, hint, {
    isQuota: isQuota(status, type, code, said),
    isLength: (status === 400 || status === 413) && lengthWords.test(said),
    isFiltered: filterWords.test(said),
    isOverloaded: type === "overloaded_error"
  })
}

const isQuota = (status: number, type: string, code: string, said: string): boolean =>
  type === "billing_error" || (status < 500 && code !== rampCode && (quotaCodes.test(code) || quotaWords.test(said)))
