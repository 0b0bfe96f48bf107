/**
 * A large language model: messages in, an answer out.
 *
 * This module says what a model does. `OpenAiLlm`, `AnthropicLlm` and `GeminiLlm` say how.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Attempt } from "../policy/Attempt.ts"
import type { LlmError } from "./LlmError.ts"
import type { AssistantMessage, Message, ToolCall } from "./Message.ts"
import type { Usage } from "./Usage.ts"

/** A JSON Schema, as the object that it is (https://json-schema.org, draft 2020-12 and 07). */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A tool that the model may ask for. `ToolLoop` runs them; a bare request only tells the model of them. */
export interface ToolSpec {
  /** Letters, digits, `_` and `-`, at most 64. */
  readonly name: string
  /** When to use it and what it gives back: the model has nothing else to go by. */
  readonly description?: string | undefined
  /** The arguments, an object. Default: an object without properties. */
  readonly parameters?: JsonSchema | undefined
  /** Whether the provider makes sure that the arguments fit, where it can. Default: its own. */
  readonly strict?: boolean | undefined
}

/** Whether the model may, must not, must, or must use one tool. */
export type ToolChoice = "auto" | "none" | "required" | { readonly tool: string }

/** What the answer's text has to be. */
export type ResponseFormat =
  | { readonly type: "text" }
  /** Any JSON object. Say so in a message, too: some providers want the word "JSON" there. */
  | { readonly type: "json" }
  /** JSON that fits a schema. A provider that does not check schemas is told of it in words. */
  | {
      readonly type: "jsonSchema"
      readonly schema: JsonSchema
      /** Letters, digits, `_` and `-`. Default: `"answer"`. */
      readonly name?: string | undefined
      readonly description?: string | undefined
      /** Whether the provider follows it to the letter, where it can. Default: its own. */
      readonly strict?: boolean | undefined
    }

/** How much the model thinks before it answers; each provider gets the nearest that it has. */
export interface Reasoning {
  /** Default: the provider's own; with `budgetTokens`, nothing is said. */
  readonly effort?: "none" | "minimal" | "low" | "medium" | "high" | "max" | undefined
  /** The most tokens to think with, where the provider takes a number (Anthropic, Gemini). */
  readonly budgetTokens?: number | undefined
}

/**
 * What happens when a stream breaks after content: it fails, with what arrived in the error; it starts again, after a
 * `reset` event; or it goes on from where it broke, where the provider documents continuing an answer's beginning.
 */
export type OnCut = "fail" | "restart" | "continue"

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
  /** Tools that the model may ask for. Default: none. */
  readonly tools?: ReadonlyArray<ToolSpec> | undefined
  /** Default: `"auto"` with tools. */
  readonly toolChoice?: ToolChoice | undefined
  /** Whether one answer may ask for several tools. Default: the provider's own, mostly `true`. */
  readonly parallelToolCalls?: boolean | undefined
  /** Default: text. `LlmObject` sets it and decodes the answer. */
  readonly responseFormat?: ResponseFormat | undefined
  readonly reasoning?: Reasoning | undefined
  /** What happens when this stream breaks after content. Default: the layer's `onCut`. */
  readonly onCut?: OnCut | undefined
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
  /** The model's words for not answering, where the provider tells them apart from an answer. */
  readonly refusal?: string | undefined
  /** What the model wants to have run, in order. */
  readonly toolCalls: ReadonlyArray<ToolCall>
  /** The turn as the next request takes it back, with everything that its provider wants to see again. */
  readonly message: AssistantMessage
  readonly finishReason: FinishReason
  readonly usage: Usage
  /** What it cost in US dollars, by `Price.Table`. Absent where the table does not have the model. */
  readonly cost?: number | undefined
  /** Who answered, of several: the name of a pool's or a fallback's member. */
  readonly servedBy?: string | undefined
  /** The model that answered, as it names itself. */
  readonly model: string
  /** The provider's name for this request, for its support. */
  readonly requestId?: string | undefined
  /** One entry for each send. */
  readonly attempts: ReadonlyArray<Attempt>
  /** The answer as it came over the wire. */
  readonly raw: unknown
}

/** The last event of a stream. */
export interface Finish extends Omit<Answer, "text" | "reasoning" | "refusal" | "toolCalls" | "raw"> {
  readonly type: "finish"
}

/** What a streamed answer says, in order. The last event is always `"finish"`; a stream without one has failed. */
export type StreamEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "refusal"; readonly text: string }
  /** Complete: it is told when the answer that it is part of is. */
  | { readonly type: "toolCall"; readonly call: ToolCall }
  /** The stream broke and begins again: what it said until now does not count. Only with `onCut: "restart"`. */
  | { readonly type: "reset"; readonly reason: LlmError["reason"] }
  | Finish

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

/** What a stream has said: the text that counts, its tool calls, and its end once it is there. */
export interface Collected {
  readonly text: string
  readonly reasoning: string
  readonly refusal: string
  readonly toolCalls: ReadonlyArray<ToolCall>
  readonly finish: Finish | undefined
}

/** Nothing yet. */
export const collected: Collected = { text: "", reasoning: "", refusal: "", toolCalls: [], finish: undefined }

/** Adds an event to what was said before; a `reset` takes all of it back. `Stream.runFold(() => collected, collect)`. */
export const collect = (before: Collected, event: StreamEvent): Collected => {
  switch (event.type) {
    case "text":
      return { ...before, text: before.text + event.text }
    case "reasoning":
      return { ...before, reasoning: before.reasoning + event.text }
    case "refusal":
      return { ...before, refusal: before.refusal + event.text }
    case "toolCall":
      return { ...before, toolCalls: [...before.toolCalls, event.call] }
    case "reset":
      return collected
    case "finish":
      return { ...before, finish: event }
  }
}
