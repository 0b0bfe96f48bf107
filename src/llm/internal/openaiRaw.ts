/**
 * Requests to an OpenAI-compatible server whose answers go through as they came, under the policy of all calls: for a door
 * that has the wire's own shapes. What is checked is that it is an answer at all; what it says is the server's word.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Redacted from "effect/Redacted"
import type { Attempt } from "../../policy/Attempt.ts"
import type { Estimate } from "../../policy/CostBudget.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { Safety } from "../../policy/Retry.ts"
import { InvalidResponse, LlmError, Overloaded, type Reason } from "../LlmError.ts"
import type { TokenAuth } from "../TokenAuth.ts"
import * as Usage from "../Usage.ts"
import { count, isRecord, type Json, parsed, record, records, text } from "./json.ts"
import { reasonOfResponse } from "./openai.ts"
import { RawFailure, type Refusal } from "./rawFailure.ts"
import type { OperationName } from "./telemetry.ts"
import { Story, toReason, Transport } from "./transport.ts"

/** Where the requests go. */
export interface Server {
  /** The name in errors. */
  readonly provider: string
  /** Whose slots are taken. */
  readonly key: string
  /** Where keys come from that change. */
  readonly auth?: TokenAuth | undefined
  /** Removes known secrets from what the server says. */
  readonly redact: (text: string) => string
}

/** One call, however often it is sent. */
export interface Call {
  readonly encode: (token: Redacted.Redacted<string> | undefined) => HttpClientRequest
  /** Headers of this call alone, which may have secrets of their own. */
  readonly headers: Readonly<Record<string, string>>
  readonly safety: Safety
  /** What is done with a model, for telemetry. Absent where no model is asked. */
  readonly operation: OperationName | undefined
  readonly model: string
  /** How many answers were asked for at once; a stream of them is finished when all of them are. */
  readonly choices: number
  readonly estimate: () => Estimate
}

/** What is known of an answer beside its body. Headers are by their names in lower case. */
export interface Head {
  readonly status: number
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly requestId: string | undefined
}

/** An answer that came whole. */
export interface Whole<A> extends Head {
  readonly value: A
  readonly text: string
}

export const headOf = (response: HttpClientResponse, { requestId }: Story): Head => ({
  status: response.status,
  url: response.url,
  // Entry by entry: HTTP/2 adds a symbol that nobody can send on.
  headers: Object.fromEntries(Object.entries(response.headers)),
  requestId
})

/** What a chunk or a whole body says was used. */
export const usageOf = (body: Json): Usage.Usage | undefined => {
  const usage = record(body.usage)
  const inputTokens = count(usage?.prompt_tokens) ?? count(usage?.total_tokens)
  return inputTokens === undefined ? undefined : { inputTokens, outputTokens: count(usage?.completion_tokens) ?? 0 }
}

/** Some servers put an empty error beside a good answer. */
export const isError = (error: unknown): boolean => isRecord(error) || (text(error) ?? "") !== ""

/**
 * DeepSeek's finish reason for a model that ran out of machines (api-docs.deepseek.com, 2026-11): a failure of the server,
 * whatever came before it.
 */
export const isOutOfCapacity = (body: Json): boolean =>
  records(body.choices).some((choice) => choice.finish_reason === "insufficient_system_resource")

export const overloaded = (): Overloaded => new Overloaded({ description: "the provider ran out of resources" })

/** The calls of one client over one server. */
export class RawCalls {
  readonly transport: Transport
  readonly server: Server
  /** What the server told with a reason, for as long as somebody has the reason. */
  private readonly refusals = new WeakMap<object, Refusal>()

  constructor(server: Server, http: HttpClient.HttpClient, held: Policy.Held) {
    this.server = server
    const reasonOf = (response: HttpClientResponse, body: string, nowMillis: number): Reason => {
      const reason = reasonOfResponse(response, body, nowMillis, server.redact)
      const { headers, status } = response
      return this.refused(reason, { status, headers: { ...headers }, body: server.redact(body) })
    }
    this.transport = new Transport({ ...server, model: "", reasonOf }, http, held)
  }

  /** Keeps the server's own words with a reason. */
  refused(reason: Reason, refusal: Refusal): Reason {
    this.refusals.set(reason, refusal)
    return reason
  }

  /** What the policy is told of one call. */
  policyOf({ estimate, safety }: Call, story: Story): Policy.Call {
    const { key } = this.server
    return { key, safety, estimate, recorder: story.recorder, usage: () => story.usage }
  }

  failed(reason: Reason, story: Story, usage?: Usage.Usage): RawFailure {
    const attempts: ReadonlyArray<Attempt> = story.recorder.attempts
    const { requestId } = story
    const error = new LlmError({ provider: this.server.provider, reason, attempts, requestId, usage })
    return new RawFailure(error, this.refusals.get(reason))
  }

  invalid(description: string, body: string, delivered = false): InvalidResponse {
    return new InvalidResponse({ description, excerpt: this.server.redact(body.slice(0, 2048)), delivered })
  }

  /** An error inside of an answer that has a status of success. */
  told(body: string, head: Pick<Head, "headers">): Reason {
    const reason = reasonOfResponse({ status: 200, headers: {} }, body, 0, this.server.redact)
    return this.refused(reason, { status: undefined, headers: head.headers, body: this.server.redact(body) })
  }

  /** Sends under the policy and waits for the whole answer. What `isAnswer` refuses is tried again, as a broken body is. */
  whole<A>(call: Call, isAnswer: (body: unknown) => body is A): Effect.Effect<Whole<A>, RawFailure> {
    return Effect.contextWith((context: Context.Context<never>) => {
      const story = new Story(call.headers)
      const exchanged: Effect.Effect<HttpClientResponse, HttpClientError | Reason> = this.transport.exchange(
        call.encode,
        story
      )
      const received = Effect.flatMap(exchanged, (response) =>
        Effect.map(response.text, (text) => ({ head: headOf(response, story), text }))
      )
      const sent = Effect.flatMap(Effect.mapError(received, toReason), ({ head, text }) =>
        this.read(text, head, story, isAnswer)
      )
      const answered = Effect.mapError(this.transport.held.apply(this.policyOf(call, story))(sent), (reason) =>
        this.failed(reason, story)
      )
      return this.observed(call, answered, story, context)
    })
  }

  private read<A>(
    body: string,
    head: Head,
    story: Story,
    isAnswer: (body: unknown) => body is A
  ): Effect.Effect<Whole<A>, Reason> {
    const value = parsed(body)
    if (value === undefined) return Effect.fail(this.invalid("the body is not JSON", body))
    if (isRecord(value)) {
      if (isError(value.error)) return Effect.fail(this.told(body, head))
      if (isOutOfCapacity(value)) return Effect.fail(overloaded())
    }
    if (!isAnswer(value)) return Effect.fail(this.invalid("this is not what was asked for", body))
    story.usage = isRecord(value) ? usageOf(value) : undefined
    return Effect.succeed({ ...head, value, text: body })
  }

  private observed<A>(
    { model, operation: name }: Call,
    answered: Effect.Effect<Whole<A>, RawFailure>,
    story: Story,
    context: Context.Context<never>
  ): Effect.Effect<Whole<A>, RawFailure> {
    if (name === undefined) return answered
    const operation = this.transport.meter.begin(context, name, model, {}, false)
    const told = operation.under(
      Effect.mapBoth(answered, {
        onFailure: (failure) => {
          operation.failed(failure.error.code, failure.error)
          return failure
        },
        onSuccess: (whole) => {
          operation.succeeded({ usage: story.usage ?? Usage.empty, model: modelOf(whole.value), ...whole })
          return whole
        }
      })
    )
    return Effect.onInterrupt(told, () => Effect.sync(() => operation.interrupted()))
  }
}

const modelOf = (body: unknown): string | undefined => text(record(body)?.model)
