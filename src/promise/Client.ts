/**
 * `createClient`: every service behind one `await using`, for programs that never see Effect.
 *
 * Nothing is opened before the first call; closing gives everything back: sockets, sandboxes, timers, listeners.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Embeddings, Vector } from "../llm/Embedder.ts"
import type { Answer, StreamEvent } from "../llm/Llm.ts"
import type { Language } from "../sandbox/Sandbox.ts"
import { heard } from "./Bridge.ts"
import type { EmbedOptions } from "./Embeddings.ts"
import type { Http } from "./Http.ts"
import type { GenerateOptions, Input } from "./Input.ts"
import { Caller } from "./internal/caller.ts"
import type { Chat } from "./internal/openAiResources.ts"
import { type Plan, plan, Standing } from "./internal/standing.ts"
import type {
  BareTool,
  ObjectAnswer,
  ObjectOptions,
  ObjectSource,
  ToolAnswer,
  ToolEvent,
  ToolOptions,
  ToolWith
} from "./Objects.ts"
import type { CallDefaults, ClientOptions } from "./Options.ts"
import type { StreamAnswer, StreamToolAnswer, TextReading } from "./Reading.ts"
import type { ExecuteOptions, Execution, Session, SessionOptions } from "./Session.ts"
import type { MapContext, MapOptions, Settled } from "./Settled.ts"
import { type Time, toDuration } from "./Time.ts"
import type { Vectors } from "./Vectors.ts"

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

/** What `drain` saw. */
export interface DrainReport {
  /** Calls that ended by themselves. */
  readonly finished: number
  /** Calls that are still under way when its grace has ended. */
  readonly open: number
}

export interface Client extends AsyncDisposable {
  /** Asks the model and waits for the whole answer. */
  readonly generateText: (input: Input, options?: GenerateOptions) => Promise<Answer>
  /** Asks the model; nothing is sent before it is read. Leaving the loop closes the connection. */
  readonly streamText: (input: Input, options?: GenerateOptions) => TextReading<StreamEvent, StreamAnswer>
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
  ) => TextReading<ToolEvent, StreamToolAnswer>
  /** The vector of one text. */
  readonly embed: (input: string, options?: EmbedOptions) => Promise<Vector>
  /** The vectors of many texts, in their order. A failure is an `EmbedderError`, which keeps those that are finished. */
  readonly embedMany: (inputs: ReadonlyArray<string>, options?: EmbedOptions) => Promise<Embeddings>
  /** Makes a sandbox session that keeps its variables until it is closed. */
  readonly createSession: (options?: SessionOptions) => Promise<Session>
  /** Runs code in a session of its own. Rejects with `ExecutionFailed` or `ExecutionTimeout` when the program does. */
  readonly executeCode: (code: string, language?: Language, options?: ExecuteOptions) => Promise<Execution>
  /** Vectors, stored and searched in the store that `vectors` names. */
  readonly vectors: Vectors
  /** Requests of any kind, under the same policy, over connections of their own. */
  readonly http: Http
  /**
   * `chat.completions.create` and the rest, as `holdfast/openai` has them, for `llm.provider` `"openai"`, `"deepseek"` and
   * `"evolution"`. It has slots and connections of its own, by the same options.
   */
  readonly chat: Chat
  /** Calls `f` for each item, `concurrency` at a time. Never rejects for an item: the results say how each ended. */
  readonly map: <A, B>(
    items: Iterable<A>,
    f: (item: A, context: MapContext) => Promise<B> | B,
    options?: MapOptions
  ) => Promise<Array<Settled<B>>>
  /** Takes no new calls, waits for those under way until the grace ends (default: 0), then interrupts the rest. */
  readonly close: (options?: { readonly grace?: Time | undefined }) => Promise<CloseReport>
  /**
   * Takes no new calls, and waits until those under way have ended by themselves; it interrupts nothing and gives nothing
   * back, as `close` does after it. Default grace: `"Infinity"`, since each call has an end of its own.
   */
  readonly drain: (options?: { readonly grace?: Time | undefined }) => Promise<DrainReport>
  /** The same client with other defaults for its calls. It shares slots, connections and sandboxes, and closes with it. */
  readonly with: (defaults: CallDefaults) => Derived
}

/** A client with defaults of its own, which `chat` has, too. Closing is left to the client that it came from. */
export type Derived = Omit<Client, "close" | "drain" | typeof Symbol.asyncDispose>

/** A client over these layers. */
export class HoldfastClient extends Caller implements Client {
  private closing: Promise<CloseReport> | undefined

  constructor(plan: Plan) {
    super(new Standing(plan))
  }

  // Read before anything is closed: a wrong option leaves the client as it was.
  close: Client["close"] = (options = {}) =>
    heard(() => this.closeWithin(toDuration(options.grace ?? 0, "close.grace")))

  drain: Client["drain"] = (options = {}) =>
    heard(() => this.drainWithin(toDuration(options.grace ?? "Infinity", "drain.grace")))

  private async drainWithin(grace: Duration.Duration): Promise<DrainReport> {
    const { calls } = this.standing
    calls.isClosing = true
    const before = calls.size
    await this.standing.run(Duration.isFinite(grace) ? Effect.timeoutOption(calls.idle, grace) : calls.idle)
    return { finished: Math.max(0, before - calls.size), open: calls.size }
  }

  private closeWithin(grace: Duration.Duration): Promise<CloseReport> {
    return (this.closing ??= (async () => {
      const { finished, open } = await this.drainWithin(grace)
      await this.standing.close()
      const report = { finished, interrupted: open }
      await this.standing.tell(report)
      return report
    })())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Makes a client. Throws a `TypeError` that names the option that is wrong; opens nothing. */
export const createClient = (options: ClientOptions): Client => new HoldfastClient(plan(options))
