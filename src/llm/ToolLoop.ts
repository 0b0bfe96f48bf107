/**
 * A model that calls tools: what it asks for is run and told to it, until it answers without asking.
 *
 * ask → run the calls of the answer at the same time → tell the results → ask again, up to `maxRounds`.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { checkName, shapeOf, type Source } from "./internal/objectSchema.ts"
import { type Conversation, Rounds, type Settings } from "./internal/toolRounds.ts"
import { type Call, caller, failed, type Outcome, type Tool } from "./internal/toolRun.ts"
import { type Event, streamed } from "./internal/toolStream.ts"
import { type Answer, type Input, Llm, toRequest } from "./Llm.ts"
import type { LlmError } from "./LlmError.ts"

export type { Round } from "./internal/toolRounds.ts"
export type { Call, Tool, ToolResult } from "./internal/toolRun.ts"
export type { Event, Finish } from "./internal/toolStream.ts"

/** A tool without arguments. */
export interface BareToolOptions<E, R> {
  /** Letters, digits, `_` and `-`, at most 64. */
  readonly name: string
  /** When to use it and what it gives back: the model has nothing else to go by. */
  readonly description: string
  readonly parameters?: undefined
  /** After it the run is interrupted, and the model is told so. Default: `"1 minute"`, because one tool that hangs holds all. */
  readonly timeout?: Duration.Input | undefined
  /** Runs it. What it succeeds with is told to the model: a text as it is, anything else as JSON. */
  readonly run: (input: undefined, call: Call) => Effect.Effect<unknown, E, R>
}

/** A tool with arguments, which are decoded before it runs. */
export interface ToolOptions<A, RD, E, R> extends Omit<BareToolOptions<E, R>, "parameters" | "run"> {
  /** What the arguments have to be: an object. */
  readonly parameters: Source<A, RD>
  /**
   * Whether the provider makes sure that the arguments fit, as in `LlmObject`. Default: its own, with the schema as it
   * is: decoding sees to it, too, and optional arguments stay what they are.
   */
  readonly strict?: boolean | undefined
  readonly run: (input: A, call: Call) => Effect.Effect<unknown, E, R>
}

/**
 * A tool, typed by its parameters. Its defects and interruptions are the loop's; its failures go where `onToolError` says.
 * Throws a `TypeError` for a name that no provider takes, and for parameters that tell no JSON Schema or are no object.
 */
export function tool<E, R>(options: BareToolOptions<E, R>): Tool<E, R>
export function tool<A, E, R, RD = never>(options: ToolOptions<A, RD, E, R>): Tool<E, R | RD>
export function tool<A, RD, E, R>(
  options: ToolOptions<A, RD, E, R> | BareToolOptions<E, R>
): Tool<E, R | RD> | Tool<E, R> {
  const { description, timeout = "1 minute" } = options
  const name = checkName(options.name)
  if (options.parameters === undefined) {
    return { spec: { name, description }, call: caller(bare, timeout, options.run) }
  }
  const { run, strict } = options
  const shape = shapeOf(options.parameters, strict === true)
  if (shape.jsonSchema["type"] !== "object") throw new TypeError(`the parameters of ${name} are no object`)
  return {
    spec: { name, description, parameters: shape.jsonSchema, strict: strict === false ? false : shape.strict },
    call: caller(shape, timeout, run)
  }
}

const bare = {
  jsonSchema: {},
  strict: undefined,
  decode: (): Effect.Effect<undefined> => Effect.undefined
}

/** Who hears of a tool's failure: the model, which goes on, or the caller, whose loop fails with it. */
export type OnToolError = "model" | "caller"

export interface Options<On extends OnToolError = "model"> {
  /** Answers of the model, the last one included. Default: `8`; a loop that needs more mostly goes in circles. */
  readonly maxRounds?: number | undefined
  /** Calls of one answer that run at the same time. Default: `8`; models seldom ask for more at once. */
  readonly concurrency?: number | undefined
  /** The most bytes of one result that the model is told; a note says what was cut. Default: 64 KiB, some 16 000 tokens. */
  readonly maxResultBytes?: number | undefined
  /** Default: `"model"`, which is told the failure's message, or its fields where it has none. */
  readonly onToolError?: On | undefined
}

/** The last answer, with the way to it. `usage`, `cost` and `attempts` are those of all answers together. */
export interface Result extends Answer, Conversation {}

type AnyTool = Tool<unknown, unknown>

/** What a tool fails with. */
type ErrorOf<T extends AnyTool> = T extends Tool<infer E, infer _R> ? E : never

/** What a tool needs. */
type ServicesOf<T extends AnyTool> = T extends Tool<infer _E, infer R> ? R : never

/**
 * Asks the model in context, runs the tools that it asks for, and goes on until it answers without. The request's own
 * `tools` are replaced, and a `toolChoice` that forces a tool counts for the first round only. Fails with `RoundsExceeded`
 * when the model does not come to an end; an `LlmError` has the usage, cost and attempts of all answers. Interrupting it
 * aborts the request or interrupts all tools.
 */
export function run<T extends AnyTool>(
  tools: ReadonlyArray<T>,
  input: Input,
  options: Options<"caller"> & { readonly onToolError: "caller" }
): Effect.Effect<Result, LlmError | ErrorOf<T>, Llm | ServicesOf<T>>
export function run<T extends AnyTool>(
  tools: ReadonlyArray<T>,
  input: Input,
  options?: Options
): Effect.Effect<Result, LlmError, Llm | ServicesOf<T>>
export function run<T extends AnyTool>(
  tools: ReadonlyArray<T>,
  input: Input,
  options: Options<OnToolError>
): Effect.Effect<Result, LlmError | ErrorOf<T>, Llm | ServicesOf<T>>
export function run<E, R>(
  tools: ReadonlyArray<Tool<E, R>>,
  input: Input,
  options: Options<OnToolError> = {}
): Effect.Effect<Result, LlmError | E, Llm | R> {
  const request = toRequest(input)
  const loop = Effect.suspend(() =>
    options.onToolError === "caller"
      ? asking(new Rounds(tools, request, settingsOf(options, Effect.fail)))
      : asking(new Rounds(tools, request, settingsOf(options, toModel)))
  )
  return Effect.withSpan(loop, "ToolLoop.run")
}

/**
 * As `run`, with the events of all answers as they arrive. Each round ends with a `round` event and goes on with a
 * `toolResult` for each of its calls, in the order in which they are done; a `reset` takes back what its own round has
 * said. The only `finish` is the last event. Leaving the stream aborts the request or interrupts all tools.
 */
export function stream<T extends AnyTool>(
  tools: ReadonlyArray<T>,
  input: Input,
  options: Options<"caller"> & { readonly onToolError: "caller" }
): Stream.Stream<Event, LlmError | ErrorOf<T>, Llm | ServicesOf<T>>
export function stream<T extends AnyTool>(
  tools: ReadonlyArray<T>,
  input: Input,
  options?: Options
): Stream.Stream<Event, LlmError, Llm | ServicesOf<T>>
export function stream<T extends AnyTool>(
  tools: ReadonlyArray<T>,
  input: Input,
  options: Options<OnToolError>
): Stream.Stream<Event, LlmError | ErrorOf<T>, Llm | ServicesOf<T>>
export function stream<E, R>(
  tools: ReadonlyArray<Tool<E, R>>,
  input: Input,
  options: Options<OnToolError> = {}
): Stream.Stream<Event, LlmError | E, Llm | R> {
  const request = toRequest(input)
  const loop = Stream.suspend(() =>
    options.onToolError === "caller"
      ? streamed(new Rounds(tools, request, settingsOf(options, Effect.fail)))
      : streamed(new Rounds(tools, request, settingsOf(options, toModel)))
  )
  return Stream.withSpan(loop, "ToolLoop.stream")
}

const toModel = (error: unknown): Effect.Effect<Outcome> => Effect.succeed(failed(error))

const settingsOf = <E, E2>(
  { concurrency = 8, maxResultBytes = 65_536, maxRounds = 8 }: Options<OnToolError>,
  onFailed: Settings<E, E2>["onFailed"]
): Settings<E, E2> => ({ concurrency, maxResultBytes, maxRounds, onFailed })

const asking = <E, R, E2>(rounds: Rounds<E, R, E2>): Effect.Effect<Result, LlmError | E2, Llm | R> =>
  Effect.gen(function* () {
    const llm = yield* Llm
    const { concurrency } = rounds.settings
    for (;;) {
      const answer = yield* Effect.mapError(llm.generateText(rounds.next), rounds.totals.failed)
      const calls = yield* rounds.answered(answer)
      if (calls.length === 0) return { ...answer, ...rounds.whole }
      rounds.ran(answer, yield* Effect.forEach(calls, (call) => rounds.run(call), { concurrency }))
    }
  })
