/**
 * A call to a model for an answer, whatever its wire format: request, policy, answer, and the story of it. Streams are in
 * `streamed.ts`.
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Context from "effect/Context"
import type * as Policy from "../../policy/Policy.ts"
import type { Answer, Request } from "../Llm.ts"
import { InvalidRequest, LlmError, type Reason } from "../LlmError.ts"
import { turn } from "../Message.ts"
import * as Usage from "../Usage.ts"
import { estimateOf, tokensOf } from "./estimate.ts"
import type { Decoded, Protocol, Said } from "./protocol.ts"
import * as Redacting from "./redacting.ts"
import { counted, isReason, Story, told, Transport } from "./transport.ts"

const none: ReadonlyArray<never> = []

/** One service's calls: what its unary and its streamed ones have in common. */
export class Calls extends Transport {
  readonly protocol: Protocol

  constructor(protocol: Protocol, http: HttpClient.HttpClient, held: Policy.Held) {
    super(protocol, http, held)
    this.protocol = protocol
  }

  /** Why a request is not sent at all. */
  invalid(request: Request): InvalidRequest | undefined {
    if (request.messages.length === 0)
      return new InvalidRequest({ description: "a request needs at least one message" })
    const { protocol } = this
    const description =
      request.onCut === "continue" && protocol.prefixOf === undefined
        ? `onCut "continue" needs a provider that documents continuing an answer, and ${protocol.provider} is none`
        : protocol.refusal(request)
    return description === undefined ? undefined : new InvalidRequest({ description })
  }

  /** Sends once, or twice where a token is not accepted any more; the answer has a status of success. */
  send(
    request: Request,
    stream: boolean,
    story: Story,
    said?: Said
  ): Effect.Effect<HttpClientResponse, HttpClientError | Reason> {
    return this.exchange((token) => this.protocol.encode(request, { stream, token, said }), story)
  }

  toError(
    reason: Reason,
    story: Story,
    used?: { readonly usage: Usage.Usage | undefined; readonly cost: number | undefined; readonly delivered?: boolean }
  ): LlmError {
    const { refusalHeaders: headers, requestId } = story
    const { attempts } = story.recorder
    const { provider } = this.protocol
    return new LlmError({ provider, reason: told(reason, story), attempts, requestId, headers, ...used })
  }

  /** What the policy is told of one call. */
  callOf(request: Request, story: Story): Policy.Call {
    return {
      key: this.protocol.key,
      safety: "costly",
      recorder: story.recorder,
      estimate: () => estimateOf(request, this.protocol.maxTokens),
      usage: () => story.usage
    }
  }

  modelOf(request: Request): string {
    return request.model ?? this.protocol.model
  }

  generateText(request: Request): Effect.Effect<Answer, LlmError> {
    return Effect.contextWith((context) => {
      const operation = this.meter.begin(context, "chat", this.modelOf(request), request, false)
      return operation.observe(this.generate(request, context), (answer) => answer.text)
    })
  }

  private generate(request: Request, context: Context.Context<never>): Effect.Effect<Answer, LlmError> {
    const story = new Story(request.headers)
    const refused = this.invalid(request)
    if (refused !== undefined) return Effect.fail(this.toError(refused, story))
    const sent = this.receive(this.send(request, false, story), story, (text) => {
      const decoded = this.protocol.decode(text, request)
      if (isReason(decoded)) return Effect.fail(this.unfit(decoded, text, request, story))
      story.usage = counted(decoded.usage)
      return Effect.succeed(decoded)
    })
    const answered = Effect.matchEffect(this.held.apply(this.callOf(request, story))(sent), {
      onFailure: (reason) => {
        const usage = story.wasted
        const cost = usage && this.spent(context, this.modelOf(request), usage, reason._tag)
        return Effect.fail(this.toError(reason, story, { usage, cost }))
      },
      onSuccess: (decoded) => Effect.succeed(this.answerOf(request, decoded, story, context))
    })
    return this.isWatched(context)
      ? Effect.onInterrupt(answered, () => this.abandoned(request, story, context))
      : answered
  }

  /** An answer that will not do may have been paid for, and may repeat a secret of the request's own. */
  private unfit(reason: Reason, text: string, request: Request, story: Story): Reason {
    story.failed(reason)
    if (story.headers === undefined) return reason
    const again = this.protocol.decode(Redacting.make({ headers: story.headers })(text), request)
    return isReason(again) ? again : reason
  }

  /** A call that is given up under way may be paid for all the same: its prompt is what is known of it. */
  private abandoned(request: Request, story: Story, context: Context.Context<never>): Effect.Effect<void> {
    return Effect.sync(() => {
      if (story.recorder.attempts.at(-1)?.outcome !== "interrupted") return
      const { inputTokens } = estimateOf(request)
      this.spent(context, this.modelOf(request), { inputTokens, outputTokens: 0, isEstimate: true }, "interrupted")
    })
  }

  private answerOf(request: Request, decoded: Decoded, story: Story, context: Context.Context<never>): Answer {
    const { finishReason, raw, reasoning, refusal, text, toolCalls } = decoded
    const model = decoded.model ?? this.modelOf(request)
    const own = counted(decoded.usage) ?? this.guessed(request, decoded)
    const usage = story.wasted === undefined ? own : Usage.add(story.wasted, own)
    const cost = this.spent(context, model, usage, "ok")
    return {
      text,
      reasoning,
      refusal,
      toolCalls: toolCalls.length === 0 ? none : toolCalls,
      message: turn(decoded),
      finishReason,
      usage,
      cost,
      model,
      requestId: story.requestId ?? decoded.requestId,
      attempts: story.recorder.attempts,
      raw
    }
  }

  /** For a server that does not count. */
  private guessed(request: Request, { reasoning = "", text }: Decoded): Usage.Usage {
    const { inputTokens } = estimateOf(request)
    return { inputTokens, outputTokens: tokensOf(text) + tokensOf(reasoning), isEstimate: true }
  }
}
