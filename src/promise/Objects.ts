/** Objects and tool calls for plain programs: schemas of any library, tools that are plain functions. */
import * as Effect from "effect/Effect"
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "effect/StandardSchema"
import * as Stream from "effect/Stream"
import type { JsonSchema, Llm, Request } from "../llm/Llm.ts"
import { LlmError } from "../llm/LlmError.ts"
import type * as LlmObject from "../llm/LlmObject.ts"
import type * as ToolLoop from "../llm/ToolLoop.ts"
import * as Deadline from "../policy/Deadline.ts"
import { DeadlineExceeded } from "../policy/PolicyError.ts"
import type { CallOptions } from "./Options.ts"
import { type Time, toDuration } from "./Time.ts"

/**
 * What an object has to be: a Standard Schema that tells its JSON Schema, as those of zod 4.2 and ArkType do
 * (https://standardschema.dev/json-schema); or any Standard Schema or decoder beside a JSON Schema.
 */
export type ObjectSource<A> =
  | (StandardSchemaV1<unknown, A> & StandardJSONSchemaV1<unknown, A>)
  | { readonly jsonSchema: JsonSchema; readonly schema: StandardSchemaV1<unknown, A> }
  | {
      readonly jsonSchema: JsonSchema
      /** What it throws or rejects with is what the model is told. */
      readonly decode: (value: unknown) => A | Promise<A>
    }

export interface ObjectOptions extends LlmObject.Options {}

/** The value with the answer that it was read from; `usage`, `cost` and `attempts` are those of all answers together. */
export type ObjectAnswer<A> = LlmObject.Result<A>

/** What a tool is told beside its arguments. */
export interface ToolCallContext extends ToolLoop.Call {
  /** Aborted when the call is: by its own signal, its time, or the closing client. */
  readonly signal: AbortSignal
}

/** A tool that the model may call. `tool` makes one whose `run` is typed by its parameters. */
export interface Tool<A = unknown> {
  /** Letters, digits, `_` and `-`, at most 64. */
  readonly name: string
  /** When to use it and what it gives back: the model has nothing else to go by. */
  readonly description: string
  /** What its arguments have to be: an object. Default: no arguments. */
  readonly parameters?: ObjectSource<A> | undefined
  /** After it the model is told that the tool took too long. Default: `"1 minute"`. */
  readonly timeout?: Time | undefined
  /** Runs it. What it returns is told to the model: a text as it is, anything else as JSON. */
  run(input: A, context: ToolCallContext): unknown
}

/** A tool, typed by its parameters. */
export const tool = <A = undefined>(options: Tool<A>): Tool<A> => options

/** Who hears of a tool's failure: the model, which goes on, or the caller, whose promise rejects with it. */
export interface ToolOptions extends Omit<ToolLoop.Options, "onToolError"> {
  readonly onToolError?: ToolLoop.OnToolError | undefined
}

/** The last answer with the way to it; `usage`, `cost` and `attempts` are those of all answers together. */
export type ToolAnswer = ToolLoop.Result

export type ToolEvent = ToolLoop.Event

const isDecoder = <A>(
  source: ObjectSource<A>
): source is Extract<ObjectSource<A>, { readonly decode: (value: unknown) => A | Promise<A> }> => "decode" in source

/** A rejection is the value that a plain program threw. */
const promised = <A>(run: (signal: AbortSignal) => A | Promise<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: async (signal) => run(signal), catch: (error) => error })

const toSource = <A>(source: ObjectSource<A>): LlmObject.Source<A> => {
  if (!isDecoder(source)) return source
  const { decode, jsonSchema } = source
  return { jsonSchema, decode: (value) => promised(() => decode(value)) }
}

/** The call's time holds for all of its answers and tools together. */
const inTime = <A, E, R>(self: Effect.Effect<A, E, R>, { timeout }: CallOptions): Effect.Effect<A, E | LlmError, R> => {
  if (timeout === undefined) return self
  const bounded = Deadline.within(self, toDuration(timeout, "timeout"), "llm")
  return Effect.mapError(bounded, (error) =>
    error instanceof DeadlineExceeded ? new LlmError({ provider: "llm", reason: error, attempts: [] }) : error
  )
}

/** Loaded with the first object: it brings all of Schema. */
const loadObject = Effect.promise(() => import("../llm/LlmObject.ts"))
const loadLoop = Effect.promise(() => import("../llm/ToolLoop.ts"))

export const generateObject = <A>(
  source: ObjectSource<A>,
  request: Request,
  options: CallOptions & ObjectOptions
): Effect.Effect<ObjectAnswer<A>, LlmError, Llm> => {
  const { description, maxAnswers, name, strict } = options
  return inTime(
    Effect.flatMap(loadObject, ({ generate }) =>
      generate(toSource(source), request, { description, maxAnswers, name, strict })
    ),
    options
  )
}

const toTool = ({ tool }: typeof ToolLoop, plain: Tool): ToolLoop.Tool<unknown> => {
  const { description, name, parameters } = plain
  const timeout = plain.timeout === undefined ? undefined : toDuration(plain.timeout, `${name}.timeout`)
  const run = (input: unknown, call: ToolLoop.Call): Effect.Effect<unknown, unknown> =>
    promised(async (signal) => plain.run(input, { ...call, signal }))
  return parameters === undefined
    ? tool({ name, description, timeout, run })
    : tool({ name, description, timeout, run, parameters: toSource(parameters) })
}

const loopOptions = ({ concurrency, maxResultBytes, maxRounds }: ToolOptions): ToolLoop.Options => ({
  concurrency,
  maxResultBytes,
  maxRounds
})

export const runTools = (
  tools: ReadonlyArray<Tool>,
  request: Request,
  options: CallOptions & ToolOptions
): Effect.Effect<ToolAnswer, unknown, Llm> =>
  inTime(
    Effect.flatMap(loadLoop, (loop) => {
      const all = tools.map((plain) => toTool(loop, plain))
      const settings = loopOptions(options)
      return options.onToolError === "caller"
        ? loop.run(all, request, { ...settings, onToolError: "caller" })
        : loop.run(all, request, { ...settings, onToolError: "model" })
    }),
    options
  )

export const streamTools = (
  tools: ReadonlyArray<Tool>,
  request: Request,
  options: CallOptions & ToolOptions
): Stream.Stream<ToolEvent, unknown, Llm> =>
  Stream.unwrap(
    Effect.map(loadLoop, (loop) => {
      const all = tools.map((plain) => toTool(loop, plain))
      const settings = loopOptions(options)
      return options.onToolError === "caller"
        ? loop.stream(all, request, { ...settings, onToolError: "caller" })
        : loop.stream(all, request, { ...settings, onToolError: "model" })
    })
  )
