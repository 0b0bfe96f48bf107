/** `client.chat`, `client.embeddings` and `client.models`, as the `openai` package has them, over one door. */
import type { Door } from "./openAiCalls.ts"
import { vectorOf, textOf } from "./openAiVectors.ts"
import { OpenAIError } from "./openAiErrors.ts"
import type { RequestOptions } from "./openAiOptions.ts"
import type { ParsedOf } from "./openAiParsed.ts"
import { type APIPromise, Page, type PagePromise } from "./openAiPromise.ts"
import { ChatCompletionStream } from "./openAiRunner.ts"
import type {
  Base64EmbeddingResponse,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionCreateParamsBase,
  ChatCompletionCreateParamsNonStreaming,
  ChatCompletionCreateParamsStreaming,
  ChatCompletionParseParams,
  ChatCompletionStreamParams,
  CreateEmbeddingResponse,
  EmbeddingCreateParams,
  Model,
  ParsedChatCompletion
} from "./openAiShapes.ts"
import type { Stream } from "./openAiStream.ts"

// What cannot be the answer is refused, and asked for again; of the rest the server's word is taken.

const isObject = (u: unknown): u is object => typeof u === "object" && u !== null

const isCompletion = (u: unknown): u is ChatCompletion =>
  isObject(u) && "choices" in u && Array.isArray(u.choices) && isObject(u.choices[0]) && "message" in u.choices[0]

const isChunk = (u: unknown): u is ChatCompletionChunk => isObject(u) && "choices" in u && Array.isArray(u.choices)

type Vectors = CreateEmbeddingResponse | Base64EmbeddingResponse

const isEmbedding = (u: unknown): boolean =>
  isObject(u) && "embedding" in u && (typeof u.embedding === "string" || Array.isArray(u.embedding))

const isVectors = (u: unknown): u is Vectors =>
  isObject(u) && "data" in u && Array.isArray(u.data) && u.data.every(isEmbedding)

const isModel = (u: unknown): u is Model => isObject(u) && "id" in u && typeof u.id === "string"

interface ModelList {
  readonly data: ReadonlyArray<Model>
  readonly object: string
}

const isModels = (u: unknown): u is ModelList => isObject(u) && "data" in u && Array.isArray(u.data)

const same = <A>(answer: A): A => answer

/** What completions need of a door. */
type Asking = Pick<Door, "ask" | "stream">

/** `chat.completions`. */
export class Completions {
  readonly #door: Asking
  constructor(door: Asking) {
    this.#door = door
  }

  /** The completion as it came; with `stream: true` its chunks, from when the first content is here. */
  create(body: ChatCompletionCreateParamsNonStreaming, options?: RequestOptions): APIPromise<ChatCompletion>
  create(body: ChatCompletionCreateParamsStreaming, options?: RequestOptions): APIPromise<Stream<ChatCompletionChunk>>
  create(
    body: ChatCompletionCreateParamsBase,
    options?: RequestOptions
  ): APIPromise<Stream<ChatCompletionChunk>> | APIPromise<ChatCompletion>
  create(
    body: ChatCompletionCreateParamsBase,
    options?: RequestOptions
  ): APIPromise<Stream<ChatCompletionChunk>> | APIPromise<ChatCompletion> {
    return body.stream === true ? this.#stream(body, options) : this.#whole(body, options, same)
  }

  /** The completion with `message.parsed`: an object by `response_format`, and the arguments of strict tools. */
  parse<P extends ChatCompletionParseParams>(
    body: P,
    options?: RequestOptions
  ): APIPromise<ParsedChatCompletion<ParsedOf<P>>> {
    return this.#whole(body, options, async (answer) => {
      const { isParsed, parse, unparsed } = await import("./openAiParsed.ts")
      return isParsed(body) ? parse<ParsedOf<P>>(answer, body) : unparsed<ParsedOf<P>>(answer)
    })
  }

  /** A stream with events and a final completion. It begins at once. */
  stream<P extends ChatCompletionStreamParams>(body: P, options?: RequestOptions): ChatCompletionStream<ParsedOf<P>> {
    const { signal, ...rest } = options ?? {}
    return new ChatCompletionStream<ParsedOf<P>>(
      body,
      (own) => this.#stream({ ...body, stream: true }, { ...rest, signal: own }),
      signal
    )
  }

  #whole<B extends object>(
    body: ChatCompletionCreateParamsBase,
    options: RequestOptions | undefined,
    map: (answer: ChatCompletion) => B | Promise<B>
  ): APIPromise<B> {
    return this.#door.ask(
      { method: "POST", path: "/chat/completions", operation: "chat", body, options },
      isCompletion,
      map
    )
  }

  #stream(
    body: ChatCompletionCreateParamsBase,
    options: RequestOptions | undefined
  ): APIPromise<Stream<ChatCompletionChunk>> {
    return this.#door.stream({ method: "POST", path: "/chat/completions", operation: "chat", body, options }, isChunk)
  }
}

/** `chat`. */
export class Chat {
  readonly completions: Completions
  constructor(door: Asking) {
    this.completions = new Completions(door)
  }
}

/** `embeddings`. */
export class Embeddings {
  readonly #door: Door
  constructor(door: Door) {
    this.#door = door
  }

  /** The vectors in the form that was asked for, numbers by default, whichever the server sends. */
  create(
    body: EmbeddingCreateParams & { encoding_format: "base64" },
    options?: RequestOptions
  ): APIPromise<Base64EmbeddingResponse>
  create(body: EmbeddingCreateParams, options?: RequestOptions): APIPromise<CreateEmbeddingResponse>
  create(
    body: EmbeddingCreateParams,
    options?: RequestOptions
  ): APIPromise<CreateEmbeddingResponse> | APIPromise<Base64EmbeddingResponse> {
    // Base64 is a quarter of the bytes of decimals.
    const asked = { encoding_format: "base64", ...body }
    const question = { method: "POST", path: "/embeddings", operation: "embeddings", body: asked, options } as const
    return body.encoding_format === "base64"
      ? this.#door.ask(question, isVectors, (answer) => inForm(answer, textOf))
      : this.#door.ask(question, isVectors, (answer) => inForm(answer, vectorOf))
  }
}

const inForm = <Value>(answer: Vectors, form: (value: unknown) => Value | undefined) => ({
  ...answer,
  data: answer.data.map((item) => {
    const embedding = form(item.embedding)
    if (embedding === undefined) throw new OpenAIError(`the embedding of input ${item.index} is no list of numbers`)
    return { ...item, embedding }
  })
})

/** `models`. */
export class Models {
  readonly #door: Door
  constructor(door: Door) {
    this.#door = door
  }

  /** One model. */
  retrieve(model: string, options?: RequestOptions): APIPromise<Model> {
    const path = `/models/${segment(model)}`
    return this.#door.ask({ method: "GET", path, options }, isModel, same)
  }

  /** All models that the key may use. Iterated, it gives them one by one. */
  list(options?: RequestOptions): PagePromise<Model> {
    return this.#door.page({ method: "GET", path: "/models", options }, isModels, (answer) => new Page(answer))
  }
}

/** A name within a path: what it is made of leads to no other path. */
const segment = (name: string): string => {
  if (name === "" || name === "." || name === "..") throw new OpenAIError(`"${name}" is no name of a model`)
  return encodeURIComponent(name)
}
