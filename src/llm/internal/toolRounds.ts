/** The conversation of a tool loop: which request comes next, and what has been said and used. */
import * as Effect from "effect/Effect"
import type { Answer, Request } from "../Llm.ts"
import { type LlmError, RoundsExceeded } from "../LlmError.ts"
import { type Message, type ToolCall, toolResult } from "../Message.ts"
import { numbered, Totals } from "./totals.ts"
import { type Outcome, resultOf, type Tool, type ToolResult } from "./toolRun.ts"

/** One answer, and what became of the calls that it asked for. */
export interface Round {
  readonly answer: Answer
  /** In the order of the calls; empty in the last round. */
  readonly results: ReadonlyArray<ToolResult>
}

/** The way to the last answer. */
export interface Conversation {
  /** The whole conversation, the last answer included: a next question goes behind it. */
  readonly messages: ReadonlyArray<Message>
  readonly rounds: ReadonlyArray<Round>
}

/** The settings of a loop, with every default in place. */
export interface Settings<E, E2> {
  readonly maxRounds: number
  readonly concurrency: number
  readonly maxResultBytes: number
  /** What becomes of a tool's failure. */
  readonly onFailed: (error: E) => Effect.Effect<Outcome, E2>
}

export class Rounds<E, R, E2> {
  readonly totals = new Totals()
  readonly rounds: Array<Round> = []
  readonly settings: Settings<E, E2>
  messages: ReadonlyArray<Message>
  isOver = false
  private readonly tools: ReadonlyMap<string, Tool<E, R>>
  private readonly request: Request

  constructor(tools: ReadonlyArray<Tool<E, R>>, request: Request, settings: Settings<E, E2>) {
    this.tools = new Map(tools.map((tool) => [tool.spec.name, tool]))
    this.request = request
    this.settings = settings
    this.messages = request.messages
    if (this.tools.size < tools.length) throw new TypeError("two tools have the same name")
  }

  /** The round that is asked now, from 1. */
  get round(): number {
    return this.totals.answers + 1
  }

  get next(): Request {
    const { messages, request, round } = this
    const { toolChoice } = request
    const specs = Array.from(this.tools.values(), ({ spec }) => spec)
    // One that has to use a tool each time never comes to an end.
    const isForced = toolChoice === "required" || typeof toolChoice === "object"
    const choice = isForced && round > 1 ? undefined : toolChoice
    return numbered({ ...request, messages, tools: specs, toolChoice: choice }, round)
  }

  /** The calls of the answer, to be run; none where it is the last one. */
  answered(answer: Answer): Effect.Effect<ReadonlyArray<ToolCall>, LlmError> {
    const { settings, totals } = this
    const { maxRounds } = settings
    const { toolCalls } = answer
    totals.add(answer)
    const { messages } = this
    this.messages = [...messages, answer.message]
    if (toolCalls.length > 0 && totals.answers >= maxRounds) {
      // Nobody would read the results.
      const tools = toolCalls.map(({ name }) => name)
      return Effect.fail(totals.error(new RoundsExceeded({ maxRounds, tools, usage: totals.usage, messages }), answer))
    }
    if (toolCalls.length === 0) {
      this.rounds.push({ answer, results: [] })
      this.isOver = true
    }
    return Effect.succeed(toolCalls)
  }

  /** Runs one call of the last answer. */
  run(call: ToolCall): Effect.Effect<ToolResult, E2, R> {
    const { maxResultBytes, onFailed } = this.settings
    return resultOf(this.tools.get(call.name), call, {
      round: this.totals.answers,
      names: [...this.tools.keys()],
      limitBytes: maxResultBytes,
      onFailed
    })
  }

  /** Takes the results of the last answer's calls, in their order. */
  ran(answer: Answer, results: ReadonlyArray<ToolResult>): void {
    this.rounds.push({ answer, results })
    const told = results.map(({ call, content, outcome }) =>
      toolResult(call, content, outcome === "ok" ? undefined : true)
    )
    this.messages = [...this.messages, ...told]
  }

  /** What the result tells of all rounds together. */
  get whole(): Pick<Answer, "usage" | "cost" | "attempts"> & Conversation {
    const { attempts, cost, usage } = this.totals
    return { usage, cost, attempts, messages: this.messages, rounds: this.rounds }
  }
}
