/** Objects and tool calls for plain programs: schemas of any library, tools that are plain functions. */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "effect/StandardSchema"
import type { JsonSchema } from "../llm/Llm.ts"
import type * as LlmObject from "../llm/LlmObject.ts"
import type * as ToolLoop from "../llm/ToolLoop.ts"
import type { Time } from "./Time.ts"

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
