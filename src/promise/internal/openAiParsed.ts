/** What a completion says, parsed: an object by its schema, the arguments of strict tools. */
import { ContentFilterFinishReasonError, LengthFinishReasonError, OpenAIError } from "./openAiErrors.ts"
import type {
  ChatCompletion,
  ChatCompletionCreateParamsBase,
  ChatCompletionMessage,
  ChatCompletionMessageToolCall,
  ChatCompletionTool,
  ParsedChatCompletion,
  ParsedChatCompletionMessage,
  ResponseFormatJSONSchema
} from "./openAiShapes.ts"

/** What decides how an answer is parsed. */
export type Params = Pick<ChatCompletionCreateParamsBase, "response_format" | "tools">

/** What `message.parsed` is: the output of a helper's format such as `zodResponseFormat`, anything of a plain schema. */
export type ParsedOf<P> = P extends { response_format?: infer Format }
  ? [Format] extends [never]
    ? null
    : Format extends { __output: infer Output }
      ? Output
      : Format extends ResponseFormatJSONSchema
        ? unknown
        : null
  : null

/** The helpers of the package give what they make a parser that is not enumerable; what it gives, their types say. */
const parserOf = <T>(made: unknown): ((text: string) => T) | undefined => {
  if (typeof made !== "object" || made === null || !("$parseRaw" in made)) return undefined
  const { $parseRaw: parse } = made
  return typeof parse === "function" ? (text) => parse(text) : undefined
}

const parseJson = <T>(text: string): T => {
  try {
    return JSON.parse(text)
  } catch {
    throw new OpenAIError("Error reading response: invalid structured output JSON.")
  }
}

const isStrict = (tool: ChatCompletionTool): boolean =>
  "function" in tool && (tool.function.strict === true || parserOf(tool) !== undefined)

const isObject = ({ response_format: format }: Params): boolean =>
  parserOf(format) !== undefined || format?.type === "json_schema"

/** Whether something of the answer is to be parsed. */
export const isParsed = (params: Params): boolean => isObject(params) || (params.tools ?? []).some(isStrict)

/** The arguments of a strict tool; `null` of any other. Throws where they are not whole. */
export const argumentsOf = (params: Params, name: string, text: string): unknown => {
  const tool = params.tools?.find((tool) => "function" in tool && tool.function.name === name)
  if (tool === undefined || !isStrict(tool)) return null
  return (parserOf<unknown>(tool) ?? parseJson<unknown>)(text)
}

/** The object that a text is to be; `null` where it is to be none. */
export const contentOf = <T>(params: Params, text: string): T | null =>
  isObject(params) ? (parserOf<T>(params.response_format) ?? parseJson<T>)(text) : null

const parsedCall = (params: Params, call: ChatCompletionMessageToolCall) => {
  if (call.type !== "function") return call
  const { arguments: text, name } = call.function
  return { ...call, function: { ...call.function, parsed_arguments: argumentsOf(params, name, text) } }
}

const parsedMessage = <T>(params: Params, message: ChatCompletionMessage): ParsedChatCompletionMessage<T> => {
  const { content, function_call: called, refusal, tool_calls: calls, ...rest } = message
  const isCall = (calls !== undefined && calls.length > 0) || Boolean(called)
  const isText = content !== null && !refusal && (content !== "" || !isCall)
  return {
    ...rest,
    content,
    refusal,
    ...(called === undefined ? undefined : { function_call: called }),
    ...(calls ? { tool_calls: calls.map((call) => parsedCall(params, call)) } : undefined),
    parsed: isText ? contentOf<T>(params, content) : null
  }
}

/** The completion with what is to be parsed. Throws where it was cut off by its length or a filter. */
export const parse = <T>(completion: ChatCompletion, params: Params): ParsedChatCompletion<T> => ({
  ...completion,
  choices: completion.choices.map((choice) => {
    if (choice.finish_reason === "length") throw new LengthFinishReasonError()
    if (choice.finish_reason === "content_filter") throw new ContentFilterFinishReasonError()
    return { ...choice, message: parsedMessage<T>(params, choice.message) }
  })
})

/** The same where nothing is to be parsed: `parsed` is there and `null`. */
export const unparsed = <T>(completion: ChatCompletion): ParsedChatCompletion<T> => ({
  ...completion,
  choices: completion.choices.map((choice) => ({ ...choice, message: { ...choice.message, parsed: null } }))
})
