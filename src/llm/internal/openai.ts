/**
 * The wire format of OpenAI-compatible chat completions, read leniently: unknown fields and values never fail a call.
 *
 * https://platform.openai.com/docs/api-reference/chat (2026-11); variants of compatible servers as they were seen.
 */
import * as RetryAfter from "../../http/RetryAfter.ts"
import type { ServerSentEvent } from "../../http/EventStream.ts"
import type { FinishReason, Request, StreamEvent } from "../Llm.ts"
import {
  ContentFiltered,
  ContextLengthExceeded,
  InvalidRequest,
  InvalidResponse,
  Overloaded,
  QuotaExhausted,
  RateLimited,
  type Reason,
  ServerError,
  Unauthorized
} from "../LlmError.ts"
import * as Usage from "../Usage.ts"
import type { Decoded, StreamDecoder } from "./completion.ts"
import { oneLine } from "./oneLine.ts"

type Json = Readonly<Record<string, unknown>>

const isRecord = (u: unknown): u is Json => typeof u === "object" && u !== null && !Array.isArray(u)

const record = (u: unknown): Json | undefined => (isRecord(u) ? u : undefined)

const text = (u: unknown): string | undefined => (typeof u === "string" ? u : undefined)

const count = (u: unknown): number | undefined => (typeof u === "number" ? u : undefined)

/** Removes known secrets from what a server says. */
export type Redact = (text: string) => string

// --- the request -----------------------------------------------------------------------------------------------------

/** What the layer adds to each request. */
export interface Shape {
  readonly model: string
  /** OpenAI's newer models refuse `max_tokens`; most compatible servers know nothing else. */
  readonly maxTokensField: "max_tokens" | "max_completion_tokens"
  /** Ask for a last chunk with the usage. */
  readonly includeUsage: boolean
}

export const encode = (request: Request, shape: Shape, stream: boolean): string =>
  JSON.stringify({
    model: request.model ?? shape.model,
    messages: request.messages,
    [shape.maxTokensField]: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    stop: request.stop,
    seed: request.seed,
    stream: stream ? true : undefined,
    stream_options: stream && shape.includeUsage ? { include_usage: true } : undefined,
    ...request.extra
  })

// --- the whole answer ------------------------------------------------------------------------------------------------

const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: "stop",
  length: "length",
  tool_calls: "toolCalls",
  function_call: "toolCalls",
  content_filter: "contentFilter"
}

const toFinishReason = (value: string): FinishReason => finishReasons[value] ?? "other"

const toUsage = (value: unknown): Usage.Usage | undefined => {
  const usage = record(value)
  if (usage === undefined) return undefined
  // DeepSeek's own name, and everybody else's.
  const cached = count(record(usage.prompt_tokens_details)?.cached_tokens) ?? count(usage.prompt_cache_hit_tokens)
  const reasoning = count(record(usage.completion_tokens_details)?.reasoning_tokens)
  return {
    inputTokens: count(usage.prompt_tokens) ?? 0,
    outputTokens: count(usage.completion_tokens) ?? 0,
    ...(cached === undefined ? undefined : { cachedInputTokens: cached }),
    ...(reasoning === undefined ? undefined : { reasoningTokens: reasoning })
  }
}

/** DeepSeek's finish reason for a model that ran out of machines: a failure of the server, not an answer. */
const noCapacity = "insufficient_system_resource"

const overloaded = (): Overloaded => new Overloaded({ description: "the provider ran out of resources" })

/** Reads a body with a 2xx status. */
export const decode = (body: string, redact: Redact): Decoded | Reason => {
  let raw: unknown
  try {
    raw = JSON.parse(body)
  } catch {
    return new InvalidResponse({ description: "the body is not JSON", excerpt: redact(body) })
  }
  const root = record(raw)
  if (root?.error !== undefined && root.error !== null) return reasonOfError(root.error, 200, {}, redact)
  const choices = root?.choices
  const choice = Array.isArray(choices) ? record(choices[0]) : undefined
  const message = record(choice?.message)
  if (root === undefined || choice === undefined || message === undefined) {
    return new InvalidResponse({ description: "the answer has no choices[0].message", excerpt: redact(body) })
  }
  const finish = text(choice.finish_reason)
  if (finish === noCapacity) return overloaded()
  return {
    text: text(message.content) ?? text(message.refusal) ?? "",
    reasoning: text(message.reasoning_content) ?? text(message.reasoning),
    finishReason: finish === undefined ? "other" : toFinishReason(finish),
    usage: toUsage(root.usage) ?? Usage.empty,
    model: text(root.model),
    raw
  }
}

// --- the stream ------------------------------------------------------------------------------------------------------

/** Reads the chunks of one stream, and remembers what its end will be told. */
export class ChunkDecoder implements StreamDecoder {
  /** Set by `finish_reason`. */
  finishReason: FinishReason | undefined = undefined
  /** `[DONE]` was read: nothing follows that matters. */
  isDone = false
  usage: Usage.Usage | undefined = undefined
  model: string | undefined = undefined
  /** The text so far, for the errors of a stream that breaks. */
  partial = ""
  /** Chunks of tool arguments and audio: content that is no event of ours yet. */
  progress = 0
  /** A failure that the stream itself told. */
  failure: Reason | undefined = undefined
  /** The consumer has seen something. */
  private delivered = false
  private readonly redact: Redact

  constructor(redact: Redact) {
    this.redact = redact
  }

  get isFinished(): boolean {
    return this.finishReason !== undefined
  }

  /** Reads one event into `out`. Nothing is read after the end or a failure. */
  push({ data, event }: ServerSentEvent, out: Array<StreamEvent>): void {
    if (this.isDone || this.failure !== undefined) return
    if (data.startsWith("[DONE]")) {
      this.isDone = true
      return
    }
    let raw: unknown
    try {
      raw = JSON.parse(data)
    } catch {
      this.fail(event === "error" ? reasonOfError(data, 200, {}, this.redact) : this.notJson(data))
      return
    }
    const chunk = record(raw)
    const error = chunk?.error ?? (event === "error" ? raw : undefined)
    if (error !== undefined && error !== null) return this.fail(reasonOfError(error, 200, {}, this.redact))
    if (chunk === undefined) return
    this.model ??= text(chunk.model)
    const usage = chunk.usage
    if (usage !== undefined && usage !== null) this.usage = toUsage(usage) ?? this.usage
    const { choices } = chunk
    if (!Array.isArray(choices)) return
    for (const choice of choices) this.pushChoice(record(choice), out)
  }

  private fail(reason: Reason): void {
    this.failure = reason
  }

  private notJson(data: string): InvalidResponse {
    const { delivered } = this
    return new InvalidResponse({ description: "a chunk is not JSON", excerpt: this.redact(data), delivered })
  }

  private pushChoice(choice: Json | undefined, out: Array<StreamEvent>): void {
    // With n > 1 the other choices have indexes of their own; a missing index is the only choice.
    if (choice === undefined || (choice.index !== undefined && choice.index !== 0)) return
    const delta = record(choice.delta) ?? record(choice.message)
    if (delta !== undefined) {
      const reasoning = text(delta.reasoning_content) ?? text(delta.reasoning)
      if (reasoning !== undefined && reasoning !== "") {
        this.delivered = true
        out.push({ type: "reasoning", text: reasoning })
      }
      if (delta.tool_calls != null || delta.function_call != null || delta.audio != null) this.progress++
      const content = text(delta.content) ?? text(delta.refusal)
      if (content !== undefined && content !== "") {
        this.delivered = true
        this.partial += content
        out.push({ type: "text", text: content })
      }
    }
    const finish = text(choice.finish_reason)
    if (finish === noCapacity) this.fail(overloaded())
    else if (finish !== undefined) this.finishReason = toFinishReason(finish)
  }
}

// --- the errors ------------------------------------------------------------------------------------------------------

const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

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
  const error = record(json)?.error ?? json
  return reasonOfError(error ?? redact(body).trim().slice(0, 200), status, hint, redact)
}

const quotaCodes = /insufficient_quota|credit_balance|billing|quota_exceeded|insufficient_balance/
const lengthCodes = /context_length|context_window|maximum context length|too many tokens|prompt is too long/i
const filterCodes = /content_filter|content_policy|moderation/

/** The one mapping from (status, error object) to a reason: for a body, and for an error inside a stream. */
const reasonOfError = (error: unknown, httpStatus: number, hint: RetryAfter.Hint, redact: Redact): Reason => {
  const fields = record(error)
  const code = String(fields?.code ?? "")
  const kind = `${text(fields?.type) ?? ""} ${code}`
  // `detail` is how servers on FastAPI say it.
  const said = text(fields?.message) ?? text(fields?.detail) ?? text(error) ?? ""
  const description = oneLine(redact(said)) || `status ${httpStatus}`
  const { retryAfter } = hint
  // Inside a stream the status is 200 already: the error's own words tell what it would have been.
  const status = httpStatus >= 200 && httpStatus < 300 ? statusOf(code, kind) : httpStatus
  if (status < 400) {
    return new InvalidRequest({
      description: `the server answers with the redirect ${status}; correct the base URL`,
      status
    })
  }
  if (quotaCodes.test(kind) || status === 402) return new QuotaExhausted({ description, status })
  if (status === 401 || status === 403) return new Unauthorized({ description, status })
  if (status < 500 && (lengthCodes.test(kind) || (status === 400 && lengthCodes.test(said)))) {
    return new ContextLengthExceeded({ description, status })
  }
  if (status < 500 && filterCodes.test(kind)) return new ContentFiltered({ description, status })
  const retryable = hint.shouldRetry !== false
  if (status === 429) return new RateLimited({ description, status, retryAfter, retryable })
  if (!retryable) {
    return status >= 500
      ? new ServerError({ description, status, retryAfter, retryable })
      : new InvalidRequest({ description, status })
  }
  // A 503 alone may be a restart; that there is no capacity, the provider says in words.
  if (status === 529 || (status >= 520 && status <= 524) || /overloaded|slow_down/.test(kind)) {
    return new Overloaded({ description, status, retryAfter })
  }
  if (status >= 500 || status === 408 || status === 409 || hint.shouldRetry === true) {
    return new ServerError({ description, status, retryAfter })
  }
  return new InvalidRequest({ description, status })
}

const statusOf = (code: string, kind: string): number => {
  const number = Number(code)
  if (Number.isInteger(number) && number >= 400 && number < 600) return number
  if (/rate_limit|too_many_requests/.test(kind)) return 429
  if (/overloaded|slow_down|unavailable/.test(kind)) return 503
  if (/authentication|invalid_api_key|permission/.test(kind)) return 401
  if (/invalid_request|not_found/.test(kind)) return 400
  return 500
}
