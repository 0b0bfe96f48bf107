/** What effect/ai asks, as a request of ours. What cannot be said is refused with a reason before anything is sent. */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Result from "effect/Result"
import type { JsonSchema, Request, ToolChoice, ToolSpec } from "../Llm.ts"
import { type Message, type Part, toolResult, turn, type ToolMessage } from "../Message.ts"
import { bytesOf } from "./dataUrl.ts"
import { messageOf } from "./errorText.ts"
import { isRecord } from "./json.ts"
import { nativeOf } from "./languageModelMark.ts"
import { toFormat } from "./languageModelSchema.ts"
import { shapeOf } from "./objectSchema.ts"
import { toStrict } from "./strictSchema.ts"
import * as ToolCalls from "./toolCalls.ts"

type Outcome<A> = Result.Result<A, AiError.AiErrorReason>

const invalid = (description: string): Result.Result<never, AiError.AiErrorReason> =>
  Result.fail(new AiError.InvalidUserInputError({ description }))

/** `settings` is what effect/ai has no words for. */
export const toRequest = (
  { prompt, responseFormat, toolChoice, tools }: LanguageModel.ProviderOptions,
  settings: Omit<Request, "messages">,
  transformer: LanguageModel.CodecTransformer
): Outcome<Request> => {
  const { parallelToolCalls, ...others } = settings
  const asked = {
    messages: toMessages(prompt),
    tools: Result.all(tools.map(toTool)),
    format:
      responseFormat.type === "text" ? Result.succeed(undefined) : attempt(() => toFormat(responseFormat, transformer))
  }
  return Result.map(Result.all(asked), ({ format, messages, tools }): Request => ({
    ...others,
    messages,
    ...(format === undefined ? undefined : { responseFormat: format }),
    // Without tools there is nothing to choose from, and providers refuse to be told so.
    ...(tools.length === 0 ? undefined : { tools, toolChoice: toChoice(toolChoice), parallelToolCalls })
  }))
}

// --- tools and formats -----------------------------------------------------------------------------------------------

const toTool = (tool: Tool.Any): Outcome<ToolSpec> => {
  const { name } = tool
  if (Tool.isProviderDefined(tool)) {
    const description = `it is a tool that ${tool.id} runs itself; an Llm knows only tools that your program runs`
    return Result.fail(new AiError.ToolConfigurationError({ toolName: name, description }))
  }
  const strict = Tool.getStrictMode(tool)
  const parameters = strict === true ? strictSchema(tool) : attempt(() => Tool.getJsonSchema(tool))
  return Result.map(parameters, (parameters) => ({
    name,
    description: Tool.getDescription(tool),
    parameters,
    strict
  }))
}

const attempt = <A>(make: () => A): Outcome<A> =>
  Result.mapError(Result.try({ try: make, catch: messageOf }), unsupported)

const unsupported = (description: string) => new AiError.UnsupportedSchemaError({ description })

/** The arguments go to the tool's handler as the model writes them, so a strict schema must not need another form. */
const strictSchema = (tool: Tool.Any): Outcome<JsonSchema> =>
  Result.flatMap(
    attempt(() => strictForm(tool)),
    (schema): Outcome<JsonSchema> => {
      if (schema !== undefined) return Result.succeed(schema)
      const description =
        `tool "${tool.name}" is Strict, so its parameters can be neither optional nor records or tuples; ` +
        "write Schema.NullOr for what may be missing, or leave Strict out"
      return Result.fail(unsupported(description))
    }
  )

const strictForm = (tool: Tool.Any): JsonSchema | undefined => {
  // That of an MCP server, say, is JSON Schema already.
  const isGiven = Tool.isDynamic(tool) && tool.jsonSchema !== undefined
  const schema = isGiven ? Tool.getJsonSchema(tool) : shapeOf(tool.parametersSchema, false).jsonSchema
  return isPartial(schema) ? undefined : toStrict(schema)
}

/** Whether some object may be without one of its properties. */
const isPartial = (schema: unknown): boolean => {
  if (Array.isArray(schema)) return schema.some(isPartial)
  if (!isRecord(schema)) return false
  const { properties, required } = schema
  const names: ReadonlyArray<unknown> = Array.isArray(required) ? required : []
  const isMissing = isRecord(properties) && Object.keys(properties).some((name) => !names.includes(name))
  return isMissing || Object.values(schema).some(isPartial)
}

/** A choice among several is by the tools themselves: effect/ai has left the others out. */
const toChoice = (choice: LanguageModel.ToolChoice<string>): ToolChoice => {
  if (typeof choice === "string") return choice
  return "tool" in choice ? { tool: choice.tool } : (choice.mode ?? "auto")
}

// --- messages --------------------------------------------------------------------------------------------------------

const toMessages = ({ content }: Prompt.Prompt): Outcome<ReadonlyArray<Message>> => {
  let order: ReadonlyMap<string, number> = new Map()
  const turns = Result.all(
    content.map((message) => {
      // Only within one turn is an id surely another one for each call.
      if (message.role === "assistant") order = orderOf(message) ?? order
      return toTurn(message, order)
    })
  )
  return Result.map(turns, (messages) => messages.flat())
}

/** The places of a turn's calls; `undefined` where it has none. */
const orderOf = ({ content }: Prompt.AssistantMessage): ReadonlyMap<string, number> | undefined => {
  const calls = content.filter((part) => part.type === "tool-call")
  return calls.length === 0 ? undefined : new Map(calls.map(({ id }, place) => [id, place]))
}

const toTurn = (message: Prompt.Message, order: ReadonlyMap<string, number>): Outcome<ReadonlyArray<Message>> => {
  switch (message.role) {
    case "system":
      return Result.succeed([{ role: "system", content: message.content }])
    case "user":
      return Result.map(Result.all(message.content.map(toPart)), (content) => [{ role: "user", content }])
    case "assistant":
      return toAssistant(message)
    case "tool":
      return Result.all(
        message.content
          .filter((part) => part.type === "tool-result")
          // Tools that run at once end in any order, and some providers tell calls of one name apart by theirs.
          .toSorted((a, b) => (order.get(a.id) ?? order.size) - (order.get(b.id) ?? order.size))
          .map(toResult)
      )
  }
}

const toPart = (part: Prompt.UserMessagePart): Outcome<Part> => {
  if (part.type === "text") return Result.succeed({ type: "text", text: part.text })
  const { data, mediaType } = part
  const isImage = mediaType.startsWith("image/")
  const address = typeof data === "string" ? data : data instanceof URL ? data.href : ""
  // Base64 has no colon, an address always has one.
  if (address.includes(":") && !address.startsWith("data:")) {
    return Result.succeed(isImage ? { type: "image", url: address } : { type: "file", url: address, mediaType })
  }
  const bytes = address.startsWith("data:")
    ? bytesOf(address)
    : { data: data instanceof URL ? "" : data, mediaType: undefined }
  if (bytes === undefined) return invalid("a data: URL without ;base64 is not supported; give the file's bytes")
  const type = mediaType.endsWith("/*") ? (bytes.mediaType ?? mediaType) : mediaType
  if (type.endsWith("/*")) return invalid(`"${type}" does not say what the bytes are; say e.g. "image/png"`)
  return Result.succeed(
    isImage
      ? { type: "image", data: bytes.data, mediaType: type }
      : { type: "file", data: bytes.data, mediaType: type, name: part.fileName }
  )
}

const toAssistant = ({ content }: Prompt.AssistantMessage): Outcome<ReadonlyArray<Message>> => {
  let [text, reasoning] = ["", ""]
  const calls: Array<Prompt.ToolCallPart> = []
  for (const part of content) {
    switch (part.type) {
      case "text":
        text += part.text
        break
      case "reasoning":
        reasoning += part.text
        break
      case "tool-call":
        // What another provider ran by itself is done with: the pair of call and result says nothing to ours.
        if (!part.providerExecuted) calls.push(part)
        break
      case "file":
        return invalid("an assistant's turn has a file, which an Llm cannot be given back; leave the part out")
      case "tool-result":
      case "tool-approval-request":
        break
    }
  }
  const options = content.map((part) => part.options)
  const native = nativeOf(options, { text, reasoning, calls })
  if (text === "" && calls.length === 0 && native === undefined) return Result.succeed([])
  return Result.succeed([turn({ text, reasoning, toolCalls: calls.map(toCall), native })])
}

/** Arguments that were no JSON are kept as the text that they are. */
const toCall = ({ id, name, params }: Prompt.ToolCallPart) =>
  typeof params === "string" ? ToolCalls.fromText(id, name, params) : ToolCalls.fromValue(id, name, params)

const toResult = (part: Prompt.ToolResultPart): Outcome<ToolMessage> => {
  const { isFailure, modelOutput, name, result } = part
  const text = Result.try({
    try: () =>
      modelOutput !== undefined
        ? Prompt.toolModelOutputToText(modelOutput)
        : typeof result === "string"
          ? result
          : // A tool without a result has none to tell.
            JSON.stringify(result ?? null),
    catch: (error) =>
      new AiError.ToolResultEncodingError({ toolName: name, toolResult: result, description: String(error) })
  })
  return Result.map(text, (content) => toolResult(part, content, isFailure ? true : undefined))
}
