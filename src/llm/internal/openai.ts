/**
 * The answers of OpenAI-compatible chat completions, read leniently: unknown fields and values never fail a call.
 *
 * https://platform.openai.com/docs/api-reference/chat (2026-11); variants of compatible servers as they were seen.
 */
import * as RetryAfter from "../../http/RetryAfter.ts"
import type { ServerSentEvent } from "../../http/EventStream.ts"
import type { FinishReason, Request, StreamEvent } from "../Llm.ts"
import { InvalidResponse, Overloaded, type Reason } from "../LlmError.ts"
import type { ToolCall } from "../Message.ts"
import * as Usage from "../Usage.ts"
import { count, type Json, lookup, parsed, record, records, text } from "./json.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import type { Decoded, StreamDecoder } from "./protocol.ts"
import { reasonOfStatus } from "./statusReason.ts"
import * as ToolCalls from "./toolCalls.ts"

/** Removes known secrets from what a server says. */
export type Redact = (text: string) => string

// --- the whole answer ------------------------------------------------------------------------------------------------

const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: "stop",
  length: "length",
  tool_calls: "toolCalls",
  function_call: "toolCalls",
  content_filter: "contentFilter"
}

/** Some servers say "stop" where there are calls, and OpenAI where the model refuses. */
const toFinishReason = (value: string, hasCalls: boolean, isRefused: boolean): FinishReason => {
  const reason = lookup(finishReasons, value) ?? "other"
  if (reason !== "stop") return reason
  return hasCalls ? "toolCalls" : isRefused ? "contentFilter" : reason
}

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

const wantsJson = ({ responseFormat }: Request): boolean =>
  responseFormat !== undefined && responseFormat.type !== "text"

/** DeepSeek puts blanks in the place of an answer that was to be JSON and is none (api-docs.deepseek.com/guides/json_mode). */
const blanked = (usage: Usage.Usage | undefined): InvalidResponse =>
  new InvalidResponse({ description: "the answer is blank where JSON was asked for", usage })

/** Some servers put an empty one beside a good answer. */
const isError = (error: unknown): boolean => record(error) !== undefined || (text(error) ?? "") !== ""

/** Reads a body with a 2xx status. */
export const decode = (body: string, request: Request, redact: Redact): Decoded | Reason => {
  const raw = parsed(body)
  if (raw === undefined) return new InvalidResponse({ description: "the body is not JSON", excerpt: redact(body) })
  const root = record(raw)
  if (isError(root?.error)) return reasonOfError(root?.error, 200, {}, redact)
  const choice = records(root?.choices)[0]
  const message = record(choice?.message)
  if (root === undefined || choice === undefined || message === undefined) {
    return new InvalidResponse({ description: "the answer has no choices[0].message", excerpt: redact(body) })
  }
  const finish = text(choice.finish_reason) || undefined
  if (finish === noCapacity) return overloaded()
  const toolCalls = ToolCalls.whole(toolCallsOf(message, request), finish === "length")
  const content = text(message.content) ?? ""
  const refusal = text(message.refusal)
  if (wantsJson(request) && content.trim() === "" && toolCalls.length === 0 && finish === "stop" && !refusal) {
    return blanked(toUsage(root.usage))
  }
  return {
    text: content,
    reasoning: text(message.reasoning_content) ?? text(message.reasoning),
    refusal: refusal === "" ? undefined : refusal,
    toolCalls,
    finishReason:
      finish === undefined
        ? "other"
        : toFinishReason(finish, toolCalls.length > 0, refusal !== undefined && refusal !== ""),
    usage: toUsage(root.usage) ?? Usage.empty,
    model: text(root.model) || undefined,
    raw
  }
}

const toolCallsOf = (message: Json, request: Request): ReadonlyArray<ToolCall> => {
  // `function_call` is what came before tools; old servers still have it.
  const legacy = record(message.function_call)
  const calls = records(message.tool_calls).map((call) => [text(call.id), record(call.function)] as const)
  if (calls.length === 0 && legacy !== undefined) calls.push([undefined, legacy])
  const ids = new ToolCalls.CallIds(request)
  return calls.flatMap(([id, named]) =>
    named === undefined
      ? []
      : [ToolCalls.fromText(ids.of(id), text(named.name) ?? "", argumentsOf(named.arguments) ?? "")]
  )
}

/** A text of JSON; some servers send the value itself. */
const argumentsOf = (value: unknown): string | undefined =>
  record(value) === undefined ? text(value) : JSON.stringify(value)

// --- the stream ------------------------------------------------------------------------------------------------------

/** Reads the chunks of one stream, and remembers what its end will be told. */
export class ChunkDecoder implements StreamDecoder {
  private finish: string | undefined = undefined
  /** `[DONE]` was read: nothing follows that matters. */
  isDone = false
  usage: Usage.Usage | undefined = undefined
  model: string | undefined = undefined
  /** The text so far, for the errors of a stream that breaks. */
  partial = ""
  reasoning = ""
  refusal = ""
  /** Chunks of tool arguments and audio: content that is no event of ours yet. */
  progress = 0
  /** A failure that the stream itself told. */
  failure: Reason | undefined = undefined
  readonly native = undefined
  /** The consumer has seen something. */
  private delivered = false
  private readonly fragments: ToolCalls.ToolCallFragments
  private readonly redact: Redact
  /** Blanks before the first character of JSON: they may be all that comes. */
  private blanks: string | undefined

  constructor(request: Request, redact: Redact, isContinued = false) {
    this.fragments = new ToolCalls.ToolCallFragments(request)
    this.redact = redact
    // An answer that goes on may have only its end left.
    this.blanks = wantsJson(request) && !isContinued ? "" : undefined
  }

  get isFinished(): boolean {
    return this.finish !== undefined
  }

  /** Set by `finish_reason`. */
  get finishReason(): FinishReason | undefined {
    return this.finish === undefined
      ? undefined
      : toFinishReason(this.finish, this.fragments.size > 0, this.refusal !== "")
  }

  get toolCalls(): ReadonlyArray<ToolCall> {
    return ToolCalls.whole(this.fragments.all, this.finish === "length")
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
    const error = isError(chunk?.error) ? chunk?.error : event === "error" ? raw : undefined
    if (error !== undefined && error !== null) return this.fail(reasonOfError(error, 200, {}, this.redact))
    if (chunk === undefined) return
    this.model ||= text(chunk.model)
    const usage = chunk.usage
    if (usage !== undefined && usage !== null) this.usage = toUsage(usage) ?? this.usage
    const { choices } = chunk
    if (!Array.isArray(choices)) return
    for (const choice of choices) this.pushChoice(record(choice), out)
  }

  /** What goes wrong behind the finish marker takes nothing from the answer. */
  private fail(reason: Reason): void {
    if (this.isFinished) this.isDone = true
    else this.failure = reason
  }

  private notJson(data: string): InvalidResponse {
    const { delivered } = this
    return new InvalidResponse({ description: "a chunk is not JSON", excerpt: this.redact(data), delivered })
  }

  private pushChoice(choice: Json | undefined, out: Array<StreamEvent>): void {
    // With n > 1 the other choices have indexes of their own; a missing index is the only choice.
    if (choice === undefined || (choice.index !== undefined && choice.index !== 0)) return
    const delta = record(choice.delta) ?? record(choice.message)
    if (delta !== undefined) this.pushDelta(delta, out)
    const finish = text(choice.finish_reason)
    // Some servers send an empty one with every chunk.
    if (finish === undefined || finish === "") return
    if (finish === noCapacity) return this.fail(overloaded())
    if (this.blanks !== undefined && finish === "stop" && this.fragments.size === 0 && this.refusal === "") {
      return this.fail(blanked(this.usage))
    }
    this.finish = finish
  }

  private pushDelta(delta: Json, out: Array<StreamEvent>): void {
    const reasoning = text(delta.reasoning_content) ?? text(delta.reasoning)
    if (reasoning !== undefined && reasoning !== "") {
      this.delivered = true
      this.reasoning += reasoning
      out.push({ type: "reasoning", text: reasoning })
    }
    if (delta.tool_calls != null || delta.function_call != null) this.pushCalls(delta)
    if (delta.audio != null) this.progress++
    const content = text(delta.content)
    if (content !== undefined && content !== "") this.pushText(content, out)
    const refusal = text(delta.refusal)
    if (refusal !== undefined && refusal !== "") {
      this.delivered = true
      this.refusal += refusal
      out.push({ type: "refusal", text: refusal })
    }
  }

  private pushText(content: string, out: Array<StreamEvent>): void {
    let said = content
    if (this.blanks !== undefined) {
      this.blanks += content
      if (this.blanks.trim() === "") return
      said = this.blanks
      this.blanks = undefined
    }
    this.delivered = true
    this.partial += said
    out.push({ type: "text", text: said })
  }

  private pushCalls(delta: Json): void {
    this.progress++
    const legacy = record(delta.function_call)
    if (legacy !== undefined) this.fragments.push(0, undefined, text(legacy.name), text(legacy.arguments))
    for (const call of records(delta.tool_calls)) {
      const named = record(call.function)
      this.fragments.push(count(call.index), text(call.id), text(named?.name), argumentsOf(named?.arguments))
    }
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
  // Inside a stream the status is 200 already: the error's own words tell what it would have been.
  const status = httpStatus >= 200 && httpStatus < 300 ? statusOf(code, kind) : httpStatus
  return reasonOfStatus(status, description, hint, {
    isQuota: quotaCodes.test(kind),
    isLength: lengthCodes.test(kind) || (status === 400 && lengthCodes.test(said)),
    isFiltered: filterCodes.test(kind),
    isOverloaded: /overloaded|slow_down/.test(kind) || (status === 503 && /overloaded|too busy/i.test(said))
  })
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
