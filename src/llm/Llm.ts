/**
 * A large language model: messages in, an answer out.
 *
 * This module says what a model does. `OpenAiLlm` says how.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Attempt } from "../policy/Attempt.ts"
import type { LlmError } from "./LlmError.ts"
import type { Message } from "./Message.ts"
import type { Usage } from "./Usage.ts"

/** What to ask. */
export interface Request {
  /** The conversation so far; at least one message. */
  readonly messages: ReadonlyArray<Message>
  /** Default: the layer's model. */
  readonly model?: string | undefined
  /** Upper bound on generated tokens. Default: the provider's own limit. */
  readonly maxTokens?: number | undefined
  /** Randomness, 0 to 2. Default: the provider's own. */
  readonly temperature?: number | undefined
  /** Nucleus sampling, 0 to 1. Default: the provider's own. */
  readonly topP?: number | undefined
  /** Texts at which the model stops. */
  readonly stop?: ReadonlyArray<string> | undefined
  /** For repeatable answers, where the provider can. */
  readonly seed?: number | undefined
  /** Extra headers of this request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** One key for the logical call, the same on each attempt. Sent as `Idempotency-Key`. */
  readonly idempotencyKey?: string | undefined
  /** Fields of the provider's own, merged into the body as they are. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/** Why the model stopped. A value the library does not know reads as `"other"`; `raw` has the original. */
export type FinishReason = "stop" | "length" | "toolCalls" | "contentFilter" | "other"

/** A whole answer. */
export interface Answer {
  readonly text: string
  /** The model's reasoning, where the provider shows it. */
  readonly reasoning?: string | undefined
  readonly finishReason: FinishReason
  readonly usage: Usage
  /** The model that answered, as it names itself. */
  readonly model: string
  /** The provider's name for this request, for its support. */
  readonly requestId?: string | undefined
  /** One entry for each send. */
  readonly attempts: ReadonlyArray<Attempt>
  /** The answer as it came over the wire. */
  readonly raw: unknown
}

/** What a streamed answer says, in order. The last event is always `"finish"`; a stream without one has failed. */
export type StreamEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | {
      readonly type: "finish"
      readonly finishReason: FinishReason
      readonly usage: Usage
      readonly model: string
      readonly requestId?: string | undefined
      readonly attempts: ReadonlyArray<Attempt>
    }

/** Asks models. */
export class Llm extends Context.Service<
  Llm,
  {
    /** Waits for the whole answer. Interrupting it aborts the request. */
    readonly generateText: (request: Request) => Effect.Effect<Answer, LlmError>
    /** Sends at the first pull and emits events as they arrive. Leaving the stream aborts the request. */
    readonly streamText: (request: Request) => Stream.Stream<StreamEvent, LlmError>
  }
>()("holdfast/llm/Llm") {}

/** A question, or a whole request. */
export type Input = string | Request

/** Reads a bare question as a request of one user message. */
export const toRequest = (input: Input): Request =>
  typeof input === "string" ? { messages: [{ role: "user", content: input }] } : input

/** Asks the model in context and waits for the whole answer. */
export const generateText = (input: Input): Effect.Effect<Answer, LlmError, Llm> =>
  Effect.flatMap(Llm, (llm) => llm.generateText(toRequest(input)))

/** Asks the model in context and emits the answer as it arrives. */
export const streamText = (input: Input): Stream.Stream<StreamEvent, LlmError, Llm> =>
  Stream.unwrap(Effect.map(Llm, (llm) => llm.streamText(toRequest(input))))
