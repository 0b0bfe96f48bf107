/**
 * `createClient`: every service behind one `await using`, for programs that never see Effect.
 *
 * Nothing is opened before the first call; closing gives everything back: sockets, sandboxes, timers, listeners.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { Embedder, type Embeddings, type Vector } from "../llm/Embedder.ts"
import type { EmbedderError } from "../llm/EmbedderError.ts"
import { Llm, type Request, type StreamEvent, type Answer } from "../llm/Llm.ts"
import type { LlmError } from "../llm/LlmError.ts"
import type { Message } from "../llm/Message.ts"
import * as Policy from "../policy/Policy.ts"
import { Draining } from "../policy/PolicyError.ts"
import type { Language, Sandbox } from "../sandbox/Sandbox.ts"
import { Calls, iterate, run } from "./Bridge.ts"
import { checkEmbedder, embedderLayer, type EmbedOptions, noEmbedder } from "./Embeddings.ts"
import { checkHttp, type Http, make as makeHttp, type Wire } from "./Http.ts"
import { derive } from "./internal/derive.ts"
import { httpLayer, logged, noLlm, sandboxLayer } from "./internal/layers.ts"
import { llmLayer } from "./internal/models.ts"
import { checkLogger, closed as closedWith, ofLlm, ofSandbox, toLayer } from "./Logger.ts"
import { checkLlm } from "./Model.ts"
import {
  generateObject,
  type ObjectAnswer,
  type ObjectOptions,
  type ObjectSource,
  runTools,
  streamTools,
  type Tool,
  type ToolAnswer,
  type ToolEvent,
  type ToolOptions
} from "./Objects.ts"
import { type CallDefaults, type CallOptions, type ClientOptions, toPolicy, toSettings } from "./Options.ts"
import {
  type Execution,
  make as makeSession,
  type RunOptions,
  type Session,
  type SessionOptions,
  throwUnlessOk,
  runOnce,
  toExecution
} from "./Session.ts"
import { toDuration, type Time } from "./Time.ts"

/** A question, a conversation, or a whole request. */
export type Input = string | ReadonlyArray<Message> | Request

export interface GenerateOptions extends CallOptions, Omit<Request, "messages"> {}

/** How one callback of `map` ended. */
export type Settled<A> =
  | { readonly status: "fulfilled"; readonly value: A }
  | { readonly status: "rejected"; readonly reason: unknown }

export interface MapOptions {
  /** Callbacks at the same time. Default: 10. */
  readonly concurrency?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What `close` saw. */
export interface CloseReport {
  /** Calls that ended by themselves within the grace. */
  readonly finished: number
  /** Calls that were interrupted at its end; they reject with `Draining`. */
  readonly interrupted: number
}

export interface Client extends AsyncDisposable {
  /** Asks the model and waits for the whole answer. */
  readonly generateText: (input: Input, options?: GenerateOptions) => Promise<Answer>
  /** Asks the model; nothing is sent before the first `next`. Leaving the loop closes the connection. */
  readonly streamText: (input: Input, options?: GenerateOptions) => AsyncIterableIterator<StreamEvent> & AsyncDisposable
  /**
   * Asks the model for an object that fits a schema, and again with what is wrong when it does not. Rejects with
   * `ObjectMismatch` when no answer fits. `timeout` holds for all answers together.
   */
  readonly generateObject: <A>(
    schema: ObjectSource<A>,
    input: Input,
    options?: GenerateOptions & ObjectOptions
  ) => Promise<ObjectAnswer<A>>
  /**
   * Asks the model, runs the tools that it asks for, and goes on until it answers without. Rejects with `RoundsExceeded`
   * when it does not come to an end. `timeout` holds for all answers and tools together.
   */
  readonly runTools: <Tools extends ReadonlyArray<unknown>>(
    tools: { readonly [At in keyof Tools]: Tool<Tools[At]> },
    input: Input,
    options?: GenerateOptions & ToolOptions
  ) => Promise<ToolAnswer>
  /** The same, with the events of all answers and tools as they come; `timeout` holds for each answer. */
  readonly streamTools: <Tools extends ReadonlyArray<unknown>>(
    tools: { readonly [At in keyof Tools]: Tool<Tools[At]> },
    input: Input,
    options?: GenerateOptions & ToolOptions
  ) => AsyncIterableIterator<ToolEvent> & AsyncDisposable
  /** The vector of one text. */
  readonly embed: (input: string, options?: EmbedOptions) => Promise<Vector>
  /** The vectors of many texts, in their order. A failure is an `EmbedderError`, which keeps those that are finished. */
  readonly embedMany: (inputs: ReadonlyArray<string>, options?: EmbedOptions) => Promise<Embeddings>
  /** Makes a sandbox session that keeps its variables until it is closed. */
  readonly createSession: (options?: SessionOptions & CallOptions) => Promise<Session>
  /** Runs code in a session of its own. Rejects with `ExecutionFailed` or `ExecutionTimeout` when the program does. */
  readonly executeCode: (code: string, language?: Language, options?: RunOptions) => Promise<Execution>
  /** Requests of any kind, under the same policy, over connections of their own. */
  readonly http: Http
  /** Calls `f` for each item, `concurrency` at a time. Never rejects for an item: the results say how each ended. */
  readonly map: <A, B>(
    items: Iterable<A>,
    f: (item: A, context: { readonly signal: AbortSignal; readonly index: number }) => Promise<B> | B,
    options?: MapOptions
  ) => Promise<Array<Settled<B>>>
  /** Takes no new calls, waits for those under way until the grace ends (default: 0), then interrupts the rest. */
  readonly close: (options?: { readonly grace?: Time | undefined }) => Promise<CloseReport>
  /** The same client with other defaults for its calls. It shares slots, connections and sandboxes, and closes with it. */
  readonly with: (defaults: CallDefaults) => Derived
}

/** A client with defaults of its own. Closing is left to the client that it came from. */
export type Derived = Omit<Client, "close" | typeof Symbol.asyncDispose>

const toRequest = (input: Input, options: (GenerateOptions & ObjectOptions & ToolOptions) | undefined): Request => {
  const { priority: _priority, signal: _signal, tenant: _tenant, timeout: _timeout, ...mine } = options ?? {}
  const { concurrency: _c, description: _d, maxAnswers: _a, maxResultBytes: _b, maxRounds: _r, ...more } = mine
  const { name: _name, onToolError: _onToolError, strict: _strict, ...rest } = more
  if (typeof input === "string") return { ...rest, messages: [{ role: "user", content: input }] }
  if ("messages" in input) return { ...input, ...rest, headers: { ...input.headers, ...rest.headers } }
  return { ...rest, messages: input }
}

/** `map`'s results in the order of the items. An abort stops what has not begun; what runs is told by its signal. */
const mapSettled = async <A, B>(
  items: Iterable<A>,
  f: (item: A, context: { readonly signal: AbortSignal; readonly index: number }) => Promise<B> | B,
  { concurrency = 10, ...options }: MapOptions,
  closed: AbortSignal
): Promise<Array<Settled<B>>> => {
  if (!(concurrency >= 1)) throw new TypeError(`map: concurrency ${concurrency} is not a number of at least 1`)
  const signal = options.signal === undefined ? closed : AbortSignal.any([options.signal, closed])
  return Effect.runPromise(
    Effect.forEach(
      Array.from(items),
      (item, index) =>
        Effect.promise(async (): Promise<Settled<B>> => {
          try {
            signal.throwIfAborted()
            return { status: "fulfilled", value: await f(item, { signal, index }) }
          } catch (reason) {
            return { status: "rejected", reason }
          }
        }),
      { concurrency }
    )
  )
}

class HoldfastClient implements Client {
  readonly http: Http
  private readonly calls = new Calls()
  private readonly llm: ManagedRuntime.ManagedRuntime<Llm, LlmError | TypeError>
  private readonly embedder: ManagedRuntime.ManagedRuntime<Embedder, EmbedderError | TypeError>
  private readonly sandbox: ManagedRuntime.ManagedRuntime<Sandbox, never>
  private readonly wire: ManagedRuntime.ManagedRuntime<Wire, never>
  private readonly logger: Layer.Layer<never> | undefined
  /** Aborted when the client's grace has ended: the signal of `map`'s callbacks. */
  private readonly closed = new AbortController()
  private closing: Promise<CloseReport> | undefined

  constructor(options: ClientOptions) {
    const policy = toPolicy(options)
    const logger = checkLogger(options.logger)
    const llm = options.llm === undefined ? noLlm : llmLayer(checkLlm(options.llm), policy)
    const sandbox = sandboxLayer(options.sandbox ?? { provider: "local" })
    this.llm = ManagedRuntime.make(logged(llm, logger, ofLlm))
    const { embedder } = options
    this.embedder = ManagedRuntime.make(
      logged(
        embedder === undefined ? noEmbedder : embedderLayer(checkEmbedder(embedder), policy),
        logger,
        (layer) => layer
      )
    )
    const wire = httpLayer(checkHttp(options.http ?? {}), policy)
    this.sandbox = ManagedRuntime.make(logged(sandbox, logger, ofSandbox))
    this.wire = ManagedRuntime.make(logged(wire, logger, (layer) => layer))
    this.http = makeHttp(this.wire, this.calls)
    this.logger = logger === undefined ? undefined : toLayer(logger)
  }

  generateText: Client["generateText"] = async (input, options) => {
    const request = toRequest(input, options)
    return this.ask(
      Effect.flatMap(Llm, (llm) => llm.generateText(request)),
      options
    )
  }

  generateObject: Client["generateObject"] = async (schema, input, options = {}) => {
    // Its time is kept by the whole of it.
    const { timeout: _, ...settings } = options
    return this.ask(generateObject(schema, toRequest(input, options), options), settings)
  }

  runTools: Client["runTools"] = async (tools, input, options = {}) => {
    const { timeout: _, ...settings } = options
    return this.ask(runTools(tools, toRequest(input, options), options), settings)
  }

  streamText: Client["streamText"] = (input, options) => {
    const request = toRequest(input, options)
    return this.read(Stream.unwrap(Effect.map(Llm, (llm) => llm.streamText(request))), options)
  }

  streamTools: Client["streamTools"] = (tools, input, options = {}) =>
    this.read(streamTools(tools, toRequest(input, options), options), options)

  private ask<A, E>(asked: Effect.Effect<A, E, Llm>, options: GenerateOptions | undefined): Promise<A> {
    const settings = toSettings(options)
    const effect = settings === undefined ? asked : Effect.provideService(asked, Policy.Override, settings)
    return run(effect, this.llm, this.calls, options?.signal)
  }

  private read<A, E>(stream: Stream.Stream<A, E, Llm>, options: GenerateOptions | undefined) {
    const isSet = [options?.timeout, options?.priority, options?.tenant].some((value) => value !== undefined)
    // A wrong setting rejects the first `next`, as it rejects every other method.
    const timed = isSet
      ? Stream.suspend(() => Stream.provideService(stream, Policy.Override, toSettings(options)))
      : stream
    return iterate(timed, this.llm, this.calls, options?.signal)
  }

  embed: Client["embed"] = async (input, options) => {
    const { vectors } = await this.embedMany([input], options)
    return vectors[0] ?? []
  }

  embedMany: Client["embedMany"] = async (inputs, options = {}) => {
    const { priority: _priority, signal, tenant: _tenant, timeout: _timeout, ...rest } = options
    const settings = toSettings(options)
    const asked = Effect.flatMap(Embedder, (embedder) => embedder.embed({ ...rest, inputs }))
    const effect = settings === undefined ? asked : Effect.provideService(asked, Policy.Override, settings)
    return run(effect, this.embedder, this.calls, signal)
  }

  createSession: Client["createSession"] = (options = {}) => makeSession(this.sandbox, this.calls, options)

  executeCode: Client["executeCode"] = async (code, language = "python", options = {}) => {
    const ran = runOnce(code, { ...options, language })
    return throwUnlessOk(toExecution(await run(ran, this.sandbox, this.calls, options.signal)), options)
  }

  map: Client["map"] = (items, f, options = {}) => mapSettled(items, f, options, this.closed.signal)

  with: Client["with"] = (defaults) => derive(this, defaults)

  // Read before anything is closed: a wrong option leaves the client as it was.
  close: Client["close"] = async (options = {}) => this.closeWithin(toDuration(options.grace ?? 0, "close.grace"))

  private closeWithin(grace: Duration.Duration): Promise<CloseReport> {
    return (this.closing ??= (async () => {
      const { calls } = this
      calls.isClosing = true
      const before = calls.size
      await Effect.runPromise(Effect.timeoutOption(calls.idle, grace))
      const interrupted = calls.size
      this.closed.abort(new Draining({ key: "client" }))
      calls.interruptAll()
      // Closing the runtimes waits for what was interrupted and gives sockets and sandboxes back.
      await Promise.allSettled(Array.from(calls.resources, (close) => close()))
      await Promise.all([this.llm, this.embedder, this.sandbox, this.wire].map((runtime) => runtime.dispose()))
      const report = { finished: Math.max(0, before - interrupted), interrupted }
      if (this.logger !== undefined) await Effect.runPromise(Effect.provide(closedWith(report), this.logger))
      return report
    })())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Makes a client. Throws a `TypeError` that names the option that is wrong; opens nothing. */
export const createClient = (options: ClientOptions): Client => new HoldfastClient(options)
