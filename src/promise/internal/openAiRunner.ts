/** `chat.completions.stream`: a streamed completion with events, an iterator, and promises of its end. */
import { APIUserAbortError, causedBy, OpenAIError } from "./openAiErrors.ts"
import { type ChatCompletionStreamEvents, Listeners, type Told } from "./openAiEvents.ts"
import type { Params } from "./openAiParsed.ts"
import type {
  ChatCompletionChunk,
  ChatCompletionMessage,
  ChatCompletionMessageParam,
  CompletionUsage,
  ParsedChatCompletion,
  ParsedChatCompletionMessage,
  ParsedFunctionToolCall
} from "./openAiShapes.ts"
import type { ChatCompletionSnapshot } from "./openAiSnapshot.ts"
import { Stream } from "./openAiStream.ts"

/** Chunks that are read ahead of a loop over them; then the loop's pace is the stream's. As many as the package keeps. */
const maxAhead = 4_096

/** What reads the chunks; loaded while the first of them is under way. */
const load = async () => ({
  ...(await import("./openAiParsed.ts")),
  ...(await import("./openAiSnapshot.ts")),
  ...(await import("./openAiTelling.ts"))
})

type Reader = Awaited<ReturnType<typeof load>>

const done = { done: true, value: undefined } as const

const nothing = (): void => {}

/** One loop over the chunks. */
class Loop {
  private readonly queue: Array<ChatCompletionChunk> = []
  private wake: () => void = nothing
  private goOn: () => void = nothing
  private isOver = false
  private failure: OpenAIError | undefined

  push(chunk: ChatCompletionChunk): void {
    this.queue.push(chunk)
    this.wake()
  }

  /** Waits until the loop is not far behind. */
  async room(): Promise<void> {
    while (this.queue.length >= maxAhead && !this.isOver) {
      await new Promise<void>((resolve) => {
        this.goOn = resolve
      })
    }
  }

  end(failure: OpenAIError | undefined): void {
    this.isOver = true
    this.failure = failure
    this.wake()
    this.goOn()
  }

  async next(): Promise<IteratorResult<ChatCompletionChunk>> {
    while (true) {
      const chunk = this.queue.shift()
      this.goOn()
      if (chunk !== undefined) return { done: false, value: chunk }
      const { failure } = this
      this.failure = undefined
      if (failure !== undefined) throw failure
      if (this.isOver) return done
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }
}

/** A streamed completion that is read whether somebody loops over it or not. It begins at once. */
export class ChatCompletionStream<ParsedT = null> implements AsyncIterable<ChatCompletionChunk> {
  /** Aborting it ends the stream and closes the connection. */
  controller = new AbortController()
  /** What was asked, and the answer when it is here. */
  messages: Array<ChatCompletionMessageParam | ChatCompletionMessage>
  readonly #params: Params
  readonly #listeners = new Listeners<Told<ParsedT>>()
  readonly #loops = new Set<Loop>()
  readonly #ended: Promise<void>
  #snapshot: ChatCompletionSnapshot | undefined
  #completion: ParsedChatCompletion<ParsedT> | undefined
  #failure: OpenAIError | undefined
  #isEnded = false
  /** Somebody will be told of a failure. */
  #isWatched = false

  constructor(
    params: Params & { readonly messages: ReadonlyArray<ChatCompletionMessageParam> },
    open: (signal: AbortSignal) => PromiseLike<Stream<ChatCompletionChunk>>,
    signal: AbortSignal | null | undefined
  ) {
    this.#params = params
    this.messages = [...params.messages]
    const forward = (): void => this.controller.abort(signal?.reason)
    if (signal?.aborted === true) forward()
    signal?.addEventListener("abort", forward, { once: true })
    const running = this.#run(open)
    this.#ended = running.finally(() => signal?.removeEventListener("abort", forward))
    this.#ended.catch(nothing)
  }

  get ended(): boolean {
    return this.#isEnded
  }

  get errored(): boolean {
    return this.#failure !== undefined
  }

  get aborted(): boolean {
    return this.#failure instanceof APIUserAbortError
  }

  /** The answer as far as it has come; `undefined` before its first chunk and after its end. */
  get currentChatCompletionSnapshot(): ChatCompletionSnapshot | undefined {
    return this.#snapshot
  }

  abort(): void {
    this.controller.abort()
  }

  on<Name extends keyof Told<ParsedT>>(name: Name, listener: ChatCompletionStreamEvents<ParsedT>[Name]): this {
    this.#listeners.add(name, listener, false)
    return this
  }

  once<Name extends keyof Told<ParsedT>>(name: Name, listener: ChatCompletionStreamEvents<ParsedT>[Name]): this {
    this.#listeners.add(name, listener, true)
    return this
  }

  off<Name extends keyof Told<ParsedT>>(name: Name, listener: ChatCompletionStreamEvents<ParsedT>[Name]): this {
    this.#listeners.remove(name, listener)
    return this
  }

  async #run(open: (signal: AbortSignal) => PromiseLike<Stream<ChatCompletionChunk>>): Promise<void> {
    try {
      const [stream, reader] = await Promise.all([open(this.controller.signal), load()])
      const telling = new reader.Telling<ParsedT>(this.#params, (name, ...args) => this.#listeners.emit(name, ...args))
      this.#listeners.emit("connect")
      for await (const chunk of stream) {
        for (const loop of this.#loops) await loop.room()
        this.#snapshot = reader.accumulate(this.#snapshot, chunk)
        for (const loop of this.#loops) loop.push(chunk)
        telling.tell(chunk, this.#snapshot)
      }
      if (this.controller.signal.aborted) throw new APIUserAbortError({ cause: this.controller.signal.reason })
      this.#complete(reader)
    } catch (error) {
      this.#fail(error)
      throw this.#failure
    } finally {
      this.#isEnded = true
      for (const loop of this.#loops) loop.end(this.#failure)
      this.#listeners.emit("end")
    }
  }

  #complete({ finalize, isParsed, parse, unparsed }: Reader): void {
    const snapshot = this.#snapshot
    if (snapshot === undefined) throw new OpenAIError("request ended without sending any chunks")
    const whole = finalize(snapshot)
    this.#snapshot = undefined
    const completion = isParsed(this.#params) ? parse<ParsedT>(whole, this.#params) : unparsed<ParsedT>(whole)
    this.#completion = completion
    this.#listeners.emit("chatCompletion", completion)
    const message = completion.choices[0]?.message
    if (message !== undefined) this.#tellMessage(message)
    this.#listeners.emit("finalChatCompletion", completion)
    if (message !== undefined) this.#listeners.emit("finalMessage", message)
    if (message?.content) this.#listeners.emit("finalContent", message.content)
    const last = callsOf(message).at(-1)
    if (last !== undefined) this.#listeners.emit("finalFunctionToolCall", last)
    if (completion.usage) this.#listeners.emit("totalUsage", completion.usage)
  }

  #tellMessage(message: ParsedChatCompletionMessage<ParsedT>): void {
    this.messages.push(message)
    this.#listeners.emit("message", message)
    for (const call of callsOf(message)) this.#listeners.emit("functionToolCall", call)
  }

  #fail(error: unknown): void {
    const failure =
      error instanceof OpenAIError
        ? error
        : causedBy(new OpenAIError(error instanceof Error ? error.message : String(error)), error)
    this.#failure = failure
    const name = failure instanceof APIUserAbortError ? "abort" : "error"
    const isHeard = this.#isWatched || this.#loops.size > 0 || this.#listeners.has(name)
    if (failure instanceof APIUserAbortError) this.#listeners.emit("abort", failure)
    else this.#listeners.emit("error", failure)
    // Nobody is there to be told: as with any promise, that is not to go by in silence.
    if (!isHeard) void Promise.reject(failure)
  }

  /** Resolves when the answer is complete; rejects with what it failed with. */
  done(): Promise<void> {
    this.#isWatched = true
    return this.#ended
  }

  async finalChatCompletion(): Promise<ParsedChatCompletion<ParsedT>> {
    await this.done()
    if (this.#completion === undefined) throw new OpenAIError("stream ended without producing a ChatCompletion")
    return this.#completion
  }

  async finalMessage(): Promise<ParsedChatCompletionMessage<ParsedT>> {
    const message = (await this.finalChatCompletion()).choices[0]?.message
    if (message !== undefined) return message
    throw new OpenAIError("stream ended without producing a ChatCompletionMessage with role=assistant")
  }

  async finalContent(): Promise<string | null> {
    return (await this.finalMessage()).content
  }

  async finalFunctionToolCall(): Promise<ParsedFunctionToolCall["function"] | undefined> {
    return callsOf((await this.finalChatCompletion()).choices[0]?.message).at(-1)
  }

  /** What was used; zeros where the server did not say, as it does without `stream_options.include_usage`. */
  async totalUsage(): Promise<CompletionUsage> {
    const { usage } = await this.finalChatCompletion()
    return usage ?? { completion_tokens: 0, prompt_tokens: 0, total_tokens: 0 }
  }

  /** The chunks from now on. Leaving the loop aborts the stream. */
  [Symbol.asyncIterator](): AsyncIterator<ChatCompletionChunk> {
    const loop = new Loop()
    if (this.#isEnded) loop.end(this.#failure)
    else this.#loops.add(loop)
    return {
      next: () => loop.next(),
      return: async () => {
        this.#loops.delete(loop)
        loop.end(undefined)
        this.#isWatched = true
        if (!this.#isEnded) this.abort()
        return done
      }
    }
  }

  /** The chunks as lines of JSON, for a reader somewhere else. */
  toReadableStream(): ReadableStream<Uint8Array> {
    return new Stream(() => this[Symbol.asyncIterator](), this.controller).toReadableStream()
  }
}

const callsOf = (
  message: ParsedChatCompletionMessage<unknown> | undefined
): ReadonlyArray<ParsedFunctionToolCall["function"]> =>
  (message?.tool_calls ?? []).flatMap((call) => (call.type === "function" ? [call.function] : []))
