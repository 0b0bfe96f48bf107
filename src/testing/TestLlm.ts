/**
 * An `Llm` that says what a test tells it to, and remembers what it was asked. Works under virtual time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { type Answer, Llm, type Request, type StreamEvent } from "../llm/Llm.ts"
import { InvalidRequest, LlmError, type Reason } from "../llm/LlmError.ts"
import { textOf, turn } from "../llm/Message.ts"
import { count, pieces } from "./internal/replay.ts"
import { type Script, take } from "./internal/script.ts"

/** What was asked, in order; calls that failed are in it too. */
export class Requests extends Context.Service<Requests, Ref.Ref<ReadonlyArray<Request>>>()(
  "holdfast/testing/TestLlm/Requests"
) {}

/** What one call gets: a text, or an answer with any of its fields set. */
export type Reply = string | Partial<Answer>

/**
 * A model by script: one reply for every call, a sequence with a reply for each call, or a function of the request and
 * the call's number (from 1). A reply may be an Effect, to fail or to wait. A call past the end of a sequence fails with
 * `InvalidRequest`. `streamText` emits the reply in small pieces.
 */
export const layer = (script: Script<Request, Reply, LlmError>): Layer.Layer<Llm | Requests> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const requests = yield* Ref.make<ReadonlyArray<Request>>([])
      const answer = Effect.fnUntraced(function* (request: Request) {
        // What no provider takes is no call.
        if (request.messages.length === 0) return yield* failure(new InvalidRequest({ description: noMessages }))
        const call = yield* Ref.modify(requests, (all) => [all.length + 1, [...all, request]])
        return complete(request, yield* take(script, request, call, exhausted))
      })
      const llm = Llm.of({
        generateText: answer,
        streamText: (request) =>
          Stream.unwrap(Effect.map(answer(request), (reply) => Stream.fromIterable(eventsOf(reply))))
      })
      return Context.make(Llm, llm).pipe(Context.add(Requests, requests))
    })
  )

/** An `LlmError` of this reason, for a script to fail with. */
export const failure = (reason: Reason): LlmError => new LlmError({ provider: "test", reason, attempts: [] })

const noMessages = "a request needs at least one message"

const exhausted = (description: string): LlmError =>
  failure(new InvalidRequest({ description: `TestLlm: ${description}` }))

const complete = (request: Request, reply: Reply): Answer => {
  const given = typeof reply === "string" ? { text: reply } : reply
  const { reasoning, text = "", toolCalls = [] } = given
  const asked = request.messages.map((message) => ({ content: textOf(message) }))
  return {
    finishReason: toolCalls.length > 0 ? "toolCalls" : "stop",
    usage: count(asked, text),
    message: turn({ text, reasoning, toolCalls }),
    model: request.model ?? "test",
    attempts: [],
    raw: undefined,
    ...given,
    text,
    toolCalls
  }
}

const eventsOf = ({ raw: _raw, reasoning, refusal, text, toolCalls, ...end }: Answer): Array<StreamEvent> => [
  ...(reasoning === undefined ? [] : [{ type: "reasoning" as const, text: reasoning }]),
  ...(text === "" ? [] : pieces(text).map((piece) => ({ type: "text" as const, text: piece }))),
  ...(refusal === undefined ? [] : [{ type: "refusal" as const, text: refusal }]),
  ...toolCalls.map((call) => ({ type: "toolCall" as const, call })),
  { type: "finish", ...end }
]
