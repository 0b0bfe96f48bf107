/** The wire format of an OpenAI-compatible chat endpoint, from the server's side. PROTOCOLS: docs of chat completions, 2026-11. */
import * as Schema from "effect/Schema"
import type { Usage } from "../../llm/Usage.ts"

const Content = Schema.Union([
  Schema.String,
  Schema.Array(Schema.Struct({ text: Schema.optional(Schema.String) })),
  Schema.Null
])

/** What the server reads of a request; other fields are let through. */
export const ChatRequest = Schema.fromJsonString(
  Schema.Struct({
    model: Schema.String,
    messages: Schema.NonEmptyArray(Schema.Struct({ role: Schema.String, content: Schema.optional(Content) })),
    stream: Schema.optional(Schema.Boolean),
    stream_options: Schema.optional(Schema.Struct({ include_usage: Schema.optional(Schema.Boolean) }))
  })
)

/** The text of a message, whatever its form. */
export const textOf = (content: typeof Content.Type | undefined): string =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("")

/** Four characters are about one token of English or code, and a message has about four tokens of its own. */
export const count = (messages: ReadonlyArray<{ readonly content: string }>, answer: string): Usage => ({
  inputTokens: messages.reduce((sum, message) => sum + 4 + Math.ceil(message.content.length / 4), 3),
  outputTokens: Math.ceil(answer.length / 4)
})

/** One answer to be written. */
export interface Reply {
  readonly id: string
  readonly model: string
  readonly createdSeconds: number
  readonly text: string
  readonly usage: Usage
}

const usageOf = (usage: Usage) => ({
  prompt_tokens: usage.inputTokens,
  completion_tokens: usage.outputTokens,
  total_tokens: usage.inputTokens + usage.outputTokens
})

/** The whole answer as one JSON body. */
export const completion = (reply: Reply): string =>
  JSON.stringify({
    id: reply.id,
    object: "chat.completion",
    created: reply.createdSeconds,
    model: reply.model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: reply.text, refusal: null },
        logprobs: null,
        finish_reason: "stop"
      }
    ],
    usage: usageOf(reply.usage)
  })

/** The answer as server-sent events: role, content, finish, usage when asked for, and the end marker. */
export const events = (reply: Reply, includeUsage: boolean): ReadonlyArray<string> => {
  const chunk = (choices: ReadonlyArray<unknown>, usage?: Usage): string =>
    `data: ${JSON.stringify({
      id: reply.id,
      object: "chat.completion.chunk",
      created: reply.createdSeconds,
      model: reply.model,
      choices,
      ...(includeUsage ? { usage: usage === undefined ? null : usageOf(usage) } : {})
    })}\n\n`
  const choice = (delta: unknown, finishReason: string | null): unknown => ({
    index: 0,
    delta,
    logprobs: null,
    finish_reason: finishReason
  })
  return [
    chunk([choice({ role: "assistant", content: "" }, null)]),
    ...pieces(reply.text).map((content) => chunk([choice({ content }, null)])),
    chunk([choice({}, "stop")]),
    ...(includeUsage ? [chunk([], reply.usage)] : []),
    "data: [DONE]\n\n"
  ]
}

/** Cuts a text into deltas of a few words each, as models send them: at least two, so that each can be cut or stalled. */
export const pieces = (text: string): ReadonlyArray<string> => {
  const words = text.match(/\s*\S+\s*$|\s*\S+/g) ?? [text]
  if (words.length === 1 && text.length > 1) return [text.slice(0, 1), text.slice(1)]
  const size = words.length < 8 ? 1 : 4
  return Array.from({ length: Math.ceil(words.length / size) }, (_, index) =>
    words.slice(index * size, (index + 1) * size).join("")
  )
}

/** An error body as the provider writes it. */
export const problem = (message: string, code: string): string =>
  JSON.stringify({ error: { message, type: code, param: null, code } })
