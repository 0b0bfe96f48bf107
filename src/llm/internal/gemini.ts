/**
 * The answers of Gemini's `generateContent`, read leniently: unknown fields and values never fail a call. A stream's
 * events are whole responses with new parts, so one reader serves both.
 *
 * https://ai.google.dev/api/generate-content, v1beta (2026-11).
 */
import type { ServerSentEvent } from "../../http/EventStream.ts"
import * as RetryAfter from "../../http/RetryAfter.ts"
import type { FinishReason, Request, StreamEvent } from "../Llm.ts"
import { ContentFiltered, InvalidResponse, type Reason, Unauthorized } from "../LlmError.ts"
import type { Native, ToolCall } from "../Message.ts"
import * as Usage from "../Usage.ts"
import { format } from "./geminiRequest.ts"
import { count, type Json, lookup, parsed, record, records, text } from "./json.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import type { Decoded, StreamDecoder } from "./protocol.ts"
import { reasonOfStatus } from "./statusReason.ts"
import * as ToolCalls from "./toolCalls.ts"

/** Removes known secrets from what a server says. */
export type Redact = (text: string) => string

// --- the answer ------------------------------------------------------------------------------------------------------

const finishReasons: Readonly<Record<string, FinishReason>> = {
  STOP: "stop",
  MAX_TOKENS: "length",
  CONTINUATION: "length",
  SAFETY: "contentFilter",
  RECITATION: "contentFilter",
  BLOCKLIST: "contentFilter",
  PROHIBITED_CONTENT: "contentFilter",
  SPII: "contentFilter",
  LANGUAGE: "contentFilter",
  IMAGE_SAFETY: "contentFilter",
  IMAGE_PROHIBITED_CONTENT: "contentFilter",
  IMAGE_RECITATION: "contentFilter"
}

/**
 * The model wrote a call that is none, and mostly nothing else. An answer that looks empty would be taken for the end of
 * a loop of tools, so it is a failure; the model writes another one when it is asked again (googleapis/python-genai#1836).
 * TOO_MANY_TOOL_CALLS is not among them: the server stopped a loop of its own, and would stop the next one, too.
 */
const malformed: ReadonlySet<string> = new Set([
  "MALFORMED_FUNCTION_CALL",
  "UNEXPECTED_TOOL_CALL",
  "MALFORMED_RESPONSE"
])

const toUsage = (value: unknown): Usage.Usage | undefined => {
  const usage = record(value)
  if (usage === undefined) return undefined
  const cached = count(usage.cachedContentTokenCount)
  const thoughts = count(usage.thoughtsTokenCount)
  return {
    inputTokens: (count(usage.promptTokenCount) ?? 0) + (count(usage.toolUsePromptTokenCount) ?? 0),
    // Thoughts are not among the candidates' tokens.
    outputTokens: (count(usage.candidatesTokenCount) ?? 0) + (thoughts ?? 0),
    ...(cached === undefined ? undefined : { cachedInputTokens: cached }),
    ...(thoughts === undefined ? undefined : { reasoningTokens: thoughts })
  }
}

/** Reads a body with a 2xx status. Without SSE a stream is one array of responses; it is read, too. */
export const decode = (body: string, request: Request, redact: Redact): Decoded | Reason => {
  const raw = parsed(body)
  if (raw === undefined) return new InvalidResponse({ description: "the body is not JSON", excerpt: redact(body) })
  const reader = new ResponseReader(request, redact)
  reader.read(raw, undefined)
  const {
    counted = Usage.empty,
    failure,
    finishReason = "other",
    model,
    native,
    partial,
    reasoning,
    requestId,
    toolCalls
  } = reader
  if (failure !== undefined) return failure
  if (!reader.hasCandidate) {
    return new InvalidResponse({ description: "the answer has no candidates", excerpt: redact(body) })
  }
  return {
    text: partial,
    reasoning: reasoning === "" ? undefined : reasoning,
    toolCalls,
    native,
    finishReason,
    usage: counted,
    model,
    requestId,
    raw
  }
}

/** A piece of text with nothing beside it, which the next piece goes on from. */
const isPlain = (part: Json): part is { readonly text: string; readonly thought?: unknown } => {
  for (const name in part) if (name !== "text" && name !== "thought") return false
  return typeof part.text === "string"
}

/** Reads the responses of one answer, and remembers what its end will be told. */
export class ResponseReader implements StreamDecoder {
  private finish: string | undefined = undefined
  /** What the last event counted, for all of the answer until there. */
  counted: Usage.Usage | undefined = undefined
  /** The answer is complete and counted: nothing follows that matters. */
  isDone = false
  hasCandidate = false
  model: string | undefined = undefined
  /** No header names the request; the answer does. */
  requestId: string | undefined = undefined
  /** The text so far, for the errors of a stream that breaks. */
  partial = ""
  reasoning = ""
  readonly refusal = ""
  /** Calls, code and pictures: content that is no event of ours yet. */
  progress = 0
  /** A failure that the answer itself told. */
  failure: Reason | undefined = undefined
  readonly toolCalls: Array<ToolCall> = []
  private readonly parts: Array<Json> = []
  /** The consumer has seen something. */
  private delivered = false
  private readonly ids: ToolCalls.CallIds
  private readonly redact: Redact

  constructor(request: Request, redact: Redact) {
    this.ids = new ToolCalls.CallIds(request)
    this.redact = redact
  }

  get isFinished(): boolean {
    return this.finish !== undefined
  }

  /** Set by `finishReason`. There is none for calls: they end with STOP. */
  get finishReason(): FinishReason | undefined {
    if (this.finish === undefined) return undefined
    const reason = lookup(finishReasons, this.finish) ?? "other"
    return reason === "stop" && this.toolCalls.length > 0 ? "toolCalls" : reason
  }

  /** Until the end it is not all. */
  get usage(): Usage.Usage | undefined {
    return this.counted === undefined || this.isFinished ? this.counted : { ...this.counted, isEstimate: true }
  }

  get native(): Native | undefined {
    return this.parts.length === 0 ? undefined : { format, content: this.parts }
  }

  /** Reads one event into `out`. Nothing is read after the end or a failure. */
  push({ data }: ServerSentEvent, out: Array<StreamEvent>): void {
    if (this.isDone || this.failure !== undefined) return
    const raw = parsed(data)
    if (raw !== undefined) this.read(raw, out)
    else if (!this.isFinished) this.invalid("a chunk is not JSON", data)
  }

  /** Reads a response, or an array of them. Without `out` the answer came whole, and nobody has seen any of it. */
  read(raw: unknown, out: Array<StreamEvent> | undefined): void {
    for (const response of Array.isArray(raw) ? records(raw) : [record(raw)]) {
      if (response !== undefined && this.failure === undefined) this.readResponse(response, out)
    }
  }

  private invalid(description: string, said: string): void {
    const { delivered } = this
    this.failure = new InvalidResponse({ description, excerpt: this.redact(said), delivered })
  }

  private readResponse(response: Json, out: Array<StreamEvent> | undefined): void {
    const usage = toUsage(response.usageMetadata)
    this.counted = usage ?? this.counted
    if (!this.isFinished) this.readContent(response, out)
    this.isDone = this.isFinished && usage !== undefined
  }

  private readContent(response: Json, out: Array<StreamEvent> | undefined): void {
    const { error, promptFeedback } = response
    if (error !== undefined && error !== null) {
      const hint = RetryAfter.readAt({ status: 200, headers: {}, body: response }, 0)
      this.failure = reasonOfError(error, 200, hint, this.redact)
      return
    }
    this.model ??= text(response.modelVersion)
    this.requestId ??= text(response.responseId)
    // With a `candidateCount` the others have indexes of their own; a missing index is the only one.
    const candidate = records(response.candidates).find(({ index }) => index === undefined || index === 0)
    if (candidate === undefined) {
      const blocked = text(record(promptFeedback)?.blockReason)
      if (blocked !== undefined)
        this.failure = new ContentFiltered({ description: `the prompt is blocked: ${blocked}` })
      return
    }
    this.hasCandidate = true
    for (const part of records(record(candidate.content)?.parts)) this.readPart(part, out)
    const finish = text(candidate.finishReason)
    if (finish === undefined || finish === "" || finish === "FINISH_REASON_UNSPECIFIED") return
    if (malformed.has(finish)) {
      return this.invalid(`the model's tool call is none: ${finish}`, JSON.stringify(candidate))
    }
    this.finish = finish
  }

  private readPart(part: Json, out: Array<StreamEvent> | undefined): void {
    this.keep(part)
    const call = record(part.functionCall)
    const said = text(part.text)
    if (call !== undefined) {
      this.toolCalls.push(ToolCalls.fromValue(this.ids.of(text(call.id)), text(call.name) ?? "", call.args))
    }
    if (said === undefined) {
      this.progress++
      return
    }
    if (said === "") return
    const isThought = part.thought === true
    if (isThought) this.reasoning += said
    else this.partial += said
    if (out === undefined) return
    this.delivered = true
    out.push({ type: isThought ? "reasoning" : "text", text: said })
  }

  /** Keeps a part to be given back; plain text that came in pieces is one, and what has a signature stays as it is. */
  private keep(part: Json): void {
    if (!isPlain(part)) {
      this.parts.push(part)
      return
    }
    if (part.text === "") return
    const last = this.parts.at(-1)
    if (last !== undefined && isPlain(last) && last.thought === part.thought) {
      this.parts[this.parts.length - 1] = { ...last, text: last.text + part.text }
    } else this.parts.push(part)
  }
}

// --- the errors ------------------------------------------------------------------------------------------------------

/** Reads an answer with an error status. `redact` removes known secrets from what the provider says. */
export const reasonOfResponse = (
  { headers, status }: Pick<RetryAfter.Source, "headers" | "status">,
  body: string,
  nowMillis: number,
  redact: Redact
): Reason => {
  const json = parsed(body)
  const root = record(json) ?? records(json)[0]
  const hint = RetryAfter.readAt({ status, headers, body: root }, nowMillis)
  return reasonOfError(root?.error ?? redact(body).trim().slice(0, 200), status, hint, redact)
}

// What the statuses of google.rpc.Code are in HTTP (google/rpc/code.proto).
const statuses: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  OUT_OF_RANGE: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504
}

/** Inside a stream the status is 200 already: the error tells what it would have been. */
const statusOf = (code: unknown, name: string): number =>
  typeof code === "number" && code >= 400 && code < 600 ? code : (lookup(statuses, name) ?? 500)

/** The one mapping from (status, error object) to a reason: for a body, and for an error inside a stream. */
const reasonOfError = (error: unknown, httpStatus: number, hint: RetryAfter.Hint, redact: Redact): Reason => {
  const fields = record(error)
  const said = text(fields?.message) ?? text(error) ?? ""
  const name = text(fields?.status) ?? ""
  const status = httpStatus >= 200 && httpStatus < 300 ? statusOf(fields?.code, name) : httpStatus
  const description = oneLine(redact(said)) || `status ${status}`
  const details = records(fields?.details)
  const isQuota = status < 500 && isOutOfMoney(status, name, said, details)
  if (status === 400 && !isQuota && isForbidden(name, said, details)) return new Unauthorized({ description, status })
  return reasonOfStatus(status, description, hint, {
    isQuota,
    isLength: status === 400 && /input token count|number of tokens allowed/i.test(said),
    isOverloaded: status >= 500 && /overloaded|high demand|capacity/i.test(said)
  })
}

const hasReason = (details: ReadonlyArray<Json>, pattern: RegExp): boolean =>
  details.some(({ reason }) => pattern.test(text(reason) ?? ""))

/**
 * A wrong key is a 400, and so is a place from which the API may not be used: others call both 401 and 403. Another
 * precondition that failed is the request's own.
 */
const isForbidden = (name: string, said: string, details: ReadonlyArray<Json>): boolean =>
  hasReason(details, /^API_KEY_/) ||
  /API key (?:not valid|not found|expired)/i.test(said) ||
  (name === "FAILED_PRECONDITION" && /location|country|region/i.test(said))

/** A limit of a day, or one of zero on the free tier, is not over in a minute, whatever RetryInfo says of it. */
const isOutOfMoney = (status: number, name: string, said: string, details: ReadonlyArray<Json>): boolean => {
  if (/prepay|prepaid|credits are depleted|spend(?:ing)? (?:cap|limit)/i.test(said)) return true
  if (hasReason(details, /^BILLING_/)) return true
  // "User location is not supported for the API use without a billing account linked": money mends it.
  if (name === "FAILED_PRECONDITION") return /billing|paid/i.test(said)
  if (status !== 429) return false
  const violations = details.flatMap((detail) => records(detail.violations))
  return (
    /\blimit: 0(?![.\d])/.test(said) ||
    violations.some(({ quotaId, quotaValue }) => /Per(?:Day|Month)/.test(text(quotaId) ?? "") || quotaValue === "0")
  )
}
