/** How the resources of `OpenAI` reach the server: a promise for a whole answer, a stream for one in chunks. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as EffectStream from "effect/Stream"
import type { Whole } from "../../llm/internal/openaiRaw.ts"
import type { Part } from "../../llm/internal/openaiRawStream.ts"
import type { RawFailure } from "../../llm/internal/rawFailure.ts"
import * as Deadline from "../../policy/Deadline.ts"
import * as Policy from "../../policy/Policy.ts"
import { type Calls, iterate, run } from "../Bridge.ts"
import type { CallDefaults } from "../Options.ts"
import { toSettings } from "./callOptions.ts"
import { toOpenAiError } from "./openAiFailure.ts"
import { APIUserAbortError, OpenAIError } from "./openAiErrors.ts"
import { checkRequest, mergeHeaders, overrideOf, type RequestOptions, toHeaders } from "./openAiOptions.ts"
import { type Answered, APIPromise, type Page, PagePromise } from "./openAiPromise.ts"
import { Stream } from "./openAiStream.ts"

/** One request, by what differs between them. */
export interface Asked {
  readonly method: "GET" | "POST"
  /** Behind the base URL. */
  readonly path: string
  readonly body?: object | undefined
  /** What is done with a model, for telemetry. */
  readonly operation?: "chat" | "embeddings" | undefined
  readonly options: RequestOptions
}

/** What carries the calls; made when one is first sent. */
export class Wire extends Context.Service<
  Wire,
  {
    readonly whole: <A>(asked: Asked, isAnswer: (body: unknown) => body is A) => Effect.Effect<Whole<A>, RawFailure>
    readonly streamed: (asked: Asked) => EffectStream.Stream<Part, RawFailure>
  }
>()("holdfast/promise/OpenAi/Wire") {}

type Runtime = ManagedRuntime.ManagedRuntime<Wire, unknown>

/** What is asked, with the options of its call as they were given. */
export type Question = Omit<Asked, "options"> & { readonly options: RequestOptions | undefined }

/** What all calls of one door have, where they do not say otherwise. */
export interface Standards {
  readonly defaults: Omit<CallDefaults, "deadline">
  /** In milliseconds since the epoch; `Infinity` for none. */
  readonly deadlineAt: number
}

/** What makes the answer of what came. */
type Making<A, B> = (answer: A) => B | Promise<B>

/** The calls of one client. */
export class Door {
  private readonly runtime: Runtime
  private readonly calls: Calls
  private readonly standards: Standards

  constructor(runtime: Runtime, calls: Calls, standards: Standards = { defaults: {}, deadlineAt: Infinity }) {
    this.runtime = runtime
    this.calls = calls
    this.standards = standards
  }

  /** Sends and waits for the whole answer. `map` makes of it what the caller gets. */
  ask<A extends object, B extends object>(
    question: Question,
    isAnswer: (body: unknown) => body is A,
    map: Making<A, B>
  ): APIPromise<B> {
    return new APIPromise(this.answered(question, isAnswer, map))
  }

  /** The same for a list. */
  page<A extends object, Item>(
    question: Question,
    isAnswer: (body: unknown) => body is A,
    map: (answer: A) => Page<Item>
  ): PagePromise<Item> {
    return new PagePromise(this.answered(question, isAnswer, map))
  }

  /** `isTaken`: the client took the call before it began to close. */
  async answered<A extends object, B extends object>(
    question: Question,
    isAnswer: (body: unknown) => body is A,
    map: Making<A, B>,
    isTaken = false
  ): Promise<Answered<B>> {
    const { calls, runtime } = this
    const asked = this.asked(question)
    const signal = asked.options.signal ?? undefined
    const sent = Effect.flatMap(Wire, (wire) => wire.whole(asked, isAnswer))
    const whole = await this.told(run(this.timed(sent, asked), runtime, calls, signal, undefined, isTaken), signal)
    const data = await map(whole.value)
    // As the package has it: there for who asks, and not in what is printed or sent on.
    Object.defineProperty(data, "_request_id", { value: whole.headers["x-request-id"] ?? null, enumerable: false })
    return { data, head: whole, body: () => whole.text }
  }

  /** Sends and waits for the first content of a stream. */
  stream<A extends object>(question: Question, isChunk: (chunk: unknown) => chunk is A): APIPromise<Stream<A>> {
    return new APIPromise(this.opened(question, isChunk))
  }

  /** The same for a stream. */
  async opened<A extends object>(
    question: Question,
    isChunk: (chunk: unknown) => chunk is A,
    isTaken = false
  ): Promise<Answered<Stream<A>>> {
    const asked = this.asked(question)
    const { signal } = asked.options
    if (signal?.aborted === true) throw new APIUserAbortError({ cause: signal.reason })
    const controller = new AbortController()
    const forward = (): void => controller.abort(signal?.reason)
    signal?.addEventListener("abort", forward, { once: true })
    const close = (): void => signal?.removeEventListener("abort", forward)
    const parts = iterate(
      EffectStream.unwrap(Effect.map(Wire, (wire) => this.timedStream(wire.streamed(asked), asked))),
      this.runtime,
      this.calls,
      controller.signal,
      isTaken
    )
    try {
      const first = await this.told(parts.next(), controller.signal)
      if (first.done === true || first.value.type !== "head") throw new OpenAIError("the stream has no beginning")
      const once = new Once(parts, controller, close)
      return {
        data: new Stream(() => once.chunks(isChunk), controller),
        head: first.value.head,
        body: () => once.events()
      }
    } catch (error) {
      close()
      throw error
    }
  }

  private async told<A>(running: Promise<A>, signal: AbortSignal | null | undefined): Promise<A> {
    try {
      return await running
    } catch (error) {
      throw toOpenAiError(error, signal ?? undefined)
    }
  }

  /** What is asked, with the defaults where the call does not say otherwise. The headers of both are sent. */
  private asked({ options: given, ...question }: Question): Asked {
    const options = checkRequest(given)
    const { headers, signal } = this.standards.defaults
    const merged = headers === undefined ? options.headers : toHeaders(mergeHeaders([headers, options.headers]))
    return { ...question, options: { ...options, headers: merged, signal: options.signal ?? signal } }
  }

  /** The `timeout` of the package bounds one send, and that of the defaults the whole call: both hold. */
  private settingsOf({ options }: Asked): Policy.CallSettings | undefined {
    const settings = toSettings(this.standards.defaults)
    const own = overrideOf(options)
    if (settings === undefined || own === undefined) return own ?? settings
    return { ...settings, ...own, timeout: { ...own.timeout, ...settings.timeout } }
  }

  private timed<A, E, R>(self: Effect.Effect<A, E, R>, asked: Asked): Effect.Effect<A, E, R> {
    const { deadlineAt } = this.standards
    const settings = this.settingsOf(asked)
    const set = settings === undefined ? self : Effect.provideService(self, Policy.Override, settings)
    return deadlineAt === Infinity ? set : Effect.provideService(set, Deadline.Current, deadlineAt)
  }

  private timedStream<A, E, R>(self: EffectStream.Stream<A, E, R>, asked: Asked): EffectStream.Stream<A, E, R> {
    const { deadlineAt } = this.standards
    const settings = this.settingsOf(asked)
    const set = settings === undefined ? self : EffectStream.provideService(self, Policy.Override, settings)
    return deadlineAt === Infinity ? set : EffectStream.provideService(set, Deadline.Current, deadlineAt)
  }
}

const consumed = "Cannot iterate over a consumed stream, use `.tee()` to split the stream."

const done = { done: true, value: undefined } as const

/** The chunks of one answer, for the one who comes first. */
class Once {
  private readonly parts: AsyncIterableIterator<Part>
  private readonly controller: AbortController
  private readonly close: () => void
  private isTaken = false

  constructor(parts: AsyncIterableIterator<Part>, controller: AbortController, close: () => void) {
    this.parts = parts
    this.controller = controller
    this.close = close
  }

  private take(): void {
    if (this.isTaken) throw new OpenAIError(consumed)
    this.isTaken = true
  }

  /** The next part. An abort is the end: whoever aborts knows that there is more. */
  private async next(): Promise<Extract<Part, { readonly type: "chunk" }> | undefined> {
    const { controller, parts } = this
    try {
      while (true) {
        const next = await parts.next()
        if (next.done === true) {
          this.close()
          return undefined
        }
        if (next.value.type === "chunk") return next.value
      }
    } catch (error) {
      this.close()
      if (controller.signal.aborted) return undefined
      throw toOpenAiError(error, undefined)
    }
  }

  private async leave(): Promise<void> {
    this.close()
    this.controller.abort()
    await this.parts.return?.()
  }

  chunks<A extends object>(isChunk: (chunk: unknown) => chunk is A): AsyncIterator<A> {
    let isBegun = false
    let isOver = false
    return {
      next: async () => {
        if (!isBegun) this.take()
        isBegun = true
        while (!isOver) {
          const part = await this.next()
          if (part === undefined) isOver = true
          else if (isChunk(part.chunk)) return { done: false, value: part.chunk }
        }
        return done
      },
      return: async () => {
        const wasOver = isOver
        isOver = true
        if (!wasOver) await this.leave()
        return done
      }
    }
  }

  /** The same as the events that they were. */
  events(): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder()
    let isBegun = false
    return new ReadableStream(
      {
        pull: async (out) => {
          if (!isBegun) this.take()
          isBegun = true
          const part = await this.next()
          out.enqueue(encoder.encode(`data: ${part === undefined ? "[DONE]" : part.text}\n\n`))
          if (part === undefined) out.close()
        },
        cancel: () => this.leave()
      },
      // Read only when somebody reads it: the chunks belong to the stream beside it.
      { highWaterMark: 0 }
    )
  }
}
