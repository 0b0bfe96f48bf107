/** Which events a chunk of a streamed completion is, in the order of the `openai` package. */
import type { Told } from "./openAiEvents.ts"
import { argumentsOf, contentOf, type Params } from "./openAiParsed.ts"
import type { ChatCompletionChunk } from "./openAiShapes.ts"
import type { ChatCompletionSnapshot, SnapshotChoice, SnapshotToolCall } from "./openAiSnapshot.ts"

type Emit<ParsedT> = <Name extends keyof Told<ParsedT>>(name: Name, ...args: Told<ParsedT>[Name]) => void

type Delta = ChatCompletionChunk["choices"][number]["delta"]

/** What was told of one answer. */
class Progress {
  /** The call whose arguments came last. */
  call: number | undefined
  readonly done = new Set<string>()

  /** Whether this is the first time. */
  first(what: string): boolean {
    const isFirst = !this.done.has(what)
    this.done.add(what)
    return isFirst
  }
}

export class Telling<ParsedT> {
  private readonly params: Params
  private readonly emit: Emit<ParsedT>
  private readonly progress = new Map<number, Progress>()

  constructor(params: Params, emit: Emit<ParsedT>) {
    this.params = params
    this.emit = emit
  }

  tell(chunk: ChatCompletionChunk, snapshot: ChatCompletionSnapshot): void {
    this.emit("chunk", chunk, snapshot)
    for (const { delta, index, logprobs } of chunk.choices) {
      const choice = snapshot.choices[index]
      if (choice === undefined) continue
      if (choice.message.role === "assistant") {
        this.texts(delta, choice)
        this.logprobs(logprobs ?? null, choice)
      }
      this.ends(delta, choice)
      this.calls(delta, choice)
    }
  }

  private texts(delta: Delta, { message }: SnapshotChoice): void {
    const { content, parsed = null, refusal } = message
    if (typeof delta?.content === "string" && content) {
      this.emit("content", delta.content, content)
      this.emit("content.delta", { delta: delta.content, snapshot: content, parsed })
    }
    if (typeof delta?.refusal === "string" && refusal) {
      this.emit("refusal.delta", { delta: delta.refusal, snapshot: refusal })
    }
  }

  private logprobs(added: SnapshotChoice["logprobs"], { logprobs }: SnapshotChoice): void {
    if (added?.content) {
      this.emit("logprobs.content.delta", { content: added.content, snapshot: logprobs?.content ?? [] })
    }
    if (added?.refusal) {
      this.emit("logprobs.refusal.delta", { refusal: added.refusal, snapshot: logprobs?.refusal ?? [] })
    }
  }

  private of({ index }: SnapshotChoice): Progress {
    let progress = this.progress.get(index)
    if (progress === undefined) {
      progress = new Progress()
      this.progress.set(index, progress)
    }
    return progress
  }

  /** What this chunk brings to its end: the text when calls begin, a call when another one begins, all with the finish. */
  private ends(delta: Delta, choice: SnapshotChoice): void {
    const progress = this.of(choice)
    const isFinished = choice.finish_reason !== null
    if (isFinished) {
      this.contentDone(choice, progress)
      for (const place of choice.message.tool_calls?.keys() ?? []) this.callDone(choice, place, progress)
    }
    for (const { index } of delta?.tool_calls ?? []) {
      if (progress.call !== index) {
        this.contentDone(choice, progress)
        if (progress.call !== undefined) this.callDone(choice, progress.call, progress)
      }
      progress.call = index
    }
  }

  private contentDone({ logprobs, message }: SnapshotChoice, progress: Progress): void {
    const { content, function_call: called, refusal, tool_calls: calls = [] } = message
    const isText = typeof content === "string" && (content !== "" || (!refusal && calls.length === 0 && !called))
    if (isText && progress.first("content")) {
      this.emit("content.done", { content, parsed: refusal ? null : contentOf<ParsedT>(this.params, content) })
    }
    if (refusal && progress.first("refusal")) this.emit("refusal.done", { refusal })
    if (logprobs?.content && progress.first("logprobs.content")) {
      this.emit("logprobs.content.done", { content: logprobs.content })
    }
    if (logprobs?.refusal && progress.first("logprobs.refusal")) {
      this.emit("logprobs.refusal.done", { refusal: logprobs.refusal })
    }
  }

  private callDone(choice: SnapshotChoice, place: number, progress: Progress): void {
    const call = choice.message.tool_calls?.[place]
    if (call?.type !== "function" || call.function === undefined) return
    const { arguments: said, name } = call.function
    const parsed = this.parsedOf(call, choice.finish_reason !== null)
    // Calls that come in turns are not done when the other one speaks.
    if (parsed === undefined || !progress.first(`call ${place} ${said}`)) return
    const event = { name, index: place, arguments: said, parsed_arguments: parsed }
    this.emit("tool_calls.function.arguments.done", event)
  }

  /** `undefined` while they are not whole. */
  private parsedOf(call: SnapshotToolCall, isFinished: boolean): unknown {
    const { arguments: said = "", name = "" } = call.function ?? {}
    if (isFinished) return argumentsOf(this.params, name, said)
    try {
      JSON.parse(said)
    } catch {
      return undefined
    }
    return argumentsOf(this.params, name, said)
  }

  private calls(delta: Delta, { message }: SnapshotChoice): void {
    for (const { function: called, index } of delta?.tool_calls ?? []) {
      const call = message.tool_calls?.[index]
      if (call?.type !== "function" || call.function === undefined) continue
      const { arguments: said, name } = call.function
      this.emit("tool_calls.function.arguments.delta", {
        name,
        index,
        arguments: said,
        parsed_arguments: undefined,
        arguments_delta: called?.arguments ?? ""
      })
    }
  }
}
