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
import { type Answer, Llm, type StreamEvent } from "../llm/Llm.ts"
import type { LlmError } from "../llm/LlmError.ts"
import { Draining } from "../policy/PolicyError.ts"
import type { Language, Sandbox } from "../sandbox/Sandbox.ts"
import { Calls, iterate, run } from "./Bridge.ts"
import { checkEmbedder, checkInputs, embedderLayer, type EmbedOptions, noEmbedder } from "./Embeddings.ts"
import { checkHttp, type Http, make as makeHttp, type Wire } from "./Http.ts"
import { type GenerateOptions, type Input, toRequest } from "./Input.ts"
import { checkLlm } from "./internal/checkLlm.ts"
import { derive } from "./internal/derive.ts"
import { httpLayer, logged, noLlm, priced, sandboxLayer } from "./internal/layers.ts"
import { llmLayer } from "./internal/models.ts"
import { streamUnder, together, under } from "./internal/whole.ts"
import {
  checkLogger,
  closed as closedWith,
  ofAnswers,
  ofAnswerStream,
  ofEmbedder,
  ofLlm,
  ofSandbox,
  toLayer
} from "./Logger.ts"
import {
  type BareTool,
  generateObject,
  type ObjectAnswer,
  type ObjectOptions,
  type ObjectSource,
  runTools,
  streamTools,
  type ToolAnswer,
  type ToolEvent,
  type ToolOptions,
  type ToolWith
} from "./Objects.ts"
import { type CallDefaults, type CallOptions, checkClient, type ClientOptions, toPolicy, toPrices } from "./Options.ts"
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
import { type MapOptions, mapSettled, type Settled } from "./Settled.ts"
import { toDuration, type Time } from "./Time.ts"

/** Tools with these arguments; `undefined` where a tool has none. */
export type Tools<Inputs extends ReadonlyArray<unknown>> = {
  readonly [At in keyof Inputs]: ToolWith<Inputs[At]> | BareTool
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
  readonly runTools: <Inputs extends ReadonlyArray<unknown>>(
    tools: Tools<Inputs>,
    input: Input,
    options?: GenerateOptions & ToolOptions
  ) => Promise<ToolAnswer>
  /** The same, with the events of all answers and tools as they come. Leaving the loop aborts the tools' signals. */
  readonly streamTools: <Inputs extends ReadonlyArray<unknown>>(
    tools: Tools<Inputs>,
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
    checkClient(options)
    const policy = toPolicy(options)
    const prices = toPrices(options.prices)
    const logger = checkLogger(options.logger)
    const { embedder, llm } = options
    const model = llm === undefined ? noLlm : llmLayer(checkLlm(llm), { policy, isLogged: logger !== undefined })
    this.llm = ManagedRuntime.make(priced(logged(model, logger, ofLlm), prices))
    const vectors = embedder === undefined ? noEmbedder : embedderLayer(checkEmbedder(embedder), policy)
    this.embedder = ManagedRuntime.make(priced(logged(vectors, logger, ofEmbedder), prices))
    const sandbox = sandboxLayer(options.sandbox ?? { provider: "local" })
    this.sandbox = ManagedRuntime.make(logged(sandbox, logger, ofSandbox))
    const wire = httpLayer(checkHttp(options.http ?? {}), policy)
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

  generateObject: Client["generateObject"] = async (schema, input, options = {}) =>
    this.ask(this.telling(generateObject(schema, input, options), "generateObject"), options)

  runTools: Client["runTools"] = async (tools, input, options = {}) =>
    this.ask(this.telling(runTools(tools, input, options), "runTools"), options)

  streamText: Client["streamText"] = (input, options) =>
    this.read(Stream.unwrap(Effect.map(Llm, (llm) => llm.streamText(toRequest(input, options)))), options)

  streamTools: Client["streamTools"] = (tools, input, options = {}) => {
    const events = streamTools(tools, input, options)
    return this.read(this.logger === undefined ? events : ofAnswerStream(events, "streamTools"), options)
  }

  private telling<A, E, R>(asked: Effect.Effect<A, E, R>, method: string): Effect.Effect<A, E, R> {
    return this.logger === undefined ? asked : ofAnswers(asked, method)
  }

  private ask<A, E>(asked: Effect.Effect<A, E, Llm>, options: CallOptions | undefined): Promise<A> {
    return run(under(asked, options), this.llm, this.calls, options?.signal)
  }

  private read<A, E>(stream: Stream.Stream<A, E, Llm>, options: CallOptions | undefined) {
    return iterate(streamUnder(stream, options), this.llm, this.calls, options?.signal)
  }

  embed: Client["embed"] = async (input, options) => {
    const { vectors } = await this.embedMany([input], options)
    return vectors[0] ?? []
  }

  embedMany: Client["embedMany"] = async (inputs, options = {}) => {
    const { priority: _priority, signal, tenant: _tenant, timeout: _timeout, ...rest } = options
    checkInputs(inputs)
    const asked = Effect.flatMap(Embedder, (embedder) => embedder.embed({ ...rest, inputs }))
    return run(under(together(asked), options), this.embedder, this.calls, signal)
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
