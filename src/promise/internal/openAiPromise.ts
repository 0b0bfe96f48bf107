/** What a call gives at once: a promise of the answer that knows the response behind it, and pages. */
import type { Head } from "../../llm/internal/openaiRaw.ts"
import { OpenAIError } from "./openAiErrors.ts"
import { called, siteOf } from "./site.ts"

/** An answer and what it came with. */
export interface Answered<T> {
  readonly data: T
  readonly head: Head
  /** The body as the server sent it: the text, or the events of a stream that is read when this is. */
  readonly body: () => string | ReadableStream<Uint8Array>
}

const isOpenAi = (error: Error): boolean => error instanceof OpenAIError

// A response with one of these has no body, by the standard (fetch.spec.whatwg.org, null body status).
const bodiless: ReadonlySet<number> = new Set([101, 103, 204, 205, 304])

const responseOf = ({ body, head }: Answered<unknown>): Response => {
  const { headers, status, url } = head
  // The body is decoded already.
  const { "content-encoding": _encoding, "content-length": _length, ...rest } = headers
  const response = new Response(bodiless.has(status) ? null : body(), { status, headers: rest })
  return Object.defineProperty(response, "url", { value: url })
}

/** The answer of a call, and the response that it came in. The call has begun; awaiting it twice sends nothing twice. */
export class APIPromise<T> extends Promise<T> {
  // What `then` makes is a promise of something else.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }
  readonly #answered: Promise<Answered<T>>

  constructor(answering: Promise<Answered<T>>) {
    // Made by a door, for a method of a resource.
    const site = siteOf(2)
    const answered = answering.catch((error: unknown) => {
      called(error, site, isOpenAi)
      throw error
    })
    super((resolve, reject) => {
      answered.then(({ data }) => resolve(data), reject)
    })
    this.#answered = answered
  }

  /** The response with its whole body, or with the events of a stream. An error status rejects, as the call does. */
  asResponse(): Promise<Response> {
    this.#handled()
    return this.#answered.then(responseOf)
  }

  /** The answer, its response, and the provider's name for the request. */
  withResponse(): Promise<{ data: T; response: Response; request_id: string | null }> {
    this.#handled()
    return this.#answered.then((answered) => ({
      data: answered.data,
      response: responseOf(answered),
      request_id: answered.head.headers["x-request-id"] ?? null
    }))
  }

  /** Whoever asks for the response is told of the failure by it. */
  #handled(): void {
    this.then(undefined, () => undefined)
  }
}

/** A list of items, whole: the provider has no second page of what is in the subset. */
export class Page<Item> implements AsyncIterable<Item> {
  data: Array<Item>
  object: string

  constructor(body: { readonly data: ReadonlyArray<Item>; readonly object: string }) {
    this.data = [...body.data]
    this.object = body.object
  }

  getPaginatedItems(): Array<Item> {
    return this.data
  }

  hasNextPage(): boolean {
    return false
  }

  async getNextPage(): Promise<this> {
    throw new OpenAIError("No next page expected; please check `.hasNextPage()` before calling `.getNextPage()`.")
  }

  async *iterPages(): AsyncGenerator<this> {
    yield this
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    yield* this.data
  }
}

/** The promise of a page, which can be iterated without awaiting it. */
export class PagePromise<Item> extends APIPromise<Page<Item>> implements AsyncIterable<Item> {
  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    yield* (await this).data
  }
}
