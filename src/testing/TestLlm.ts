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
import * as Scripted from "./internal/expectations.ts"
import { count, pieces } from "./internal/replay.ts"

/** What was asked, in order; calls that failed are in it too. */
export class Requests extends Context.Service<Requests, Ref.Ref<ReadonlyArray<Request>>>()(
  "holdfast/testing/TestLlm/Requests"
) {}

/** What one call gets: a text, or an answer with any of its fields set. */
export type Reply = string | Partial<Answer>

/** A reply for the calls that match: a text or a pattern is looked for in the last message's text. */
export type Expectation = Scripted.Expectation<Request, Reply, LlmError>

/** What a model says. */
export type Script = Scripted.Scripts<Request, Reply, LlmError>

/** A scripted model for a test without Effect. */
export interface TestLlm {
  readonly layer: Layer.Layer<Llm | Requests>
  /** What was asked so far, in order; it grows. */
  readonly requests: ReadonlyArray<Request>
}

/**
 * A model by script: one reply for every call, a sequence with a reply for each call, a function of the request and the
 * call's number (from 1), or a list of `{ when, reply }`, of which the first that matches replies. A reply may be an
 * Effect or a promise, to wait, and an `LlmError`, to fail. A call past the end of a sequence, and one that nothing
 * matches, fails with `InvalidRequest`, which says what came nearest. `streamText` emits the reply in small pieces.
 */
export const layer = (script: Script): Layer.Layer<Llm | Requests> => build(script, [])

/** The same model, and what it was asked as an array: for `fromLayer` in a test without Effect. */
export const make = (script: Script): TestLlm => {
  const requests: Array<Request> = []
  return { layer: build(script, requests), requests }
}

const build = (script: Script, told: Array<Request>): Layer.Layer<Llm | Requests> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const requests = yield* Ref.make<ReadonlyArray<Request>>([])
      const replyTo = Scripted.reader(script, { textOf: lastText, fail: unscripted })
      const answer = Effect.fnUntraced(function* (request: Request) {
        // What no provider takes is no call.
        if (request.messages.length === 0) return yield* failure(new InvalidRequest({ description: noMessages }))
        const call = yield* Ref.modify(requests, (all) => [all.length + 1, [...all, request]])
        told.push(request)
        return complete(request, yield* replyTo(request, call))
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

const lastText = ({ messages }: Request): string => messages.slice(-1).map(textOf).join("")

const unscripted = (description: string): LlmError =>
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
