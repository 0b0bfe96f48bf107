/** Objects and tool calls for plain programs: schemas of any library, tools that are plain functions. */
import * as Effect from "effect/Effect"
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "effect/StandardSchema"
import * as Stream from "effect/Stream"
import type { JsonSchema, Llm, Request } from "../llm/Llm.ts"
import type { LlmError } from "../llm/LlmError.ts"
import type * as LlmObject from "../llm/LlmObject.ts"
import type * as ToolLoop from "../llm/ToolLoop.ts"
import { type GenerateOptions, type Input, toRequest } from "./Input.ts"
import { inTime, streamInTime } from "./internal/whole.ts"
import { atLeast, oneOf, type Time, toDuration } from "./Time.ts"

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

/** Defaults and meanings are those of `LlmObject.Options`. */
export interface ObjectOptions extends LlmObject.Options {}

/** The value with the answer that it was read from; `usage`, `cost` and `attempts` are those of all answers together. */
export type ObjectAnswer<A> = LlmObject.Result<A>

/** What a tool is told beside its arguments. */
export interface ToolCallContext extends ToolLoop.Call {
  /** Aborted when the call is: by its own signal, its time, or the closing client. */
  readonly signal: AbortSignal
}

/** A tool without arguments. */
export interface BareTool {
  /** Letters, digits, `_` and `-`, at most 64. */
  readonly name: string
  /** When to use it and what it gives back: the model has nothing else to go by. */
  readonly description: string
  readonly parameters?: undefined
  /** After it the model is told that the tool took too long. Default: `"1 minute"`. */
  readonly timeout?: Time | undefined
  /** Runs it. What it returns is told to the model: a text as it is, anything else as JSON. */
  run(input: undefined, context: ToolCallContext): unknown
}

/** A tool with arguments, which are checked before it runs. */
export interface ToolWith<A> extends Omit<BareTool, "parameters" | "run"> {
  /** What the arguments have to be: an object. */
  readonly parameters: ObjectSource<A>
  /** Whether the provider makes sure that the arguments fit, as in `ToolLoop`. Default: its own. */
  readonly strict?: boolean | undefined
  run(input: A, context: ToolCallContext): unknown
}

/** A tool that the model may call. `tool` makes one whose `run` is typed by its parameters. */
export type Tool = BareTool | ToolWith<unknown>

/** A tool, typed by its parameters. */
export function tool<A>(options: ToolWith<A>): ToolWith<A>
export function tool(options: BareTool): BareTool
export function tool(options: Tool): Tool {
  return options
}

/** Defaults and meanings are those of `ToolLoop.Options`. */
export interface ToolOptions extends Omit<ToolLoop.Options, "onToolError"> {
  /** Who hears of a tool's failure: the model, which goes on, or the caller, whose promise rejects with it. Default: `"model"`. */
  readonly onToolError?: ToolLoop.OnToolError | undefined
}

/** The last answer with the way to it; `usage`, `cost` and `attempts` are those of all answers together. */
export type ToolAnswer = ToolLoop.Result

export type ToolEvent = ToolLoop.Event

const isDecoder = <A>(
  source: ObjectSource<A>
): source is Extract<ObjectSource<A>, { readonly decode: (value: unknown) => A | Promise<A> }> => "decode" in source

/** What the types promise, checked for programs without types. */
const checkSource = (source: unknown, option: string): void => {
  const isGiven = (typeof source === "object" && source !== null) || typeof source === "function"
  if (isGiven && ("~standard" in source || ("jsonSchema" in source && ("schema" in source || "decode" in source))))
    return
  throw new TypeError(`${option}: give a Standard Schema, { schema, jsonSchema }, or { decode, jsonSchema }`)
}

/** A rejection is the value that a plain program threw. */
const promised = <A>(run: (signal: AbortSignal) => A | Promise<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: async (signal) => run(signal), catch: (error) => error })

const toSource = <A>(source: ObjectSource<A>, option: string): LlmObject.Source<A> => {
  checkSource(source, option)
  if (!isDecoder(source)) return source
  const { decode, jsonSchema } = source
  return { jsonSchema, decode: (value) => promised(() => decode(value)) }
}

// Loaded with the first object and the first tool: they bring all of Schema.
const loadObject = Effect.promise(() => import("../llm/LlmObject.ts"))
const loadLoop = Effect.promise(() => import("../llm/ToolLoop.ts"))

/** Throws a `TypeError` that names what is wrong. */
export const generateObject = <A>(
  source: ObjectSource<A>,
  input: Input,
  options: GenerateOptions & ObjectOptions
): Effect.Effect<ObjectAnswer<A>, LlmError, Llm> => {
  const { description, maxAnswers, name, strict, ...rest } = options
  atLeast(maxAnswers, 1, "maxAnswers")
  const given = toSource(source, "schema")
  const request = toRequest(input, rest)
  const asked = Effect.flatMap(loadObject, ({ generate }) =>
    generate(given, request, { description, maxAnswers, name, strict })
  )
  return inTime(asked, "generateObject")
}

const checkTool = (plain: Tool, where: string): void => {
  if (typeof plain !== "object" || plain === null || typeof plain.run !== "function")
    throw new TypeError(`${where}.run: a tool needs a function that runs it`)
  if (typeof plain.name !== "string" || plain.name === "") throw new TypeError(`${where}.name: give the tool a name`)
}

/** A plain tool, as the loop has it once that is loaded. */
const toTool = (plain: Tool, where: string): ((loop: typeof ToolLoop) => ToolLoop.Tool<unknown>) => {
  checkTool(plain, where)
  const { description, name } = plain
  const timeout = plain.timeout === undefined ? undefined : toDuration(plain.timeout, `${where}.timeout`)
  if (plain.parameters === undefined) {
    const run = (_: undefined, call: ToolLoop.Call): Effect.Effect<unknown, unknown> =>
      promised(async (signal) => plain.run(undefined, { ...call, signal }))
    return ({ tool }) => tool({ name, description, timeout, run })
  }
  const { strict } = plain
  const parameters = toSource(plain.parameters, `${where}.parameters`)
  const run = (input: unknown, call: ToolLoop.Call): Effect.Effect<unknown, unknown> =>
    promised(async (signal) => plain.run(input, { ...call, signal }))
  return ({ tool }) => tool({ name, description, timeout, strict, parameters, run })
}

/** What a loop is made of, once it is loaded. */
interface Looping {
  readonly tools: (loop: typeof ToolLoop) => ReadonlyArray<ToolLoop.Tool<unknown>>
  readonly request: Request
  readonly settings: Omit<ToolLoop.Options, "onToolError">
  readonly isToCaller: boolean
}

const toLooping = (tools: ReadonlyArray<Tool>, input: Input, options: GenerateOptions & ToolOptions): Looping => {
  const { concurrency, maxResultBytes, maxRounds, onToolError, ...rest } = options
  for (const [name, value] of Object.entries({ concurrency, maxResultBytes, maxRounds })) atLeast(value, 1, name)
  oneOf(onToolError, ["model", "caller"], "onToolError")
  if (!Array.isArray(tools)) throw new TypeError("tools: give a list of tools")
  const made = tools.map((plain, index) => toTool(plain, `tools[${index}]`))
  return {
    tools: (loop) => made.map((make) => make(loop)),
    request: toRequest(input, rest),
    settings: { concurrency, maxResultBytes, maxRounds },
    isToCaller: onToolError === "caller"
  }
}

/** Throws a `TypeError` that names what is wrong. */
export const runTools = (
  tools: ReadonlyArray<Tool>,
  input: Input,
  options: GenerateOptions & ToolOptions
): Effect.Effect<ToolAnswer, unknown, Llm> => {
  const { isToCaller, request, settings, tools: made } = toLooping(tools, input, options)
  const looped = Effect.flatMap(loadLoop, (loop): Effect.Effect<ToolAnswer, unknown, Llm> =>
    isToCaller
      ? loop.run(made(loop), request, { ...settings, onToolError: "caller" })
      : loop.run(made(loop), request, { ...settings, onToolError: "model" })
  )
  return inTime(looped, "runTools")
}

/** The first pull throws a `TypeError` that names what is wrong. */
export const streamTools = (
  tools: ReadonlyArray<Tool>,
  input: Input,
  options: GenerateOptions & ToolOptions
): Stream.Stream<ToolEvent, unknown, Llm> => {
  const looped = Effect.map(loadLoop, (loop): Stream.Stream<ToolEvent, unknown, Llm> => {
    const { isToCaller, request, settings, tools: made } = toLooping(tools, input, options)
    return isToCaller
      ? loop.stream(made(loop), request, { ...settings, onToolError: "caller" })
      : loop.stream(made(loop), request, { ...settings, onToolError: "model" })
  })
  return streamInTime(Stream.unwrap(looped), "streamTools")
}
