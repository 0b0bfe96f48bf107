/** The lines of a batch's input: a prompt or a conversation, with what it wants to have for itself. */
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Answer, generateText, type Llm, type Request } from "../../llm/Llm.ts"
import type { LlmError } from "../../llm/LlmError.ts"
import type { Context, Description } from "../../work/Batch.ts"

const Part = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }),
  Schema.Struct({ type: Schema.Literal("image"), url: Schema.String }),
  Schema.Struct({ type: Schema.Literal("image"), data: Schema.String, mediaType: Schema.String })
])

const Message = Schema.Struct({
  role: Schema.Literals(["system", "user", "assistant"]),
  content: Schema.Union([Schema.String, Schema.Array(Part)])
}).check(
  Schema.makeFilter(
    ({ content, role }) => role === "user" || typeof content === "string" || "only the role user has content in parts"
  )
)
type Message = typeof Message.Type

const messageOf = ({ content, role }: Message): Request["messages"][number] =>
  typeof content === "string" ? { role, content } : { role: "user", content }

const Fields = Schema.Struct({
  id: Schema.optional(Schema.Union([Schema.String, Schema.Number])),
  prompt: Schema.optional(Schema.NonEmptyString),
  /** Standing instructions before the prompt. */
  system: Schema.optional(Schema.String),
  messages: Schema.optional(Schema.NonEmptyArray(Message)),
  model: Schema.optional(Schema.NonEmptyString),
  maxTokens: Schema.optional(Schema.Int),
  temperature: Schema.optional(Schema.Number),
  topP: Schema.optional(Schema.Number),
  stop: Schema.optional(Schema.Array(Schema.String)),
  seed: Schema.optional(Schema.Int)
})

/** One question of the input. Fields that are not known are passed over. */
export const Question = Fields.check(
  Schema.makeFilter(({ messages, prompt, system }) => {
    if ((prompt === undefined) === (messages === undefined)) return 'it wants either a "prompt" or "messages"'
    return system === undefined || prompt !== undefined || '"system" goes with a "prompt"; put it into "messages"'
  })
)
export type Question = typeof Question.Type

/** Its own name, as text. */
export const idOf = ({ id }: Question): string | undefined => (id === undefined ? undefined : String(id))

/** What equal questions have in common: everything but the name. */
export const keyOf = (question: Question): string => JSON.stringify({ ...question, id: undefined })

const messagesOf = ({ messages, prompt, system }: Question): Request["messages"] =>
  messages?.map(messageOf) ?? [
    ...(system === undefined ? [] : [{ role: "system", content: system } as const]),
    { role: "user", content: prompt ?? "" }
  ]

/** Asks it. */
export const ask =
  (maxTokens: number | undefined) =>
  (question: Question, { idempotencyKey }: Context): Effect.Effect<Answer, LlmError, Llm> => {
    const { id: _, messages: __, prompt: ___, system: ____, ...own } = question
    return generateText({ maxTokens, ...own, messages: messagesOf(question), idempotencyKey })
  }

/** The answer without what its provider wrote around it. */
const valueOf = ({ finishReason, model, reasoning, refusal, requestId, servedBy, text, toolCalls }: Answer) => ({
  text,
  finishReason,
  model,
  requestId,
  servedBy,
  reasoning,
  refusal,
  ...(toolCalls.length === 0 ? {} : { toolCalls })
})

/** What the record says. */
export const describe = (result: Result.Result<Answer, LlmError>): Description =>
  Result.match(result, {
    onSuccess: (answer) => ({ ...facts(answer), value: valueOf(answer) }),
    onFailure: (error) => facts(error)
  })

const facts = ({ attempts, cost, usage }: Answer | LlmError): Description => ({ attempts, cost, usage })

/** What would fail all other questions, too; none of it has cost anything. */
export const isFatal = ({ code }: LlmError): boolean =>
  ["Unauthorized", "QuotaExhausted", "Unreachable", "BudgetExceeded"].includes(code)
