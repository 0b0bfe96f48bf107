/** A streamed completion put together from its chunks, as the `openai` package does: text is joined, the rest replaced. */
import { OpenAIError } from "./openAiErrors.ts"
import type {
  ChatCompletion,
  ChatCompletionAudio,
  ChatCompletionChunk,
  ChatCompletionMessage,
  ChatCompletionMessageToolCall,
  ChatCompletionRole
} from "./openAiShapes.ts"

type ChunkChoice = ChatCompletionChunk["choices"][number]
type Delta = ChunkChoice["delta"]
type ToolCallDelta = NonNullable<Delta["tool_calls"]>[number]
type Choice = ChatCompletion["choices"][number]

/** A call of a tool as far as it has come. */
export interface SnapshotToolCall {
  id?: string
  type?: "function" | "custom"
  function?: { name: string; arguments: string; parsed_arguments?: unknown }
  custom?: { name: string; input: string }
}

/** A message as far as it has come. */
export interface SnapshotMessage {
  content?: string | null
  audio?: Partial<ChatCompletionAudio>
  refusal?: string | null
  parsed?: unknown
  function_call?: { arguments?: string; name?: string }
  tool_calls?: Array<SnapshotToolCall>
  role?: ChatCompletionRole
}

/** One of the answers as far as it has come. */
export interface SnapshotChoice {
  message: SnapshotMessage
  finish_reason: Choice["finish_reason"] | null
  logprobs: Choice["logprobs"]
  index: number
}

/** A completion as far as it has come. */
export interface ChatCompletionSnapshot extends Omit<ChatCompletion, "choices" | "object"> {
  choices: Array<SnapshotChoice>
}

/** More than any request may ask for (`n` is 128 at the most): an index past it is no index. */
const maxIndex = 1_024

const checkIndex = (index: number, what: string): void => {
  if (Number.isSafeInteger(index) && index >= 0 && index < maxIndex) return
  throw new OpenAIError(`Chat completion stream contains an invalid ${what} index: ${index}`)
}

/** The snapshot with what this chunk adds. */
export const accumulate = (
  before: ChatCompletionSnapshot | undefined,
  chunk: ChatCompletionChunk
): ChatCompletionSnapshot => {
  const { choices, obfuscation: _obfuscation, object: _object, ...rest } = chunk
  const { created, id, model } = chunk
  const snapshot: ChatCompletionSnapshot = before ?? { id, created, model, choices: [] }
  // Azure sends chunks of its filters' results without an id: they tell nothing of the answer.
  if (before === undefined || id) Object.assign(snapshot, rest)
  for (const choice of choices) addChoice(snapshot, choice)
  return snapshot
}

const addChoice = (snapshot: ChatCompletionSnapshot, added: ChunkChoice): void => {
  const { delta, finish_reason: finishReason, index, logprobs = null, ...other } = added
  checkIndex(index, "choice")
  const choice = (snapshot.choices[index] ??= { message: {}, finish_reason: null, logprobs: null, index })
  if (logprobs !== null) addLogprobs(choice, logprobs)
  if (finishReason) choice.finish_reason = finishReason
  Object.assign(choice, other)
  // A chunk of a compatible server may have none.
  if (delta !== undefined && delta !== null) addDelta(choice.message, delta)
}

const addLogprobs = (choice: SnapshotChoice, { content, refusal, ...rest }: NonNullable<Choice["logprobs"]>): void => {
  const logprobs = (choice.logprobs ??= { content: null, refusal: null })
  Object.assign(logprobs, rest)
  if (content) logprobs.content = [...(logprobs.content ?? []), ...content]
  if (refusal) logprobs.refusal = [...(logprobs.refusal ?? []), ...refusal]
}

const addDelta = (message: SnapshotMessage, delta: Delta): void => {
  const { audio, content, function_call: call, refusal, role, tool_calls: calls, ...rest } = delta
  Object.assign(message, rest)
  if (refusal) message.refusal = (message.refusal ?? "") + refusal
  if (role) message.role = role
  if (audio) addAudio((message.audio ??= {}), audio)
  if (call) addFunctionCall(message, call)
  if (content !== undefined && content !== null) message.content = (message.content ?? "") + content
  if (!calls) return
  const all = (message.tool_calls ??= [])
  for (const one of calls) {
    checkIndex(one.index, "tool call")
    addToolCall((all[one.index] ??= {}), one)
  }
}

const addAudio = (audio: Partial<ChatCompletionAudio>, added: Partial<ChatCompletionAudio>): void => {
  const { data, transcript, ...rest } = added
  Object.assign(audio, rest)
  if (data !== undefined && data !== null) audio.data = (audio.data ?? "") + data
  if (transcript !== undefined && transcript !== null) audio.transcript = (audio.transcript ?? "") + transcript
}

const addFunctionCall = (message: SnapshotMessage, added: { arguments?: string; name?: string }): void => {
  const call = (message.function_call ??= {})
  if (added.name) call.name = added.name
  if (added.arguments !== undefined) call.arguments = (call.arguments ?? "") + added.arguments
}

const addToolCall = (call: SnapshotToolCall, added: ToolCallDelta): void => {
  const { custom, function: called, id, index: _index, type, ...rest } = added
  Object.assign(call, rest)
  if (id) call.id = id
  if (type) call.type = type
  if (custom) {
    const own = (call.custom ??= { name: "", input: "" })
    if (custom.name) own.name = custom.name
    own.input += custom.input ?? ""
  }
  if (called) {
    const own = (call.function ??= { name: "", arguments: "" })
    if (called.name) own.name = called.name
    own.arguments += called.arguments ?? ""
  }
}

/** The whole completion. Throws where something of it is missing. */
export const finalize = (snapshot: ChatCompletionSnapshot): ChatCompletion => {
  const { choices, system_fingerprint: fingerprint, ...rest } = snapshot
  return {
    ...rest,
    choices: choices.filter((choice) => choice !== undefined).map(toChoice),
    object: "chat.completion",
    ...(fingerprint ? { system_fingerprint: fingerprint } : undefined)
  }
}

const toChoice = ({ finish_reason: finishReason, message, ...rest }: SnapshotChoice): Choice => {
  const { index } = rest
  const reason = finishReason ?? (isWhole(message.audio) ? "stop" : undefined)
  if (!reason) throw new OpenAIError(`missing finish_reason for choice ${index}`)
  if (!message.role) throw new OpenAIError(`missing role for choice ${index}`)
  return { ...rest, finish_reason: reason, message: toMessage(message, index) }
}

const isWhole = (audio: Partial<ChatCompletionAudio> | undefined): audio is ChatCompletionAudio =>
  audio?.id !== undefined &&
  audio.data !== undefined &&
  audio.transcript !== undefined &&
  audio.expires_at !== undefined

const toMessage = (message: SnapshotMessage, index: number): ChatCompletionMessage => {
  const { audio, content, function_call: call, parsed: _parsed, refusal, role, tool_calls: calls, ...rest } = message
  return {
    ...rest,
    role: role === undefined ? "assistant" : assistant(role, index),
    content: content ?? null,
    refusal: refusal ?? null,
    ...(isWhole(audio) ? { audio } : undefined),
    ...(call === undefined ? undefined : { function_call: toFunctionCall(call, index) }),
    ...(calls === undefined
      ? undefined
      : { tool_calls: calls.map((one, place) => toToolCall(one, place, `choices[${index}].tool_calls[${place}]`)) })
  }
}

const assistant = (role: ChatCompletionRole, index: number): "assistant" => {
  if (role === "assistant") return role
  throw new OpenAIError(`the role of choice ${index} is ${role}; an answer has the role assistant`)
}

const toFunctionCall = (call: { arguments?: string; name?: string }, index: number) => {
  if (call.arguments === undefined) throw new OpenAIError(`missing function_call.arguments for choice ${index}`)
  if (!call.name) throw new OpenAIError(`missing function_call.name for choice ${index}`)
  return { arguments: call.arguments, name: call.name }
}

const toToolCall = (call: SnapshotToolCall, place: number, where: string): ChatCompletionMessageToolCall => {
  // Some compatible servers send no id, and its result needs one.
  const { custom, function: called, id = `call_${place}`, type, ...rest } = call
  if (type === "custom") {
    if (!custom?.name) throw new OpenAIError(`missing ${where}.custom.name`)
    return { ...rest, id, type, custom }
  }
  if (type === undefined) throw new OpenAIError(`missing ${where}.type`)
  if (!called?.name) throw new OpenAIError(`missing ${where}.function.name`)
  const { arguments: said, name } = called
  return { ...rest, id, type, function: { name, arguments: said } }
}
