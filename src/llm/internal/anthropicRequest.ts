/**
 * A request as the Messages API takes it, in both of its versions.
 *
 * https://platform.claude.com/docs/en/api/messages (2026-11).
 */
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { JsonSchema, Reasoning, Request, ResponseFormat, ToolChoice, ToolSpec } from "../Llm.ts"
import type { AssistantMessage, Data, FilePart, ImagePart, Message, Part, ToolCall } from "../Message.ts"
import { opened } from "./dataUrl.ts"
import { isRecord, type Json, text as textIn } from "./json.ts"
import { ownBlocks, type Plain, type Reader } from "./nativeTurn.ts"
import { schemaInWords, toBase64 } from "./openaiRequest.ts"
import type { Said } from "./protocol.ts"
import { adjoined } from "./toolCalls.ts"

/** The value of `anthropic-version`. */
export type Version = "2026-10-21" | "2023-06-01"

/** The name of this wire format in a turn's `native`. */
export const format = "anthropic"

/** What the layer adds to each request. */
export interface Shape {
  readonly model: string
  readonly version: Version
  /** `max_tokens` of a request that names none, without its thinking. */
  readonly maxTokens: number
}

export const encode = (request: Request, shape: Shape, stream: boolean, said?: Said): string => {
  const { messages, stop, temperature, topP } = request
  const turns = toTurns(messages)
  if (said !== undefined) begin(turns, prefixOf(said.text))
  return JSON.stringify({
    model: request.model ?? shape.model,
    max_tokens: maxTokensOf(request, shape),
    system: toSystem(request),
    messages: turns.map(({ blocks, role }) => ({ role, content: blocks })),
    temperature,
    top_p: topP,
    stop_sequences: stop,
    ...toTools(request),
    thinking: toThinking(request.reasoning),
    output_config: toOutput(request),
    stream: stream ? true : undefined,
    ...request.extra
  })
}

/** Thinking is part of `max_tokens`: where nobody chose that, the budget comes on top. */
const maxTokensOf = ({ maxTokens, reasoning }: Request, shape: Shape): number =>
  maxTokens ?? shape.maxTokens + (budgetOf(reasoning) ?? 0)

// --- what is refused before it is sent -------------------------------------------------------------------------------

// platform.claude.com/docs/en/build-with-claude/extended-thinking, 2026-11
const minBudgetTokens = 1024

/** What this API cannot take; it is refused before it is sent. */
export const refusal = (request: Request, shape: Shape): string | undefined => {
  const { messages, reasoning, temperature, topP } = request
  if (toTurns(messages).length === 0) return "a request needs a message that says something, beside the system's"
  if ((temperature !== undefined || topP !== undefined) && shape.version !== "2023-06-01") {
    return `version ${shape.version} of the Messages API has no temperature and no topP; leave them out, or give the layer version: "2023-06-01"`
  }
  const budget = budgetOf(reasoning)
  const maxTokens = maxTokensOf(request, shape)
  if (budget !== undefined && (budget < minBudgetTokens || budget >= maxTokens)) {
    return `budgetTokens is ${budget}; it has to be at least ${minBudgetTokens} and less than maxTokens, which is ${maxTokens}`
  }
  if (messages.some((message) => message.role === "user" && partsOf(message.content).some(isUnreadable))) {
    return "a text file's data is not base64; give its bytes as they are"
  }
  return request.onCut === "continue" ? cannotContinue(request) : undefined
}

/** A beginning is not taken by a model that thinks, nor together with a schema (…/structured-outputs, 2026-11). */
const cannotContinue = ({ reasoning, responseFormat }: Request): string | undefined => {
  const thinks = toThinking(reasoning)?.type
  const other =
    thinks !== undefined && thinks !== "disabled"
      ? "reasoning"
      : schemaOf(responseFormat) === undefined
        ? undefined
        : "a schema"
  return other === undefined ? undefined : `onCut "continue" does not go together with ${other}; choose "restart"`
}

// --- messages --------------------------------------------------------------------------------------------------------

/** One message of the API: it wants the speakers to alternate. */
interface Turn {
  readonly role: "user" | "assistant"
  readonly blocks: Array<object>
}

const toTurns = (messages: ReadonlyArray<Message>): Array<Turn> => {
  const turns: Array<Turn> = []
  const ids = new WireIds()
  for (const message of adjoined(messages)) {
    if (message.role === "system") continue
    const role = message.role === "assistant" ? "assistant" : "user"
    const blocks = toBlocks(message, ids)
    // Such as a refused answer: the API gives empty turns and takes none.
    if (blocks.length === 0) continue
    const last = turns.at(-1)
    if (last?.role === role) last.blocks.push(...blocks)
    else turns.push({ role, blocks: [...blocks] })
  }
  return turns
}

/**
 * The ids of calls as the API takes them: in its letters, and each another one in all of the conversation, which those of
 * other providers are not.
 */
class WireIds {
  private readonly used = new Set<string>()
  /** Of the last turn that has calls. */
  private current = new Map<string, string>()

  /** Begins a turn. */
  turn(calls: ReadonlyArray<ToolCall>): void {
    this.current = new Map(calls.map(({ id }) => [id, this.fresh(id)]))
  }

  of(id: string): string {
    return this.current.get(id) ?? inLetters(id)
  }

  private fresh(id: string): string {
    const plain = inLetters(id)
    let fresh = plain
    for (let copy = 2; this.used.has(fresh); copy++) fresh = `${plain}_${copy}`
    this.used.add(fresh)
    return fresh
  }
}

/** The API takes no other characters; ids of other providers have some. */
const inLetters = (id: string): string => id.replaceAll(/[^\w-]/g, "_")

const textBlock = (text: string): Json => ({ type: "text", text })

const partsOf = (content: string | ReadonlyArray<Part>): ReadonlyArray<Part> =>
  typeof content === "string" ? [{ type: "text", text: content }] : content

const toBlocks = (message: Exclude<Message, { role: "system" }>, ids: WireIds): ReadonlyArray<object> => {
  switch (message.role) {
    case "user":
      return partsOf(message.content).flatMap((part) => (isBlank(part) ? [] : [toBlock(part)]))
    case "assistant":
      return toAssistant(message, ids)
    case "tool":
      return [
        {
          type: "tool_result",
          tool_use_id: ids.of(message.toolCallId),
          content: message.content,
          is_error: message.isError === true ? true : undefined
        }
      ]
  }
}

/** A turn of this API is given back as it came, signatures and all; another provider's goes by its fields. */
const toAssistant = (message: AssistantMessage, ids: WireIds): ReadonlyArray<object> => {
  const { content, toolCalls = [] } = message
  if (toolCalls.length > 0) ids.turn(toolCalls)
  const own = ownBlocks(message, reader).filter((block) => !isBlank(block))
  if (own.length > 0) return own.map((block) => ("id" in block ? withId(block, ids) : block))
  return [...(content.trim() === "" ? [] : [textBlock(content)]), ...toolCalls.map((call) => toToolUse(call, ids))]
}

const withId = (block: Json, ids: WireIds): Json =>
  block.type === "tool_use" ? { ...block, id: ids.of(textIn(block.id) ?? "") } : block

/** The texts of all blocks of a kind: citations cut an answer into many. */
export const joined = (content: ReadonlyArray<Json>, type: "text" | "thinking"): string =>
  content.map((block) => (block.type === type ? (textIn(block[type]) ?? "") : "")).join("")

const reader: Reader = {
  format,
  read: (blocks): Plain => ({
    text: joined(blocks, "text"),
    reasoning: joined(blocks, "thinking"),
    calls: blocks.flatMap(({ id, input, name, type }) =>
      type === "tool_use" ? [{ id: textIn(id) ?? "", name, input: input ?? {} }] : []
    )
  }),
  inputOf: ({ input, inputText }) => toInput(input, inputText)
}

/** Models write blank texts between other blocks, and the API does not take them back, nor from anybody else. */
const isBlank = ({ text, type }: { readonly text?: unknown; readonly type?: unknown }): boolean =>
  type === "text" && typeof text === "string" && text.trim() === ""

const toToolUse = ({ id, input, inputText, name }: ToolCall, ids: WireIds): object => ({
  type: "tool_use",
  id: ids.of(id),
  name,
  input: toInput(input, inputText)
})

/**
 * Arguments are an object here. What is none is shown to the model as it wrote it, in the form that the documentation
 * has for it (…/agents-and-tools/tool-use/fine-grained-tool-streaming, 2026-11).
 */
export const toInput = (input: unknown, inputText: string): Json =>
  isRecord(input) ? input : { INVALID_JSON: inputText }

const toBlock = (part: Part): object => {
  switch (part.type) {
    case "text":
      return textBlock(part.text)
    case "image":
      return { type: "image", source: toSource(part) }
    case "file":
      return { type: "document", source: toSource(part), title: "url" in part ? undefined : part.name }
  }
}

const toSource = (given: ImagePart | FilePart): object => {
  // Addresses of http alone are fetched.
  const part = opened(given)
  if ("url" in part) return { type: "url", url: part.url }
  const { data, mediaType } = part
  // Every text is plain text to the API: it knows no markdown and no CSV.
  if (isText(part)) return { type: "text", media_type: "text/plain", data: textOf(data) }
  return { type: "base64", media_type: mediaType, data: toBase64(data) }
}

const isText = (part: { readonly type: string; readonly mediaType: string }): boolean =>
  part.type === "file" && part.mediaType.startsWith("text/")

/** `undefined` where it is not base64. */
const textOf = (data: Data): string | undefined =>
  typeof data === "string"
    ? Option.getOrUndefined(Result.getSuccess(Base64.decodeString(data)))
    : new TextDecoder().decode(data)

const isUnreadable = (given: Part): boolean => {
  if (given.type !== "file") return false
  const part = opened(given)
  return !("url" in part) && isText(part) && textOf(part.data) === undefined
}

// --- an answer's beginning -------------------------------------------------------------------------------------------

/** The API refuses a beginning that ends in blanks (…/prompt-engineering/prefill-claudes-response, 2026-11). */
export const prefixOf = (text: string): string => text.trimEnd()

/** Lets the model go on from a beginning: the last turn is its own. */
const begin = (turns: Array<Turn>, prefix: string): void => {
  if (prefix === "") return
  const last = turns.at(-1)
  if (last?.role !== "assistant") {
    turns.push({ role: "assistant", blocks: [textBlock(prefix)] })
    return
  }
  // The request has a beginning of its own, of which this is the rest.
  const block = last.blocks.at(-1)
  const isText = isRecord(block) && block.type === "text" && typeof block.text === "string"
  if (isText) last.blocks.splice(-1, 1, { ...block, text: `${block.text}${prefix}` })
  else last.blocks.push(textBlock(prefix))
}

// --- system, tools, thinking, format ---------------------------------------------------------------------------------

const toSystem = ({ messages, responseFormat }: Request): string | undefined => {
  const texts = messages.flatMap((message) => (message.role === "system" ? [message.content] : []))
  const words = wordsOf(responseFormat)
  const said = [...texts, ...(words === undefined ? [] : [words])].filter((text) => text.trim() !== "")
  return said.length === 0 ? undefined : said.join("\n\n")
}

const toTools = ({ messages, parallelToolCalls, toolChoice, tools }: Request): object | undefined => {
  // A choice without tools is an error of the API.
  if (tools === undefined || tools.length === 0) return toOldTools(messages)
  return { tools: tools.map(toTool), tool_choice: toChoice(toolChoice, parallelToolCalls === false) }
}

/** The tools that a conversation speaks of, where none may be used any more: the API wants to see them all the same. */
const toOldTools = (messages: ReadonlyArray<Message>): object | undefined => {
  const calls = messages.flatMap((message) => (message.role === "assistant" ? (message.toolCalls ?? []) : []))
  const names = new Set(calls.map(({ name }) => name))
  if (names.size === 0) return undefined
  return { tools: Array.from(names, (name) => toTool({ name })), tool_choice: { type: "none" } }
}

const toTool = ({ description, name, parameters, strict }: ToolSpec): object => {
  const schema = parameters ?? { type: "object", properties: {} }
  const isStrict = strict === true && !isOpen(schema)
  return { name, description, input_schema: isStrict ? toGrammar(schema) : schema, strict }
}

const toChoice = (choice: ToolChoice | undefined, isSingle: boolean): object | undefined => {
  const single = isSingle ? { disable_parallel_tool_use: true } : undefined
  if (choice === undefined) return single && { type: "auto", ...single }
  if (choice === "none") return { type: "none" }
  if (typeof choice === "object") return { type: "tool", name: choice.tool, ...single }
  return { type: choice === "required" ? "any" : "auto", ...single }
}

const budgetOf = (reasoning: Reasoning | undefined): number | undefined =>
  reasoning?.effort === "none" ? undefined : reasoning?.budgetTokens

const toThinking = (reasoning: Reasoning | undefined): { readonly type: string } | undefined => {
  if (reasoning?.effort === "none") return { type: "disabled" }
  const budget = budgetOf(reasoning)
  if (budget !== undefined) return enabled(budget)
  // Newer models think in silence unless asked: nothing but pings would come before the text, and look like a stall.
  return reasoning?.effort === undefined ? undefined : adaptive
}

const enabled = (budget: number): { readonly type: string } & Json => ({ type: "enabled", budget_tokens: budget })

const adaptive: { readonly type: string } & Json = { type: "adaptive", display: "summarized" }

const toOutput = ({ reasoning, responseFormat }: Request): object | undefined => {
  const asked = reasoning?.effort
  // Both are there since the beginning of `effort`; `"none"` is told by `thinking`.
  const effort = asked === "none" ? undefined : asked === "minimal" ? "low" : asked
  const schema = schemaOf(responseFormat)
  if (effort === undefined && schema === undefined) return undefined
  return { effort, format: schema && { type: "json_schema", schema: toGrammar(schema) } }
}

/** The schema that the API checks: it does so to the letter, and cannot where an object takes any names. */
const schemaOf = (format: ResponseFormat | undefined): JsonSchema | undefined =>
  format?.type === "jsonSchema" && format.strict !== false && !isOpen(format.schema) ? format.schema : undefined

const wordsOf = (format: ResponseFormat | undefined): string | undefined => {
  if (format === undefined || format.type === "text" || schemaOf(format) !== undefined) return undefined
  return format.type === "jsonSchema"
    ? schemaInWords(format.schema)
    : "Answer with a JSON object, and with nothing else."
}

// --- schemas ---------------------------------------------------------------------------------------------------------

const isOpen = (schema: unknown): boolean => {
  if (Array.isArray(schema)) return schema.some(isOpen)
  if (!isRecord(schema)) return false
  const { additionalProperties = false, patternProperties } = schema
  return additionalProperties !== false || patternProperties !== undefined || Object.values(schema).some(isOpen)
}

// What schemas may say that are checked to the letter (…/build-with-claude/structured-outputs, 2026-11).
const kept = new Set(["type", "enum", "const", "required", "description", "title", "default"])
const maps = new Set(["properties", "$defs", "definitions"])
const lists = new Set(["anyOf", "allOf", "oneOf"])
const formats = new Set("date-time time date duration email hostname uri ipv4 ipv6 uuid".split(" "))

const isKept = (name: string, value: unknown): boolean =>
  kept.has(name) ||
  (name === "format" && typeof value === "string" && formats.has(value)) ||
  (name === "minItems" && (value === 0 || value === 1))

/** A schema as the API takes it: objects are closed, and what it cannot check is told in the description. */
const toGrammar = (schema: unknown): unknown => {
  if (!isRecord(schema)) return schema
  const { $ref: ref, $defs: defs } = schema
  // Nothing stands beside a reference but the definitions at the root.
  if (ref !== undefined) return { $ref: ref, $defs: defs && toGrammars(defs) }
  const grammar: Record<string, unknown> = {}
  const words: Array<string> = []
  for (const [name, value] of Object.entries(schema)) {
    if (maps.has(name)) grammar[name] = toGrammars(value)
    else if (lists.has(name) && Array.isArray(value)) grammar[name === "oneOf" ? "anyOf" : name] = value.map(toGrammar)
    else if (name === "items") grammar.items = toGrammar(value)
    else if (isKept(name, value)) grammar[name] = value
    else if (name !== "$schema" && name !== "additionalProperties") words.push(`${name}: ${JSON.stringify(value)}`)
  }
  if (schema.type === "object") grammar.additionalProperties = false
  if (words.length > 0) {
    const before = typeof schema.description === "string" ? `${schema.description}\n\n` : ""
    grammar.description = `${before}{${words.join(", ")}}`
  }
  return grammar
}

const toGrammars = (schemas: unknown): unknown =>
  isRecord(schemas)
    ? Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, toGrammar(schema)]))
    : schemas
