/** A tool loop as a stream: the rounds one after the other, each opened when the one before it is closed. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  type Answer,
  collect,
  type Collected,
  collected,
  type Finish as LlmFinish,
  Llm,
  type StreamEvent
} from "../Llm.ts"
import { LlmError, StreamTruncated } from "../LlmError.ts"
import type { ToolCall } from "../Message.ts"
import type { Conversation, Rounds } from "./toolRounds.ts"
import type { ToolResult } from "./toolRun.ts"

/** The end of one round's answer; its calls run now. */
export interface RoundEvent extends Omit<LlmFinish, "type"> {
  readonly type: "round"
  /** From 1. */
  readonly round: number
}

/** One call has been run. */
export interface ToolResultEvent extends ToolResult {
  readonly type: "toolResult"
  /** Which answer asked for it, from 1. */
  readonly round: number
}

/** The end: of the last answer, with the `usage`, `cost` and `attempts` of all of them, and the way to it. */
export interface Finish extends LlmFinish, Conversation {
  /** The text of the last answer. */
  readonly text: string
}

/** What a loop says, in order. What is not a `round`, a `toolResult` or the end is an event of the round's own stream. */
export type Event = Exclude<StreamEvent, { readonly type: "finish" }> | RoundEvent | ToolResultEvent | Finish

export const streamed = <E, R, E2>(rounds: Rounds<E, R, E2>): Stream.Stream<Event, LlmError | E2, Llm | R> =>
  Stream.unwrap(
    Effect.map(Llm, (llm) => {
      const requests = Stream.unfold(undefined, () =>
        Effect.sync(() => (rounds.isOver ? undefined : ([rounds.next, undefined] as const)))
      )
      return Stream.flatMap(requests, (request) => roundOf(llm.streamText(request), rounds))
    })
  )

const roundOf = <E, R, E2>(
  events: Stream.Stream<StreamEvent, LlmError>,
  rounds: Rounds<E, R, E2>
): Stream.Stream<Event, LlmError | E2, R> =>
  Stream.suspend(() => {
    let said = collected
    const shown = events.pipe(
      Stream.mapError(rounds.totals.failed),
      Stream.map((event) => {
        said = collect(said, event)
        return event
      }),
      Stream.filter((event) => event.type !== "finish")
    )
    return Stream.concat(
      shown,
      Stream.suspend(() => ended(said, rounds))
    )
  })

/** What comes after an answer: its tools, or the end. */
const ended = <E, R, E2>(
  { finish, ...said }: Collected,
  rounds: Rounds<E, R, E2>
): Stream.Stream<Event, LlmError | E2, R> => {
  const round = rounds.round
  // An `Llm` of somebody else's may break the rule that the last event is always `finish`.
  if (finish === undefined) return Stream.fail(rounds.totals.failed(truncated(said.text)))
  const { type: _, ...end } = finish
  const answer = answerOf(said, end)
  const over: Event = { type: "round", round, ...end }
  const next = Effect.map(rounds.answered(answer), (calls) => {
    if (calls.length > 0) return Stream.concat(Stream.succeed(over), resultsOf(answer, calls, rounds))
    return Stream.make<ReadonlyArray<Event>>(over, { ...finish, text: said.text, ...rounds.whole })
  })
  return Stream.unwrap(next)
}

/** Each result when it is there; the model is told of them in the order of its calls. */
const resultsOf = <E, R, E2>(
  answer: Answer,
  calls: ReadonlyArray<ToolCall>,
  rounds: Rounds<E, R, E2>
): Stream.Stream<ToolResultEvent, E2, R> => {
  const round = rounds.totals.answers
  const results: Array<ToolResult> = []
  const { concurrency } = rounds.settings
  return Stream.fromIterable(calls.entries()).pipe(
    Stream.mapEffect(
      ([index, call]) =>
        Effect.map(rounds.run(call), (result): ToolResultEvent => {
          results[index] = result
          return { type: "toolResult", round, ...result }
        }),
      { concurrency, unordered: true }
    ),
    Stream.onEnd(Effect.sync(() => rounds.ran(answer, results)))
  )
}

/** The answer that a stream has told; nobody has seen it as a whole on the wire. */
const answerOf = (said: Omit<Collected, "finish">, end: Omit<LlmFinish, "type">): Answer => ({
  ...end,
  text: said.text,
  toolCalls: said.toolCalls,
  ...(said.reasoning === "" ? undefined : { reasoning: said.reasoning }),
  ...(said.refusal === "" ? undefined : { refusal: said.refusal }),
  raw: undefined
})

const truncated = (partial: string): LlmError =>
  new LlmError({
    provider: "llm",
    reason: new StreamTruncated({ partial, delivered: partial !== "" }),
    attempts: []
  })
