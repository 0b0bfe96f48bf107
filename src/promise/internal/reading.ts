/** The one stream behind a loop and the promises of what it comes to. */
import type * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Stream from "effect/Stream"
import type { Finish, StreamEvent } from "../../llm/Llm.ts"
import type { ToolCall } from "../../llm/Message.ts"
import type * as ToolLoop from "../../llm/ToolLoop.ts"
import type { Usage } from "../../llm/Usage.ts"
import { type Calls, heard, Iteration } from "../Bridge.ts"
import type { ToolEvent } from "../Objects.ts"
import type { Flow, Reading, StreamAnswer, StreamToolAnswer, TextReading } from "../Reading.ts"
import type { CommandEvent, CommandResult, Execution, ExecutionEvent } from "../Session.ts"

/** Told of each event as it comes; `result` is there after the last one. */
export interface Gathering<Event, Result> {
  readonly add: (event: Event) => void
  readonly result: () => Result | undefined
}

class Flowing<A, E, R, ER> extends Iteration<A, E, R, ER> implements Flow<A> {
  readonly abort = (reason: unknown = new DOMException("The stream was aborted", "AbortError")): void =>
    this.stop(reason)

  readonly toReadableStream = (): ReadableStream<A> => this.streamOf((event) => event)

  /** A web stream of what `pick` makes of the events; `undefined` leaves one out. */
  protected streamOf<B>(pick: (event: A) => B | undefined): ReadableStream<B> {
    const loop = this[Symbol.asyncIterator]()
    const pull = async (out: ReadableStreamDefaultController<B>): Promise<void> => {
      // A pull that gives nothing is not made again.
      for (;;) {
        const next = await loop.next()
        if (next.done === true) return out.close()
        const picked = pick(next.value)
        if (picked !== undefined) return out.enqueue(picked)
      }
    }
    const cancel = async (): Promise<void> => {
      await this.return()
    }
    // Nothing is read before it is asked for.
    return new ReadableStream<B>({ pull, cancel }, { highWaterMark: 0 })
  }
}

class Gathered<A, Result, E, R, ER> extends Flowing<A, E, R, ER> implements Reading<A, Result> {
  private readonly gathering: Gathering<A, Result>
  private whole: Promise<Result> | undefined

  constructor(
    stream: Stream.Stream<A, E, R>,
    runtime: ManagedRuntime.ManagedRuntime<R, ER>,
    calls: Calls,
    signal: AbortSignal | undefined,
    gathering: Gathering<A, Result>
  ) {
    super(stream, runtime, calls, signal, false)
    this.gathering = gathering
  }

  protected override onBatch(batch: ReadonlyArray<A>): void {
    for (const event of batch) this.gathering.add(event)
  }

  readonly result = (): Promise<Result> =>
    (this.whole ??= heard(async () => {
      await this.finish()
      const result = this.gathering.result()
      if (result !== undefined) return result
      throw new TypeError("this stream was left before its end and has no result: read it to its end")
    }))
}

/** What an answer has said until now, as `Answer` has it. */
class Said {
  private text = ""
  private reasoning = ""
  private refusal = ""
  private toolCalls: Array<ToolCall> = []

  add(event: StreamEvent | ToolEvent): void {
    switch (event.type) {
      case "text":
        this.text += event.text
        return
      case "reasoning":
        this.reasoning += event.text
        return
      case "refusal":
        this.refusal += event.text
        return
      case "toolCall":
        this.toolCalls.push(event.call)
        return
      // The answer begins again; or another one does, after the tools that this one asked for.
      case "reset":
      case "toolResult":
        Object.assign(this, new Said())
    }
  }

  get whole(): Pick<StreamAnswer, "text" | "reasoning" | "refusal" | "toolCalls"> {
    const { reasoning, refusal, text, toolCalls } = this
    return { text, toolCalls, ...(reasoning !== "" && { reasoning }), ...(refusal !== "" && { refusal }) }
  }
}

const ofAnswer = (): Gathering<StreamEvent, StreamAnswer> => {
  const said = new Said()
  let end: Omit<Finish, "type"> | undefined
  const add = (event: StreamEvent): void => {
    if (event.type !== "finish") return said.add(event)
    const { type: _, ...rest } = event
    end = rest
  }
  return { add, result: () => end && { ...end, ...said.whole } }
}

const ofTools = (): Gathering<ToolEvent, StreamToolAnswer> => {
  const said = new Said()
  let end: Omit<ToolLoop.Finish, "type"> | undefined
  const add = (event: ToolEvent): void => {
    if (event.type !== "finish") return said.add(event)
    const { type: _, ...rest } = event
    end = rest
  }
  return { add, result: () => end && { ...end, ...said.whole } }
}

interface Told {
  readonly text: string
  readonly usage: Usage
}

class GatheredText<A extends StreamEvent | ToolEvent, Result extends Told, E, R, ER>
  extends Gathered<A, Result, E, R, ER>
  implements TextReading<A, Result>
{
  readonly text = (): Promise<string> => heard(async () => (await this.result()).text)

  get usage(): Promise<Usage> {
    return heard(async () => (await this.result()).usage)
  }

  readonly toTextStream = (): ReadableStream<string> =>
    this.streamOf((event) => {
      if (event.type !== "reset") return event.type === "text" ? event.text : undefined
      this.abort(new TypeError(`the answer begins again (${event.reason._tag}), ${unsaid}`))
      return undefined
    })
}

const unsaid = 'and a text stream cannot take back what it said: use toReadableStream(), or onCut: "fail" or "continue"'

/** A stream of a model's answer. */
export const readingAnswer = <E, ER, R>(
  stream: Stream.Stream<StreamEvent, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal: AbortSignal | undefined
): TextReading<StreamEvent, StreamAnswer> => new GatheredText(stream, runtime, calls, signal, ofAnswer())

/** A stream of answers, and of the tools between them. */
export const readingTools = <E, ER, R>(
  stream: Stream.Stream<ToolEvent, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal: AbortSignal | undefined
): TextReading<ToolEvent, StreamToolAnswer> => new GatheredText(stream, runtime, calls, signal, ofTools())

/** A stream of what a program prints. */
export const readingRun = <E, ER, R>(
  stream: Stream.Stream<ExecutionEvent, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal: AbortSignal | undefined
): Reading<ExecutionEvent, Execution> => {
  let execution: Execution | undefined
  const add = (event: ExecutionEvent): void => {
    if (event.type === "done") execution = event.execution
  }
  return new Gathered(stream, runtime, calls, signal, { add, result: () => execution })
}

/** A stream of what a command prints. */
export const readingCommand = <E, ER, R>(
  stream: Stream.Stream<CommandEvent, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal: AbortSignal | undefined
): Reading<CommandEvent, CommandResult> => {
  let result: CommandResult | undefined
  const add = (event: CommandEvent): void => {
    if (event.type === "done") result = event.result
  }
  return new Gathered(stream, runtime, calls, signal, { add, result: () => result })
}

/** A stream of bytes: nobody wants them all at once, so there is no promise of them. */
export const readingBytes = <E, ER, R>(
  stream: Stream.Stream<Uint8Array, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal: AbortSignal | undefined
): Flow<Uint8Array> => new Flowing(stream, runtime, calls, signal, false)
