/** The calls for objects and with tools. Loaded with the first of them: they bring all of Schema. */
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Llm, Request } from "../../llm/Llm.ts"
import type { LlmError } from "../../llm/LlmError.ts"
import * as LlmObject from "../../llm/LlmObject.ts"
import * as ToolLoop from "../../llm/ToolLoop.ts"
import { type GenerateOptions, type Input, toRequest } from "../Input.ts"
import type { ObjectAnswer, ObjectOptions, ObjectSource, Tool, ToolAnswer, ToolEvent, ToolOptions } from "../Objects.ts"
import { atLeast, oneOf, toDuration } from "../Time.ts"
import { inTime, streamInTime } from "./inTime.ts"

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
  const asked = LlmObject.generate(given, request, { description, maxAnswers, name, strict })
  return inTime(asked, "generateObject")
}

const checkTool = (plain: Tool, where: string): void => {
  if (typeof plain !== "object" || plain === null || typeof plain.run !== "function")
    throw new TypeError(`${where}.run: a tool needs a function that runs it`)
  if (typeof plain.name !== "string" || plain.name === "") throw new TypeError(`${where}.name: give the tool a name`)
}

const toTool = (plain: Tool, where: string): ToolLoop.Tool<unknown> => {
  checkTool(plain, where)
  const { description, name } = plain
  const timeout = plain.timeout === undefined ? undefined : toDuration(plain.timeout, `${where}.timeout`)
  if (plain.parameters === undefined) {
    const run = (_: undefined, call: ToolLoop.Call): Effect.Effect<unknown, unknown> =>
      promised(async (signal) => plain.run(undefined, { ...call, signal }))
    return ToolLoop.tool({ name, description, timeout, run })
  }
  const { strict } = plain
  const parameters = toSource(plain.parameters, `${where}.parameters`)
  const run = (input: unknown, call: ToolLoop.Call): Effect.Effect<unknown, unknown> =>
    promised(async (signal) => plain.run(input, { ...call, signal }))
  return ToolLoop.tool({ name, description, timeout, strict, parameters, run })
}

/** What a loop is made of. */
interface Looping {
  readonly tools: ReadonlyArray<ToolLoop.Tool<unknown>>
  readonly request: Request
  readonly settings: Omit<ToolLoop.Options, "onToolError">
  readonly isToCaller: boolean
}

const toLooping = (tools: ReadonlyArray<Tool>, input: Input, options: GenerateOptions & ToolOptions): Looping => {
  const { concurrency, maxResultBytes, maxRounds, onToolError, ...rest } = options
  for (const [name, value] of Object.entries({ concurrency, maxResultBytes, maxRounds })) atLeast(value, 1, name)
  oneOf(onToolError, ["model", "caller"], "onToolError")
  if (!Array.isArray(tools)) throw new TypeError("tools: give a list of tools")
  return {
    tools: tools.map((plain, index) => toTool(plain, `tools[${index}]`)),
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
  const looped: Effect.Effect<ToolAnswer, unknown, Llm> = isToCaller
    ? ToolLoop.run(made, request, { ...settings, onToolError: "caller" })
    : ToolLoop.run(made, request, { ...settings, onToolError: "model" })
  return inTime(looped, "runTools")
}

/** Throws a `TypeError` that names what is wrong. */
export const streamTools = (
  tools: ReadonlyArray<Tool>,
  input: Input,
  options: GenerateOptions & ToolOptions
): Stream.Stream<ToolEvent, unknown, Llm> => {
  const { isToCaller, request, settings, tools: made } = toLooping(tools, input, options)
  const looped: Stream.Stream<ToolEvent, unknown, Llm> = isToCaller
    ? ToolLoop.stream(made, request, { ...settings, onToolError: "caller" })
    : ToolLoop.stream(made, request, { ...settings, onToolError: "model" })
  return streamInTime(looped, "streamTools")
}
