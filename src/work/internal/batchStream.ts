/** A batch from a stream into a stream: what it knows of its items is in memory, and bounded. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Context, Outcome, RunOptions } from "../Batch.ts"
import { copyOf, type Ended, type Plan, workOn } from "./batchItem.ts"
import { Stopper } from "./inOrder.ts"

/** What every item of one run needs. */
export class StreamRun<A, B, E, R> {
  private readonly plan: Plan<A, B, E, R>
  private readonly options: RunOptions<A, B, E> & { readonly runId: string }
  private readonly stopper = new Stopper<E>()
  /** The results that others may be equal to, the newest ones, some of them still to come. */
  private readonly known = new Map<string, Deferred.Deferred<Ended<B, E>>>()

  constructor(plan: Plan<A, B, E, R>, options: RunOptions<A, B, E> & { readonly runId: string }) {
    this.plan = plan
    this.options = options
  }

  readonly settle = ([item, index]: readonly [A, number]): Effect.Effect<Outcome<A, B, E>, E, R> =>
    Effect.suspend(() => {
      const { equalBy, id, runId } = this.options
      const context = { index, id: id?.(item), idempotencyKey: `${runId}-${index}` }
      const ended = equalBy === undefined ? this.ask(item, context) : this.askOnce(item, context, equalBy(item))
      return Effect.map(ended, ({ record, result }) => ({ index, item, result, record }))
    })

  private ask(item: A, context: Context): Effect.Effect<Ended<B, E>, E, R> {
    return this.stopper.guard(
      Effect.map(workOn(this.plan, item, context), (ended) => {
        if (Result.isSuccess(ended.result) || this.options.isFatal?.(ended.result.failure) !== true) return ended
        this.stopper.stop(ended.result.failure)
        return undefined
      })
    )
  }

  private askOnce(item: A, context: Context, key: string): Effect.Effect<Ended<B, E>, E, R> {
    const first = this.known.get(key)
    if (first !== undefined)
      return Effect.flatMap(Deferred.await(first), ({ record, result }) =>
        Effect.map(Clock.currentTimeMillis, (now) => ({ result, record: copyOf(record, context, now) }))
      )
    const own = Deferred.makeUnsafe<Ended<B, E>>()
    this.known.set(key, own)
    const [oldest] = this.known.keys()
    if (this.known.size > (this.options.remember ?? 1000) && oldest !== undefined) this.known.delete(oldest)
    return Effect.tap(this.ask(item, context), (ended) => Deferred.succeed(own, ended))
  }
}
