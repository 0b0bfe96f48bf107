/** The events of `chat.completions.stream`, by the names of the `openai` package, and who listens to them. */
import type { APIUserAbortError, OpenAIError } from "./openAiErrors.ts"
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionMessage,
  ChatCompletionTokenLogprob,
  CompletionUsage
} from "./openAiShapes.ts"
import type { ChatCompletionSnapshot } from "./openAiSnapshot.ts"

interface FunctionCall {
  readonly name: string
  readonly arguments: string
}

/** What a listener of each event is told. */
export interface Told<ParsedT = null> {
  /** The first content is here. */
  connect: []
  /** New text of an answer, and all of its text until now. */
  content: [delta: string, snapshot: string]
  chunk: [chunk: ChatCompletionChunk, snapshot: ChatCompletionSnapshot]
  "content.delta": [event: { delta: string; snapshot: string; parsed: unknown }]
  "content.done": [event: { content: string; parsed: ParsedT | null }]
  "refusal.delta": [event: { delta: string; snapshot: string }]
  "refusal.done": [event: { refusal: string }]
  "tool_calls.function.arguments.delta": [
    event: FunctionCall & { index: number; parsed_arguments: unknown; arguments_delta: string }
  ]
  "tool_calls.function.arguments.done": [event: FunctionCall & { index: number; parsed_arguments: unknown }]
  "logprobs.content.delta": [event: LogprobsDelta<"content">]
  "logprobs.content.done": [event: { content: Array<ChatCompletionTokenLogprob> }]
  "logprobs.refusal.delta": [event: LogprobsDelta<"refusal">]
  "logprobs.refusal.done": [event: { refusal: Array<ChatCompletionTokenLogprob> }]
  chatCompletion: [completion: ChatCompletion]
  message: [message: ChatCompletionMessage]
  functionToolCall: [call: FunctionCall]
  finalChatCompletion: [completion: ChatCompletion]
  finalMessage: [message: ChatCompletionMessage]
  finalContent: [content: string]
  finalFunctionToolCall: [call: FunctionCall]
  totalUsage: [usage: CompletionUsage]
  error: [error: OpenAIError]
  abort: [error: APIUserAbortError]
  /** Last of all, however it ended. */
  end: []
}

type LogprobsDelta<Name extends "content" | "refusal"> = {
  readonly [Key in Name]: Array<ChatCompletionTokenLogprob>
} & { readonly snapshot: Array<ChatCompletionTokenLogprob> }

/** The listener of each event. */
export type ChatCompletionStreamEvents<ParsedT = null> = {
  [Name in keyof Told<ParsedT>]: (...args: Told<ParsedT>[Name]) => void
}

/** What each event of a table tells. */
type Table<Events> = { readonly [Name in keyof Events]: ReadonlyArray<unknown> }

interface Listening<Args extends ReadonlyArray<unknown>> {
  readonly listener: (...args: Args) => void
  readonly isOnce: boolean
}

/** Listeners by the event that they listen to. */
export class Listeners<Events extends Table<Events>> {
  private readonly all: { [Name in keyof Events]?: ReadonlyArray<Listening<Events[Name]>> | undefined } = {}

  add<Name extends keyof Events>(name: Name, listener: (...args: Events[Name]) => void, isOnce: boolean): void {
    this.all[name] = [...(this.all[name] ?? []), { listener, isOnce }]
  }

  /** Takes away one of the same, the last that was added. */
  remove<Name extends keyof Events>(name: Name, listener: (...args: Events[Name]) => void): void {
    const found = this.all[name] ?? []
    const at = found.findLastIndex((one) => one.listener === listener)
    this.all[name] = found.filter((_, index) => index !== at)
  }

  has(name: keyof Events): boolean {
    return (this.all[name] ?? []).length > 0
  }

  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void {
    const found = this.all[name] ?? []
    this.all[name] = found.filter(({ isOnce }) => !isOnce)
    for (const { listener } of found) listener(...args)
  }
}
