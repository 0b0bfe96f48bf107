/**
 * A request as Gemini's `generateContent` takes it.
 *
 * https://ai.google.dev/api/generate-content, v1beta (2026-11).
 */
import type { Reasoning, Request, ToolChoice, ToolSpec } from "../Llm.ts"
import type { AssistantMessage, Message, Part, ToolMessage } from "../Message.ts"
import { opened } from "./dataUrl.ts"
import { type Json, parsed, record, text } from "./json.ts"
import { ownBlocks, type Plain, type Reader } from "./nativeTurn.ts"
import { toBase64 } from "./openaiRequest.ts"
import { adjoined } from "./toolCalls.ts"

/** The format of a turn that is given back as it came. */
export const format = "gemini"

/** `{name}` of `models/{name}`, which is what the API's own lists call a model. */
const nameOf = (model: string): string => model.replace(/^models\//, "")

/** The path of a call, e.g. `"/models/gemini-3-flash:generateContent"`. */
export const endpointOf = (model: string, stream: boolean): string => {
  const [, folder = "models", name = ""] = /^(?:(models|tunedModels)\/)?(.*)$/s.exec(model) ?? []
  return `/${folder}/${encodeURIComponent(name)}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`
}

/** What Gemini cannot take; it is refused before it is sent. */
export const refusal = ({ messages, stop }: Request): string | undefined => {
  if (stop !== undefined && stop.length > maxStops) {
    return `Gemini stops at ${maxStops} texts at most, and \`stop\` has ${stop.length}`
  }
  return messages.every(isSilent)
    ? "Gemini wants a message that says something besides the standing instructions"
    : undefined
}

/** Nothing of it is sent. */
const isSilent = (message: Message): boolean =>
  message.role === "system" || toParts(message, "", new Set()).length === 0

// ai.google.dev/api/generate-content, GenerationConfig.stopSequences, 2026-11.
const maxStops = 5

export const encode = (request: Request, model: string): string => {
  const { extra, messages } = request
  const name = nameOf(request.model ?? model)
  const instructions = messages.flatMap(({ content, role }) => (role === "system" ? textParts(content) : []))
  const config = merged(toConfig(request, name), record(extra?.generationConfig) ?? {})
  return JSON.stringify({
    contents: toContents(messages, name),
    systemInstruction: instructions.length === 0 ? undefined : { parts: instructions },
    ...toTools(request),
    ...extra,
    generationConfig: Object.keys(config).length === 0 ? undefined : config
  })
}

// --- the conversation ------------------------------------------------------------------------------------------------

interface Content {
  readonly role: "user" | "model"
  readonly parts: Array<unknown>
}

/** Turns of one speaker in a row are one: the results of several calls have to come together. */
const toContents = (messages: ReadonlyArray<Message>, model: string): ReadonlyArray<Content> => {
  const contents: Array<Content> = []
  let ids: ReadonlySet<string> = new Set()
  for (const message of adjoined(messages)) {
    if (message.role === "system") continue
    if (message.role === "assistant" && (message.toolCalls ?? []).length > 0) ids = idsOf(message)
    const role = message.role === "assistant" ? "model" : "user"
    const parts = toParts(message, model, ids)
    const last = contents.at(-1)
    if (last?.role === role) last.parts.push(...parts)
    // A turn without parts, such as an answer that was blocked, is refused.
    else if (parts.length > 0) contents.push({ role, parts: [...parts] })
  }
  return contents
}

const toParts = (
  message: Exclude<Message, { readonly role: "system" }>,
  model: string,
  ids: ReadonlySet<string>
): ReadonlyArray<unknown> => {
  switch (message.role) {
    case "user":
      return typeof message.content === "string" ? textParts(message.content) : message.content.flatMap(toPart)
    case "assistant": {
      const own = ownBlocks(message, reader)
      return own.length > 0 ? own : fromFields(message, model)
    }
    case "tool":
      return [toResponse(message, ids)]
  }
}

/** An empty part is refused. */
const textParts = (said: string): ReadonlyArray<object> => (said === "" ? [] : [{ text: said }])

const reader: Reader = {
  format,
  read: (parts): Plain => ({
    text: parts.map((part) => (part.thought === true ? "" : (text(part.text) ?? ""))).join(""),
    reasoning: parts.map((part) => (part.thought === true ? (text(part.text) ?? "") : "")).join(""),
    calls: parts.flatMap(({ functionCall }) => {
      const call = record(functionCall)
      return call === undefined ? [] : [{ id: text(call.id), name: text(call.name) ?? "", input: argsOf(call.args) }]
    })
  }),
  inputOf: ({ input }) => argsOf(input)
}

/** Arguments are an object here. */
const argsOf = (input: unknown): Json => record(input) ?? {}

/** The ids that a turn's calls have on the wire: those that were made up for Gemini's calls stay here. */
const idsOf = (message: AssistantMessage): ReadonlySet<string> => {
  const own = ownBlocks(message, reader)
  return new Set(
    own.length > 0
      ? own.flatMap((part) => text(record(part.functionCall)?.id) ?? [])
      : (message.toolCalls ?? []).map(({ id }) => id)
  )
}

/** Stands for the signature of a call that another model made (ai.google.dev/gemini-api/docs/thought-signatures, 2026-11). */
const foreign = "skip_thought_signature_validator"

/** Gemini 3 refuses the first call of a turn without a signature; the models before it do not ask. */
const isBefore3 = (model: string): boolean => /^(?:gemini-[12]\b|gemma)/.test(model)

/** A turn that was written by hand or by another provider. */
const fromFields = ({ content, toolCalls = [] }: AssistantMessage, model: string): ReadonlyArray<object> => [
  ...textParts(content),
  ...toolCalls.map(({ id, input, name }, index) => ({
    functionCall: { id, name, args: argsOf(input) },
    ...(index === 0 && !isBefore3(model) ? { thoughtSignature: foreign } : undefined)
  }))
]

/** A result has to be an object. Numbers stay text: one of many digits would lose some. */
const toResponse = ({ content, isError, toolCallId, toolName }: ToolMessage, ids: ReadonlySet<string>): object => {
  const value = parsed(content)
  const said = typeof value === "object" && value !== null ? value : content
  const response = isError === true ? { error: said } : (record(value) ?? { result: said })
  return { functionResponse: { name: toolName, response, ...(ids.has(toolCallId) ? { id: toolCallId } : undefined) } }
}

const toPart = (given: Part): ReadonlyArray<object> => {
  if (given.type === "text") return textParts(given.text)
  const part = opened(given)
  if ("data" in part) return [{ inlineData: { mimeType: part.mediaType, data: toBase64(part.data) } }]
  return [{ fileData: { mimeType: part.type === "file" ? part.mediaType : undefined, fileUri: part.url } }]
}

// --- the tools -------------------------------------------------------------------------------------------------------

/** A choice without tools is refused. */
const toTools = ({ toolChoice, tools = [] }: Request): object | undefined => {
  if (tools.length === 0) return undefined
  return {
    tools: [{ functionDeclarations: tools.map(toTool) }],
    toolConfig: toolChoice === undefined ? undefined : { functionCallingConfig: toCalling(toolChoice) }
  }
}

const toTool = ({ description, name, parameters }: ToolSpec): object => ({
  name,
  description,
  parametersJsonSchema: parameters
})

const modes = { auto: "AUTO", none: "NONE", required: "ANY" } as const

const toCalling = (choice: ToolChoice): object =>
  typeof choice === "object" ? { mode: "ANY", allowedFunctionNames: [choice.tool] } : { mode: modes[choice] }

// --- the settings ----------------------------------------------------------------------------------------------------

const toConfig = (request: Request, model: string): Json => {
  const { maxTokens, reasoning, responseFormat, seed, stop, temperature, topP } = request
  const config = {
    maxOutputTokens: maxTokens,
    temperature,
    topP,
    stopSequences: stop,
    seed,
    responseMimeType: responseFormat === undefined || responseFormat.type === "text" ? undefined : "application/json",
    responseJsonSchema: responseFormat?.type === "jsonSchema" ? responseFormat.schema : undefined,
    thinkingConfig: reasoning === undefined ? undefined : toThinking(reasoning, model)
  }
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined))
}

/** The second over the first, field by field. */
const merged = (under: Json, over: Json): Json => {
  const all: Record<string, unknown> = { ...under }
  for (const [name, value] of Object.entries(over)) {
    const [below, above] = [record(all[name]), record(value)]
    all[name] = below === undefined || above === undefined ? value : merged(below, above)
  }
  return all
}

// A budget and a level exclude each other, and thoughts of a model that does not think are refused.
const toThinking = ({ budgetTokens, effort }: Reasoning, model: string): object => {
  if (effort === "none" || budgetTokens === 0) return { thinkingBudget: 0 }
  if (budgetTokens !== undefined) return { includeThoughts: true, thinkingBudget: budgetTokens }
  if (effort === undefined) return { includeThoughts: true }
  return isBefore3(model)
    ? { includeThoughts: true, thinkingBudget: budgets[effort] }
    : { includeThoughts: true, thinkingLevel: levels[effort] }
}

const levels = { minimal: "minimal", low: "low", medium: "medium", high: "high", max: "high" } as const

// Gemini 2.5 does not know levels; Google's own table of what they stand for (ai.google.dev/gemini-api/docs/openai, 2026-11).
const budgets = { minimal: 1_024, low: 1_024, medium: 8_192, high: 24_576, max: 24_576 } as const
