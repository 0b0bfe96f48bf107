/** One item of a batch: its work, and the record of it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Recorder, Story } from "../../policy/Attempt.ts"
import { classify, isRetryable } from "../../policy/Retryable.ts"
import type { Context, Description } from "../Batch.ts"
import type { BatchRecord, Failure } from "../BatchRecord.ts"

/** A result with the record of it. */
export interface Ended<B, E> {
  readonly result: Result.Result<B, E>
  readonly record: BatchRecord
}

export interface Plan<A, B, E, R> {
  readonly work: (item: A, context: Context) => Effect.Effect<B, E, R>
  readonly describe: ((result: Result.Result<B, E>) => Description) | undefined
}

/** Works on an item. Failures are values; a defect and an interruption are none. */
export const workOn = <A, B, E, R>(
  { describe, work }: Plan<A, B, E, R>,
  item: A,
  context: Context
): Effect.Effect<Ended<B, E>, never, R> =>
  Effect.gen(function* () {
    const recorder = new Recorder()
    const startMillis = yield* Clock.currentTimeMillis
    const self = Effect.provideService(
      Effect.suspend(() => work(item, context)),
      Story,
      recorder
    )
    const result = yield* Effect.result(self)
    const durationMillis = (yield* Clock.currentTimeMillis) - startMillis
    const { attempts = recorder.attempts, cost: told, error, usage, value } = describe?.(result) ?? {}
    // JSON has no NaN: a price that nobody knows is none.
    const cost = Number.isFinite(told) ? told : undefined
    const { id, index } = context
    const story = { attempts, usage, cost, startMillis, durationMillis }
    const record: BatchRecord = Result.match(result, {
      onSuccess: (own) => ({
        index,
        id,
        outcome: "done",
        value: value === undefined ? (own ?? null) : value,
        ...story
      }),
      onFailure: (own) => ({ index, id, outcome: "failed", error: error ?? failureOf(own), ...story })
    })
    return { result, record }
  })

/** What an error says of itself. */
const failureOf = (error: unknown): Failure => {
  const { isRetryable: again, phase } = classify(error)
  return {
    code: textIn(error, "code") ?? textIn(error, "_tag") ?? (error instanceof Error ? error.name : "Error"),
    message: error instanceof Error ? error.message : typeof error === "string" ? error : jsonOf(error),
    isRetryable: again,
    phase: isRetryable(error) ? phase : undefined,
    status: numberIn(error, "status"),
    requestId: textIn(error, "requestId")
  }
}

/** What is no JSON, such as a circle, is told of by its name. */
const jsonOf = (error: unknown): string =>
  Result.getOrElse(
    Result.try(() => JSON.stringify(error) ?? ""),
    () => String(error)
  )

const memberOf = (error: unknown, name: string): unknown =>
  typeof error === "object" && error !== null ? Reflect.get(error, name) : undefined

const textIn = (error: unknown, name: string): string | undefined => {
  const value = memberOf(error, name)
  return typeof value === "string" ? value : undefined
}

const numberIn = (error: unknown, name: string): number | undefined => {
  const value = memberOf(error, name)
  return typeof value === "number" ? value : undefined
}

/** The record of an item that is equal to an earlier one. */
export const copyOf = (of: BatchRecord, { id, index }: Context, startMillis: number): BatchRecord => {
  const own = { index, id, attempts: [], usage: undefined, cost: undefined, startMillis, durationMillis: 0 }
  return { ...of, ...own, duplicateOf: of.duplicateOf ?? of.index }
}

/** The record of an item that nothing was done for. */
export const refusal = (context: Pick<Context, "index" | "id">, startMillis: number, error: Failure): BatchRecord => ({
  index: context.index,
  id: context.id,
  outcome: "failed",
  error,
  attempts: [],
  startMillis,
  durationMillis: 0
})
