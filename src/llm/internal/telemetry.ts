/**
 * The span and the metrics of one call to a model, by the names of OpenTelemetry's conventions for generative AI
 * (https://github.com/open-telemetry/semantic-conventions-genai, 2026-11; status: development).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { boundariesSeconds } from "../../policy/internal/metrics.ts"
import * as Spans from "../../policy/internal/spans.ts"
import { RecordContent } from "../../policy/Tracing.ts"
import type { FinishReason, Request } from "../Llm.ts"
import type { Usage } from "../Usage.ts"

/** What is done with a model, as the conventions call it. */
export type OperationName = "chat" | "embeddings"

/** What a span tells of a request: its settings, and what was said where that is asked for. */
export interface Asked extends Partial<Omit<Request, "messages">> {
  readonly messages?: ReadonlyArray<{ readonly role: string; readonly content?: unknown }> | undefined
}

/** What a span tells of an answer. */
export interface Answered {
  readonly usage: Usage
  /** The model that answered, as it names itself. */
  readonly model?: string | undefined
  readonly finishReason?: FinishReason | undefined
  readonly requestId?: string | undefined
}

/** Providers that the conventions call by another name than we do. */
const providerNames: Readonly<Record<string, string>> = {
  gemini: "gcp.gemini",
  mistral: "mistral_ai",
  moonshot: "moonshot_ai",
  xai: "x_ai"
}

const finishReasons: Readonly<Record<FinishReason, string>> = {
  stop: "stop",
  length: "length",
  toolCalls: "tool_calls",
  contentFilter: "content_filter",
  other: "other"
}

/** The bounds that the conventions give for tokens. */
const boundariesTokens: ReadonlyArray<number> = Array.from({ length: 14 }, (_, power) => 4 ** power)

const durationBoundaries = { boundaries: boundariesSeconds }

type Labels = Readonly<Record<string, string>>

/** The metrics of one operation with one model, bound to their labels once. */
class Series {
  readonly firstContent: Metric.Histogram<number>
  readonly inputTokens: Metric.Histogram<number>
  readonly outputTokens: Metric.Histogram<number>
  private readonly durations = new Map<string, Metric.Histogram<number>>()
  private readonly labels: Labels
  constructor(labels: Labels) {
    this.labels = labels
    this.firstContent = Metric.histogram("gen_ai.client.operation.time_to_first_chunk", {
      description: "From the call to the first content of a stream, retries included",
      ...durationBoundaries,
      attributes: { ...labels, unit: "s" }
    })
    const tokens = (type: string): Metric.Histogram<number> =>
      Metric.histogram("gen_ai.client.token.usage", {
        description: "Number of input and output tokens used",
        boundaries: boundariesTokens,
        attributes: { ...labels, "gen_ai.token.type": type, unit: "{token}" }
      })
    this.inputTokens = tokens("input")
    this.outputTokens = tokens("output")
  }
  /** By the tag of the failure; `""` is success. Tags are the reasons of one error: a bounded set. */
  duration(errorType: string): Metric.Histogram<number> {
    let duration = this.durations.get(errorType)
    if (duration === undefined) {
      const error = errorType === "" ? undefined : { "error.type": errorType }
      duration = Metric.histogram("gen_ai.client.operation.duration", {
        description: "GenAI operation duration",
        ...durationBoundaries,
        attributes: { ...this.labels, ...error, unit: "s" }
      })
      this.durations.set(errorType, duration)
    }
    return duration
  }
}

/** A program asks a handful of models; the bound is for one that takes their names from its users. */
const maxModels = 64

/** The telemetry of one service. `key` is the policy key, which has the address in it. */
export class Meter {
  private readonly labels: Labels
  private readonly series = new Map<OperationName, Map<string, Series>>()
  readonly provider: string
  readonly address: string | undefined
  readonly port: number | undefined
  constructor(provider: string, key: string) {
    this.provider = providerNames[provider] ?? provider
    const address = /(https?):\/\/(?:[^/\s@]*@)?(\[[^\]\s]*\]|[^/:\s?#]+)(?::(\d+))?/.exec(key)
    this.address = address?.[2]?.replace(/^\[|\]$/g, "")
    this.port = address === null ? undefined : Number(address[3] ?? (address[1] === "https" ? 443 : 80))
    this.labels = {
      "gen_ai.provider.name": this.provider,
      ...(this.address && { "server.address": this.address, "server.port": String(this.port) })
    }
  }

  seriesOf(operation: OperationName, model: string): Series {
    let models = this.series.get(operation)
    if (models === undefined) {
      models = new Map()
      this.series.set(operation, models)
    }
    let series = models.get(model)
    if (series === undefined) {
      if (models.size >= maxModels && model !== "_OTHER") return this.seriesOf(operation, "_OTHER")
      series = new Series({ ...this.labels, "gen_ai.operation.name": operation, "gen_ai.request.model": model })
      models.set(model, series)
    }
    return series
  }

  /** Begins one call; whoever begins it ends it. */
  begin(
    context: Context.Context<never>,
    name: OperationName,
    model: string,
    asked: Asked,
    isStream: boolean
  ): Operation {
    const series = this.seriesOf(name, model)
    if (!Spans.isTraced(context)) return new Operation(context, series, undefined)
    const span = Spans.startSpan(context, `${name} ${model}`, "client")
    span.attribute("gen_ai.operation.name", name)
    span.attribute("gen_ai.provider.name", this.provider)
    span.attribute("gen_ai.request.model", model)
    if (this.address !== undefined) {
      span.attribute("server.address", this.address)
      span.attribute("server.port", this.port)
    }
    if (isStream) span.attribute("gen_ai.request.stream", true)
    describe(span, asked, Context.get(context, RecordContent))
    return new Operation(context, series, span)
  }
}

const describe = (span: Tracer.Span, asked: Asked, recordContent: boolean): void => {
  const set = (name: string, value: unknown): void => {
    if (value !== undefined) span.attribute(name, value)
  }
  set("gen_ai.request.max_tokens", asked.maxTokens)
  set("gen_ai.request.temperature", asked.temperature)
  set("gen_ai.request.top_p", asked.topP)
  set("gen_ai.request.seed", asked.seed)
  set("gen_ai.request.stop_sequences", recordContent ? asked.stop : undefined)
  if (recordContent && asked.messages !== undefined) {
    const messages = asked.messages.map(({ content, role }) => ({ role, parts: partsOf(content) }))
    span.attribute("gen_ai.input.messages", JSON.stringify(messages))
  }
}

const partsOf = (content: unknown): ReadonlyArray<unknown> =>
  Array.isArray(content) ? content : content === undefined ? [] : [{ type: "text", content }]

/** One call to a model. It is told how it goes, and ends once; what it is told afterwards changes nothing. */
export class Operation {
  private readonly context: Context.Context<never>
  private readonly series: Series
  /** Absent where there is no tracer. */
  readonly span: Tracer.Span | undefined
  private readonly clock: Clock.Clock
  private readonly since: number
  private hasContent = false
  private isOver = false
  constructor(context: Context.Context<never>, series: Series, span: Tracer.Span | undefined) {
    this.context = context
    this.series = series
    this.span = span
    this.clock = Context.get(context, Clock.Clock)
    this.since = this.clock.currentTimeMillisUnsafe()
  }

  private seconds(): number {
    return (this.clock.currentTimeMillisUnsafe() - this.since) / 1000
  }

  /** What runs under this call has its span as parent. */
  under<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const { span } = this
    if (span === undefined) return self
    return Effect.updateContext(self, (context: Context.Context<R>) => Spans.under(context, span))
  }

  /** Runs the whole call, which ends with the effect. `text` reads what the model said, for where content is recorded. */
  observe<A extends Answered, E, R>(
    self: Effect.Effect<A, E, R>,
    text?: (answer: A) => string
  ): Effect.Effect<A, E, R> {
    // The primitive takes a handler that is no effect; as an effect it costs twice as much.
    return Effect.onExitPrimitive(this.under(self), (exit) => {
      if (Exit.isSuccess(exit)) this.succeeded(exit.value, text?.(exit.value))
      else this.ended(exit.cause)
      return undefined
    })
  }

  /** The first content of a stream is here. */
  firstContent(): void {
    if (this.hasContent || this.isOver) return
    this.hasContent = true
    const seconds = this.seconds()
    this.series.firstContent.updateUnsafe(seconds, this.context)
    this.span?.attribute("gen_ai.response.time_to_first_chunk", seconds)
  }

  succeeded(answer: Answered, text?: string): void {
    if (!this.end("")) return
    this.count(answer.usage)
    const { span } = this
    if (span === undefined) return
    const { finishReason, model, requestId, usage } = answer
    if (model !== undefined) span.attribute("gen_ai.response.model", model)
    const finish = finishReason === undefined ? undefined : finishReasons[finishReason]
    if (finish !== undefined) span.attribute("gen_ai.response.finish_reasons", [finish])
    if (requestId !== undefined) span.attribute("holdfast.request.id", requestId)
    this.tell(span, usage)
    if (text !== undefined && Context.get(this.context, RecordContent)) {
      const parts = [{ type: "text", content: text }]
      const output = [{ role: "assistant", parts, finish_reason: finish }]
      span.attribute("gen_ai.output.messages", JSON.stringify(output))
    }
    Spans.endWith(this.context, span, "ok")
  }

  /** `tag` is the tag of the error's reason; `usage` what was used until then, where that is known. */
  failed(tag: string, error?: unknown, usage?: Usage): void {
    if (!this.end(tag)) return
    if (usage !== undefined) this.count(usage)
    const { span } = this
    if (span === undefined) return
    if (usage !== undefined) this.tell(span, usage)
    Spans.endWith(this.context, span, tag, error === undefined ? undefined : Exit.fail(error))
  }

  /** The caller went away. `usage` is what was used until then, where that is known. */
  interrupted(usage?: Usage): void {
    if (!this.end("interrupted")) return
    if (usage !== undefined) this.count(usage)
    const { span } = this
    if (span === undefined) return
    if (usage !== undefined) this.tell(span, usage)
    Spans.endWith(this.context, span, "interrupted")
  }

  private ended(cause: Cause.Cause<unknown>): void {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (error !== undefined) return this.failed(tagOf(error), error)
    if (Cause.hasDies(cause)) return this.failed("defect")
    this.interrupted()
  }

  private end(errorType: string): boolean {
    if (this.isOver) return false
    this.isOver = true
    this.series.duration(errorType).updateUnsafe(this.seconds(), this.context)
    return true
  }

  private count(usage: Usage): void {
    // What nobody counted is in the span, and not in the metrics of who pays for it.
    if (usage.isEstimate === true) return
    // No tokens at all is a provider that did not say.
    if (usage.inputTokens > 0) this.series.inputTokens.updateUnsafe(usage.inputTokens, this.context)
    if (usage.outputTokens > 0) this.series.outputTokens.updateUnsafe(usage.outputTokens, this.context)
  }

  private tell(span: Tracer.Span, usage: Usage): void {
    span.attribute("gen_ai.usage.input_tokens", usage.inputTokens)
    span.attribute("gen_ai.usage.output_tokens", usage.outputTokens)
    const { cachedInputTokens, reasoningTokens } = usage
    if (cachedInputTokens !== undefined) span.attribute("gen_ai.usage.cache_read.input_tokens", cachedInputTokens)
    if (reasoningTokens !== undefined) span.attribute("gen_ai.usage.reasoning.output_tokens", reasoningTokens)
  }
}

/** The tag of an error that has a code: `LlmError` gives its reason's. */
const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : "failed"
