/** One tool call: its arguments decoded, its tool run in time, and the outcome as the model is told of it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Timer from "../../policy/Timer.ts"
import type { ToolSpec } from "../Llm.ts"
import type { ToolCall } from "../Message.ts"
import { messageOf } from "./errorText.ts"
import type { Shape } from "./objectSchema.ts"

/** What a tool is told beside its arguments. */
export interface Call {
  /** The provider's name for the call; only within one answer surely another one for each call. */
  readonly callId: string
  /** Which answer asks for it, from 1. */
  readonly round: number
}

/** What became of a call that did not fail: the tool's value, or why there is none. */
export type Ran =
  | { readonly outcome: "ok"; readonly output: unknown }
  | { readonly outcome: "invalidInput" | "timedOut"; readonly problem: string }

/** A tool: what the model is told of it, and what runs. */
export interface Tool<out E = never, out R = never> {
  readonly spec: ToolSpec
  readonly call: (call: ToolCall, round: number) => Effect.Effect<Ran, E, R>
}

/** What became of one call. */
export interface ToolResult {
  readonly call: ToolCall
  /**
   * `"failed"`: the tool did; `"timedOut"`: it was interrupted at its `timeout`. Nothing was run at `"invalidInput"`, where
   * the arguments do not fit, and at `"unknownTool"`.
   */
  readonly outcome: "ok" | "failed" | "timedOut" | "invalidInput" | "unknownTool"
  /** What the tool returned. Absent when it did not. */
  readonly output?: unknown
  /** What the tool failed with. Absent when it did not. */
  readonly error?: unknown
  /** What the model is told of it. */
  readonly content: string
  readonly durationMillis: number
}

/** Runs calls whose arguments fit. */
export const caller =
  <A, E, R, RD>(
    shape: Shape<A, RD>,
    timeout: Duration.Input,
    run: (input: A, call: Call) => Effect.Effect<unknown, E, R>
  ): Tool<E, R | RD>["call"] =>
  ({ id, input, inputText }, round) => {
    if (input === undefined) return Effect.succeed(invalid([`$: it is not JSON: ${beginningOf(inputText)}`]))
    const running = Effect.matchEffect(shape.decode(input), {
      onFailure: (issues): Effect.Effect<Ran, E, R> => Effect.succeed(invalid(issues)),
      onSuccess: (value) => Effect.map(run(value, { callId: id, round }), (output): Ran => ({ outcome: "ok", output }))
    })
    // Decoding may take time, too: a schema may ask services.
    return inTime(running, Duration.toMillis(timeout))
  }

/** As much as a message has room for, without half of a letter. */
const beginningOf = (text: string): string => text.slice(0, 200).toWellFormed()

const invalid = (issues: ReadonlyArray<string>): Ran => ({
  outcome: "invalidInput",
  problem: `the arguments do not fit, and nothing was run:\n${issues.map((issue) => `- ${issue}`).join("\n")}`
})

/** The exit apart from the time: a tool's own failure may be of any type. */
const inTime = <E, R>(running: Effect.Effect<Ran, E, R>, millis: number): Effect.Effect<Ran, E, R> => {
  const problem = `the tool took longer than ${Duration.format(Duration.millis(millis))} and was stopped`
  return Effect.matchEffect(
    Timer.within(Effect.exit(running), millis, (): Ran => ({ outcome: "timedOut", problem })),
    { onFailure: Effect.succeed, onSuccess: (exit) => exit }
  )
}

/** What an outcome leaves to be told. */
export type Outcome = Omit<ToolResult, "call" | "durationMillis">

/** `onFailed` says what becomes of a tool's failure. */
export const resultOf = <E, E2, R>(
  tool: Tool<E, R> | undefined,
  call: ToolCall,
  { limitBytes, names, onFailed, round }: Telling<E, E2>
): Effect.Effect<ToolResult, E2, R> =>
  Effect.clockWith((clock) => {
    const startMillis = clock.currentTimeMillisUnsafe()
    const told = ({ content, ...outcome }: Outcome): ToolResult => ({
      call,
      ...outcome,
      // Half of a pair of UTF-16 is no text, and providers refuse it.
      content: withinBytes(content.toWellFormed(), limitBytes),
      durationMillis: clock.currentTimeMillisUnsafe() - startMillis
    })
    if (tool === undefined) return Effect.succeed(told(unknownTool(call.name, names)))
    const ran = Effect.matchEffect(tool.call(call, round), {
      onFailure: (error) => Effect.map(onFailed(error), told),
      onSuccess: (ran) =>
        Effect.sync(() =>
          told(ran.outcome === "ok" ? { ...ran, content: textOf(ran.output, call.name) } : stopped(ran))
        )
    })
    const noted = Effect.tap(ran, ({ outcome }) =>
      outcome === "ok" ? Effect.void : Effect.annotateCurrentSpan("error.type", outcome)
    )
    return Effect.withSpan(noted, `execute_tool ${call.name}`, { attributes: attributesOf(call) })
  })

/** How results are told. */
export interface Telling<E, E2> {
  readonly round: number
  readonly names: ReadonlyArray<string>
  readonly limitBytes: number
  readonly onFailed: (error: E) => Effect.Effect<Outcome, E2>
}

/** A failure, for the model to go on from. */
export const failed = (error: unknown): Outcome => ({ outcome: "failed", error, content: `Error: ${messageOf(error)}` })

const stopped = ({ outcome, problem }: Extract<Ran, { problem: string }>): Outcome => ({
  outcome,
  content: `Error: ${problem}`
})

const unknownTool = (name: string, names: ReadonlyArray<string>): Outcome => ({
  outcome: "unknownTool",
  content: `Error: there is no tool ${name}; there are: ${names.join(", ")}`
})

/** By OpenTelemetry's conventions for generative AI (2026-11). The name is the model's word only where a tool has it. */
const attributesOf = ({ id, name }: ToolCall): Record<string, string> => ({
  "gen_ai.operation.name": "execute_tool",
  "gen_ai.tool.name": name,
  "gen_ai.tool.call.id": id,
  "gen_ai.tool.type": "function"
})

/** A text as it is, nothing as `done`, anything else as JSON. What is no JSON, such as a `bigint`, is a defect of the tool. */
const textOf = (output: unknown, name: string): string => {
  if (typeof output === "string") return output
  try {
    return JSON.stringify(output) ?? "done"
  } catch (cause) {
    throw new TypeError(`the tool ${name} returned what is no JSON (${messageOf(cause)})`, { cause })
  }
}

const encoder = new TextEncoder()

const withinBytes = (text: string, limitBytes: number): string => {
  // No UTF-16 unit has more than three bytes of UTF-8.
  if (text.length * 3 <= limitBytes) return text
  const bytes = encoder.encode(text)
  if (bytes.length <= limitBytes) return text
  // As a stream, it holds back the letter that is not whole.
  const kept = new TextDecoder().decode(bytes.subarray(0, limitBytes), { stream: true })
  return `${kept}\n[cut off: these are the first ${limitBytes} of ${bytes.length} bytes]`
}
