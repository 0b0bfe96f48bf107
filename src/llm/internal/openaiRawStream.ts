/**
 * A streamed answer whose chunks go through as they came, read as every other stream is: opened under the policy until its
 * first content, waited for while it has content, and complete only with its finish marker.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as EventStream from "../../http/EventStream.ts"
import { headerOf } from "../../http/internal/source.ts"
import type * as Policy from "../../policy/Policy.ts"
import { AttemptTimeout } from "../../policy/PolicyError.ts"
import type * as Timeout from "../../policy/Timeout.ts"
import * as Timer from "../../policy/Timer.ts"
import type { StreamEvent } from "../Llm.ts"
import { FirstContentTimeout, InvalidResponse, type Reason } from "../LlmError.ts"
import * as Usage from "../Usage.ts"
import { reasonOfHttpError } from "../../http/internal/serviceReason.ts"
import { count, isRecord, type Json, parsed, record, records, text } from "./json.ts"
import {
  type Call,
  type Head,
  headOf,
  isError,
  isOutOfCapacity,
  overloaded,
  type RawCalls,
  usageOf
} from "./openaiRaw.ts"
import type { RawFailure } from "./rawFailure.ts"
import { type Decoder, type Events, Streaming } from "./streaming.ts"
import type { Operation } from "./telemetry.ts"
import { Story, toReason } from "./transport.ts"

/** The head of the answer, then its chunks. */
export type Part =
  | { readonly type: "head"; readonly head: Head }
  | { readonly type: "chunk"; readonly chunk: Json; readonly text: string }

type Chunk = Extract<Part, { readonly type: "chunk" }>

type Parts = readonly [Part, ...Array<Part>]

/** Tells the reader of the stream that there is something to take. */
const tick: StreamEvent = { type: "text", text: "" }

/** Chunks without content are kept until one with content comes; no server has reason to send as many of them. */
const maxWaiting = 10_000

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)

/** Text, reasoning, a refusal, a piece of a call, audio: whatever a delta has besides its role, also what is new to us. */
const hasContent = (choice: Json): boolean =>
  Object.entries(record(choice.delta) ?? {}).some(([name, value]) => name !== "role" && !isEmpty(value))

/** Audio may end without a finish reason, with the time until which it can be asked for. */
const isFinish = (choice: Json): boolean =>
  // Some servers send an empty reason with every chunk.
  (text(choice.finish_reason) ?? "") !== "" || count(record(record(choice.delta)?.audio)?.expires_at) !== undefined

class RawDecoder implements Decoder {
  private readonly calls: RawCalls
  private readonly head: Head
  private readonly choices: number
  private readonly begun = new Set<number>()
  private readonly finished = new Set<number>()
  /** With content, or before one with content. */
  private ready: Array<Chunk> = []
  private waiting: Array<Chunk> = []
  private isDelivered = false
  isDone = false
  partial = ""
  usage: Usage.Usage | undefined = undefined
  failure: Reason | undefined = undefined
  readonly progress = 0
  model: string | undefined = undefined

  constructor(calls: RawCalls, head: Head, choices: number) {
    this.calls = calls
    this.head = head
    this.choices = choices
  }

  /** All answers that were asked for; of a server that makes fewer, all that it began. */
  get isFinished(): boolean {
    const { begun, finished } = this
    return finished.size >= this.choices || (this.isDone && finished.size > 0 && finished.size === begun.size)
  }

  push({ data, event }: EventStream.ServerSentEvent, out: Array<StreamEvent>): void {
    if (this.isDone || this.failure !== undefined) return
    if (data.startsWith("[DONE]")) {
      this.isDone = true
      return
    }
    const chunk = parsed(data)
    if (event === "error") return this.fail(this.calls.told(data, this.head))
    if (chunk === undefined) return this.fail(this.calls.invalid("a chunk is not JSON", data, this.isDelivered))
    if (!isRecord(chunk)) return
    if (isError(chunk.error)) return this.fail(this.calls.told(data, this.head))
    if (isOutOfCapacity(chunk)) return this.fail(overloaded())
    this.take({ type: "chunk", chunk, text: data }, out)
  }

  /** What goes wrong behind the finish marker takes nothing from the answer. */
  private fail(reason: Reason): void {
    if (this.isFinished) this.isDone = true
    else this.failure = reason
  }

  private take(part: Chunk, out: Array<StreamEvent>): void {
    const { chunk } = part
    this.usage = usageOf(chunk) ?? this.usage
    this.model ??= text(chunk.model)
    this.waiting.push(part)
    let isContent = this.waiting.length > maxWaiting
    for (const choice of records(chunk.choices)) {
      const index = count(choice.index) ?? 0
      this.begun.add(index)
      if (index === 0) this.partial += text(record(choice.delta)?.content) ?? ""
      if (isFinish(choice)) this.finished.add(index)
      isContent ||= hasContent(choice) || isFinish(choice)
    }
    if (!isContent) return
    this.isDelivered = true
    this.flush()
    out.push(tick)
  }

  /** Lets the reader have all that is here. */
  flush(): void {
    this.ready.push(...this.waiting.splice(0))
  }

  taken(): Array<Chunk> {
    const { ready } = this
    this.ready = []
    return ready
  }
}

interface Opened {
  readonly streaming: Streaming
  readonly decoder: RawDecoder
  readonly head: Head
}

/**
 * Without the scope around. A stream closes its own connection; a client that finds a scope asks whether the request was
 * tied to it, which takes as long as all of the rest until the first token.
 */
const unscoped = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.updateContext(self, (context: Context.Context<never>) => Context.omit(Scope.Scope)(context))

/** The answer as a stream. Nothing is sent before the first pull; leaving it closes the connection. */
export const streamed = (calls: RawCalls, call: Call): Stream.Stream<Part, RawFailure> =>
  Stream.unwrap(
    Effect.contextWith((context: Context.Context<Scope.Scope>) => {
      const operation = calls.transport.meter.begin(context, "chat", call.model, {}, true)
      const raw = new RawStream(calls, call, operation)
      return Effect.mapError(operation.under(raw.opened), raw.failed)
    })
  )

class RawStream {
  private readonly calls: RawCalls
  private readonly call: Call
  private readonly operation: Operation
  private readonly story: Story
  private current: Opened | undefined
  private lease: Policy.Lease<Opened, Reason> | undefined

  constructor(calls: RawCalls, call: Call, operation: Operation) {
    this.calls = calls
    this.call = call
    this.operation = operation
    this.story = new Story(call.headers)
  }

  /** The last word of a call that failed. */
  readonly failed = (reason: Reason): RawFailure => {
    const failure = this.calls.failed(reason, this.story, this.current?.decoder.usage)
    this.operation.failed(failure.error.code, failure.error, failure.error.usage)
    return failure
  }

  readonly opened: Effect.Effect<Stream.Stream<Part, RawFailure>, Reason, Scope.Scope> = Effect.gen(
    { self: this },
    function* () {
      const { call, calls, story } = this
      // Registered before the stream is open, so that no interruption finds it open and unowned.
      yield* Effect.addFinalizer(() => Effect.sync(this.abandon))
      const lease = yield* calls.transport.held.lease(calls.policyOf(call, story), (timeout) =>
        Effect.suspend(() => this.attempt(timeout))
      )
      this.lease = lease
      this.attach(lease)
      // Runs before the lease's own end, which does not know what was used.
      yield* Effect.addFinalizer(() => Effect.sync(this.abandon))
      const { head } = lease.value
      return Stream.concat(
        Stream.succeed<Part>({ type: "head", head }),
        Stream.mapError(Stream.fromPull(Effect.succeed(this.pull)), this.failed)
      )
    }
  )

  /** The reader left, or the call ended: nothing stays open. */
  private readonly abandon = (): void => {
    const usage = this.current?.decoder.usage
    this.current?.streaming.close()
    this.lease?.end("interrupted", usage)
    this.operation.interrupted(usage)
  }

  private readonly attempt = (timeout: Timeout.Timeout): Effect.Effect<Opened, Reason> =>
    Effect.map(unscoped(open(this.calls, this.call, this.story, timeout)), (opened) => {
      this.current = opened
      this.operation.firstContent()
      return opened
    })

  private attach(lease: Policy.Lease<Opened, Reason>): void {
    const { decoder, streaming } = lease.value
    lease.onStop(streaming.stop)
    streaming.attach({
      deadlineAt: lease.deadlineAt,
      totalMillis: lease.totalMillis,
      onFinish: () => this.finished(lease),
      onFailure: (reason) => lease.end(reason._tag, decoder.usage)
    })
  }

  private finished(lease: Policy.Lease<Opened, Reason>): Events {
    const { decoder } = lease.value
    decoder.flush()
    lease.end("ok", decoder.usage)
    const { requestId } = this.story
    this.operation.succeeded({ usage: decoder.usage ?? Usage.empty, model: decoder.model, requestId }, decoder.partial)
    return [tick]
  }

  private readonly pull: Effect.Effect<Parts, Reason | Cause.Done> = Effect.suspend(() => {
    const { current } = this
    if (current === undefined) return Cause.done()
    return Effect.flatMap(current.streaming.pull, () => {
      const [first, ...rest] = current.decoder.taken()
      return first === undefined ? this.pull : Effect.succeed<Parts>([first, ...rest])
    })
  })
}

/** One attempt: until the first content is here, or the answer is complete without any. */
const open = (calls: RawCalls, call: Call, story: Story, timeout: Timeout.Timeout): Effect.Effect<Opened, Reason> =>
  Effect.clockWith((clock) => {
    const { key } = calls.server
    const since = clock.currentTimeMillisUnsafe()
    const { attemptMillis, firstContentMillis } = timeout
    const exchanged = Effect.mapError(calls.transport.exchange(call.encode, story), toReason)
    const opening = Effect.flatMap(exchanged, (response) => readerOf(calls, response, headOf(response, story)))
    const source = Timer.within(opening, Math.min(attemptMillis, firstContentMillis), (): Reason =>
      attemptMillis <= firstContentMillis
        ? new AttemptTimeout({ key, timeoutMillis: attemptMillis })
        : new FirstContentTimeout({ timeoutMillis: firstContentMillis })
    )
    return Effect.flatMap(source, ({ head, reader }) => {
      const waitedMillis = clock.currentTimeMillisUnsafe() - since
      const decoder = new RawDecoder(calls, head, call.choices)
      const streaming = new Streaming({ key, reader, decoder, clock, times: timeout, waitedMillis })
      const opened = Effect.as(streaming.first, { streaming, decoder, head })
      // What fails before the first content is retried on another connection; so is what is interrupted there.
      return Effect.onExit(opened, (exit) => (exit._tag === "Failure" ? Effect.sync(streaming.close) : Effect.void))
    })
  })

interface Source {
  readonly head: Head
  readonly reader: EventStream.Reader<EventStream.ServerSentEvent>
}

/** The events of an answer. A server that answers whole where a stream was asked for has made no chunks to pass on. */
const readerOf = (calls: RawCalls, response: HttpClientResponse, head: Head): Effect.Effect<Source, Reason> => {
  const type = headerOf(response, "content-type")
  if (type === undefined || type.includes("event-stream") || type.includes("octet-stream")) {
    return Effect.succeed({ head, reader: EventStream.sseReader(response) })
  }
  return Effect.flatMap(Effect.mapError(response.text, reasonOfHttpError), (body) => {
    if (isError(record(parsed(body))?.error)) return Effect.fail(calls.told(body, head))
    const excerpt = calls.server.redact(body.slice(0, 2048))
    return Effect.fail(new InvalidResponse({ description: `expected an event stream, got ${type}`, excerpt }))
  })
}
