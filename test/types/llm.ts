/** Compiled, never run: what the types of models promise. */
import type { Effect, Layer, Scope, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { FallbackLlm, Llm, type LlmError, Message, OpenAiLlm } from "holdfast/llm"
import type { Attempt, Policy, Retryable } from "holdfast/policy"
import { TestLlm } from "holdfast/testing"
import { expectTypeOf } from "vitest"

// One error in the channel, and nothing but the model in the requirements.
expectTypeOf(Llm.generateText("?")).toEqualTypeOf<Effect.Effect<Llm.Answer, LlmError.LlmError, Llm.Llm>>()
expectTypeOf(Llm.streamText("?")).toEqualTypeOf<Stream.Stream<Llm.StreamEvent, LlmError.LlmError, Llm.Llm>>()
expectTypeOf<Llm.Llm["Service"]["generateText"]>().returns.toEqualTypeOf<Effect.Effect<Llm.Answer, LlmError.LlmError>>()

// A layer fails with nothing, and needs the HttpClient of Effect.
expectTypeOf(OpenAiLlm.layer({ model: "m" })).toEqualTypeOf<Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>>()
expectTypeOf(OpenAiLlm.make({ model: "m" })).toEqualTypeOf<
  Effect.Effect<Llm.Llm["Service"], never, HttpClient.HttpClient | Scope.Scope>
>()
expectTypeOf(TestLlm.layer("hello")).toEqualTypeOf<Layer.Layer<Llm.Llm | TestLlm.Requests>>()
// A value or an open policy.
expectTypeOf<Policy.Policy | Policy.Held | undefined>().toEqualTypeOf<OpenAiLlm.Options["policy"]>()
// @ts-expect-error a model must be named
OpenAiLlm.layer({})
// @ts-expect-error a key is redacted, so that it cannot be logged by mistake
OpenAiLlm.layer({ model: "m", apiKey: "secret" })

// One model of several needs what they need, and the program does not see how many there are.
const openAi = OpenAiLlm.layer({ model: "m" })
expectTypeOf(FallbackLlm.layer([{ llm: openAi }, { llm: TestLlm.layer("hello"), longerContext: true }])).toEqualTypeOf<
  Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>
>()
expectTypeOf(FallbackLlm.make([{ llm: openAi, when: () => true }], { total: "1 minute" })).toEqualTypeOf<
  Effect.Effect<Llm.Llm["Service"], never, HttpClient.HttpClient | Scope.Scope>
>()
// @ts-expect-error nobody to ask
FallbackLlm.layer([])
// @ts-expect-error an alternative has a policy of its own; the fallback retries nothing
FallbackLlm.layer([{ llm: openAi }], { retry: { retries: 1 } })
// @ts-expect-error an alternative is a layer of `Llm`, not its options
FallbackLlm.layer([{ model: "m" }])

// A request.
expectTypeOf<Message.Role>().toEqualTypeOf<"system" | "user" | "assistant" | "tool">()
expectTypeOf(Message.user("hi")).toExtend<Llm.Request["messages"][number]>()
// @ts-expect-error the service's methods take a request; `Llm.generateText` and `Llm.toRequest` take a question
export const asked = (llm: Llm.Llm["Service"]) => llm.generateText("?")
// @ts-expect-error no such role
Llm.generateText({ messages: [{ role: "robot", content: "hi" }] })
// @ts-expect-error the name is maxTokens
Llm.generateText({ messages: [], max_tokens: 1 })

// The union of reasons is closed: a switch without a default returns in every case, or it does not compile.
export const family = ({ reason }: LlmError.LlmError): string => {
  switch (reason._tag) {
    case "RateLimited":
    case "Overloaded":
    case "QuotaExhausted":
    case "Unauthorized":
    case "InvalidRequest":
    case "ContextLengthExceeded":
    case "ContentFiltered":
      return "refused"
    case "ServerError":
    case "InvalidResponse":
      return "failed"
    case "Unreachable":
    case "ConnectionLost":
      return "connection"
    case "FirstContentTimeout":
    case "StreamStalled":
    case "StreamCut":
    case "StreamTruncated":
      return "stream"
    case "BodyTooLarge":
      return "limit"
    case "ObjectMismatch":
    case "RoundsExceeded":
      return "answer"
    case "DeadlineExceeded":
    case "AttemptTimeout":
    case "Shed":
    case "Draining":
    case "CircuitOpen":
    case "BudgetExceeded":
      return "policy"
  }
}
// @ts-expect-error one case alone does not cover the union
export const incomplete = ({ reason }: LlmError.LlmError): string => {
  switch (reason._tag) {
    case "RateLimited":
      return "refused"
  }
}

// An error and its reasons speak for themselves to every policy.
expectTypeOf<LlmError.LlmError>().toExtend<Error & Retryable.Retryable>()
expectTypeOf<LlmError.Reason>().toExtend<Error & Retryable.Retryable>()
expectTypeOf<LlmError.LlmError["code"]>().toEqualTypeOf<LlmError.Reason["_tag"]>()
expectTypeOf<LlmError.LlmError["attempts"]>().toEqualTypeOf<ReadonlyArray<Attempt.Attempt>>()
expectTypeOf<LlmError.StreamCut["partial"]>().toEqualTypeOf<string>()

// The events of a stream are told apart by their type.
export const shown = (event: Llm.StreamEvent): string => {
  switch (event.type) {
    case "text":
    case "reasoning":
    case "refusal":
      return event.text
    case "toolCall":
      return event.call.name
    case "reset":
      return event.reason._tag
    case "finish":
      return `${event.finishReason}, ${event.usage.outputTokens} tokens`
  }
}
