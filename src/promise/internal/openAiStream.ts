/** A stream of chunks as the `openai` package gives it: iterated once, split by `tee`, ended by `break` or `controller`. */
import { OpenAIError } from "./openAiErrors.ts"

/** A branch of `tee` that nobody reads keeps what the other one has read: more chunks than any model writes at once. */
const maxBehind = 100_000

const done = { done: true, value: undefined } as const

/** One branch's part of a stream that is read once. */
class Branch<Item> {
  private readonly queue: Array<Promise<IteratorResult<Item>>> = []
  isClosed = false
  private isLost = false

  add(result: Promise<IteratorResult<Item>>): void {
    if (this.isClosed || this.isLost) return
    if (this.queue.length < maxBehind) return void this.queue.push(result)
    this.queue.length = 0
    this.isLost = true
  }

  next(pull: () => void): Promise<IteratorResult<Item>> {
    if (this.isClosed) return Promise.resolve(done)
    if (this.isLost) return Promise.reject(new OpenAIError(`this branch fell ${maxBehind} chunks behind the other one`))
    if (this.queue.length === 0) pull()
    return this.queue.shift() ?? Promise.resolve(done)
  }

  close(): void {
    this.isClosed = true
    this.queue.length = 0
  }
}

/** The chunks of one answer. It ends without an error only when the answer is complete, or when it was aborted. */
export class Stream<Item> implements AsyncIterable<Item> {
  /** Aborting it ends the stream and closes the connection; the loop ends without an error. */
  controller: AbortController
  readonly #iterator: () => AsyncIterator<Item>

  constructor(iterator: () => AsyncIterator<Item>, controller: AbortController) {
    this.#iterator = iterator
    this.controller = controller
  }

  /** Begins to read it; a second time throws. */
  [Symbol.asyncIterator](): AsyncIterator<Item> {
    return this.#iterator()
  }

  /** Two streams of the same chunks, each at its own pace. Leaving both closes the connection. */
  tee(): [Stream<Item>, Stream<Item>] {
    const iterator = this.#iterator()
    const left = new Branch<Item>()
    const right = new Branch<Item>()
    const pull = (): void => {
      const result = iterator.next()
      // Each branch tells its own reader.
      result.then(undefined, () => undefined)
      left.add(result)
      right.add(result)
    }
    const stream = (branch: Branch<Item>): Stream<Item> =>
      new Stream<Item>(
        () => ({
          next: () => branch.next(pull),
          return: async () => {
            branch.close()
            if (left.isClosed && right.isClosed) await iterator.return?.()
            return done
          }
        }),
        this.controller
      )
    return [stream(left), stream(right)]
  }

  /** The chunks as lines of JSON, for a reader somewhere else. Cancelling it closes the connection. */
  toReadableStream(): ReadableStream<Uint8Array> {
    let iterator: AsyncIterator<Item> | undefined
    const encoder = new TextEncoder()
    return new ReadableStream({
      pull: async (out) => {
        iterator ??= this.#iterator()
        const next = await iterator.next()
        if (next.done === true) return out.close()
        out.enqueue(encoder.encode(`${JSON.stringify(next.value)}\n`))
      },
      cancel: async () => {
        this.controller.abort()
        await iterator?.return?.()
      }
    })
  }
}
