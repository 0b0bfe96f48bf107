/**
 * A request as OpenAI-compatible servers take it, and the places where they differ.
 *
 * https://platform.openai.com/docs/api-reference/chat, https://api-docs.deepseek.com (2026-11).
 */
import * as Base64 from "effect/encoding/Base64"
import type { Reasoning, Request, ResponseFormat, ToolChoice, ToolSpec } from "../Llm.ts"
import type { AssistantMessage, Data, Message, Part } from "../Message.ts"
import { opened } from "./dataUrl.ts"
import { adjoined } from "./toolCalls.ts"

/** How an answer's beginning is given back so that the server goes on from there. */
export type Prefix =
  /** `prefix: true` on the last assistant message (DeepSeek's beta, Mistral). */
  | "prefix"
  /** `continue_final_message: true` and `add_generation_prompt: false` (vLLM, SGLang). */
  | "continue_final_message"

/** What the layer adds to each request, and what its server understands. */
export interface Shape {
  readonly model: string
  /** OpenAI's newer models refuse `max_tokens`; most compatible servers know nothing else. */
  readonly maxTokensField: "max_tokens" | "max_completion_tokens"
  /** Ask for a last chunk with the usage. */
  readonly includeUsage: boolean
  /** Whether `response_format: json_schema` is understood; where not, the schema is told in words. */
  readonly jsonSchema: boolean
  /** How thinking is asked for: by an effort alone, or with DeepSeek's switch, which wants its reasoning back, too. */
  readonly thinking: "effort" | "deepseek"
  readonly prefix: Prefix | undefined
}

/** An answer's beginning, to be continued. */
export interface Said {
  readonly text: string
  readonly reasoning: string
}

export const encode = (request: Request, shape: Shape, stream: boolean, said?: Said): string => {
  const { responseFormat } = request
  const messages = adjoined(request.messages).map((message) => toMessage(message, shape))
  const words = wordsOf(responseFormat, shape)
  if (words !== undefined) messages.unshift({ role: "system", content: words })
  if (said !== undefined) messages.push(beginning(said, shape))
  return JSON.stringify({
    model: request.model ?? shape.model,
    messages,
    [shape.maxTokensField]: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    stop: request.stop,
    seed: request.seed,
    ...toTools(request),
    response_format: toFormat(responseFormat, shape),
    ...toThinking(request.reasoning, shape),
    ...(said !== undefined && shape.prefix === "continue_final_message" ? finalMessage : undefined),
    stream: stream ? true : undefined,
    stream_options: stream && shape.includeUsage ? { include_usage: true } : undefined,
    ...request.extra
  })
}

const finalMessage = { continue_final_message: true, add_generation_prompt: false }

/** What these servers cannot take; it is refused before it is sent. */
export const refusal = ({ messages }: Request): string | undefined => {
  for (const { content } of messages) {
    if (typeof content === "string") continue
    if (content.some((part) => part.type === "file" && "url" in opened(part))) {
      return "chat completions take no address of a file; give its bytes as `data`"
    }
  }
  return undefined
}

const toMessage = (message: Message, shape: Shape): object => {
  switch (message.role) {
    case "system":
      return { role: "system", content: message.content }
    case "user":
      return {
        role: "user",
        content: typeof message.content === "string" ? message.content : message.content.map(toPart)
      }
    case "assistant":
      return toAssistant(message, shape)
    case "tool":
      return { role: "tool", tool_call_id: message.toolCallId, content: message.content }
  }
}

const toAssistant = ({ content, reasoning, toolCalls }: AssistantMessage, shape: Shape): object => {
  if (toolCalls === undefined || toolCalls.length === 0) return { role: "assistant", content }
  return {
    role: "assistant",
    content: content === "" ? null : content,
    // Required on turns with tool calls, ignored on others (api-docs.deepseek.com/guides/thinking_mode, 2026-11).
    reasoning_content: shape.thinking === "deepseek" ? (reasoning ?? notShown) : undefined,
    tool_calls: toolCalls.map(({ id, inputText, name }) => ({
      id,
      type: "function",
      function: { name, arguments: inputText }
    }))
  }
}

/** What another provider's model thought before it called a tool; an empty text is refused as an absent one is. */
const notShown = "(not shown)"

const beginning = ({ reasoning, text }: Said, shape: Shape): object => ({
  role: "assistant",
  content: text,
  ...(shape.prefix === "prefix" ? { prefix: true } : undefined),
  ...(shape.thinking === "deepseek" && reasoning !== "" ? { reasoning_content: reasoning } : undefined)
})

/** Bytes in base64; a text is base64 already. */
export const toBase64 = (data: Data): string => (typeof data === "string" ? data : Base64.encode(data))

const toPart = (given: Part): object => {
  if (given.type === "text") return { type: "text", text: given.text }
  const part = opened(given)
  if (part.type === "image") {
    const url = "url" in part ? part.url : `data:${part.mediaType};base64,${toBase64(part.data)}`
    return { type: "image_url", image_url: { url } }
  }
  if ("url" in part) return { type: "text", text: part.url }
  const fileData = `data:${part.mediaType};base64,${toBase64(part.data)}`
  return { type: "file", file: { filename: part.name ?? "file", file_data: fileData } }
}

/** A choice without tools is refused. */
const toTools = ({ parallelToolCalls, toolChoice, tools = [] }: Request): object | undefined => {
  if (tools.length === 0) return undefined
  return { tools: tools.map(toTool), tool_choice: toToolChoice(toolChoice), parallel_tool_calls: parallelToolCalls }
}

const toTool = ({ description, name, parameters, strict }: ToolSpec): object => ({
  type: "function",
  function: { name, description, parameters: parameters ?? { type: "object", properties: {} }, strict }
})

const toToolChoice = (choice: ToolChoice | undefined): unknown =>
  typeof choice === "object" ? { type: "function", function: { name: choice.tool } } : choice

const toFormat = (format: ResponseFormat | undefined, shape: Shape): unknown => {
  if (format === undefined || format.type === "text") return undefined
  if (format.type === "json" || !shape.jsonSchema) return { type: "json_object" }
  const { description, name = "answer", schema, strict } = format
  return { type: "json_schema", json_schema: { name, description, schema, strict } }
}

/** The schema in words, for a server that does not read schemas. It wants the word "json", too. */
const wordsOf = (format: ResponseFormat | undefined, shape: Shape): string | undefined =>
  format?.type === "jsonSchema" && !shape.jsonSchema ? schemaInWords(format.schema) : undefined

export const schemaInWords = (schema: unknown): string =>
  `Answer with a JSON value that fits this JSON Schema, and with nothing else:\n${JSON.stringify(schema)}`

const toThinking = (reasoning: Reasoning | undefined, shape: Shape): object | undefined => {
  const effort = reasoning?.effort
  if (effort === undefined) return undefined
  if (shape.thinking === "effort") return { reasoning_effort: effort }
  if (effort === "none") return { thinking: { type: "disabled" } }
  return { thinking: { type: "enabled" }, reasoning_effort: deepseekEfforts[effort] }
}

// api-docs.deepseek.com/guides/thinking_mode (2026-11): three efforts, and which of the others stands for which.
const deepseekEfforts = { minimal: "low", low: "low", medium: "high", high: "high", max: "max" } as const
