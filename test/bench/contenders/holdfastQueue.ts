/** `WorkQueue` in memory: a job is offered, done by one of eight workers, acknowledged, and its result awaited. */
import { Effect, Layer, Scope } from "effect"
import { MemoryWorkStore, WorkQueue, WorkStore } from "holdfast/work"
import type { Contender } from "../Contender.ts"
import { ofEffects } from "../ofEffects.ts"

const task = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

export const contender: Contender = {
  name: "holdfast WorkQueue",
  jobs: async () => {
    const queue = await Effect.runPromise(
      WorkQueue.make({ workers: 8, capacity: 1_000_000, work: () => task }).pipe(
        Effect.provideServiceEffect(WorkStore.WorkStore, MemoryWorkStore.make),
        Scope.provide(Scope.makeUnsafe())
      )
    )
    const job = Effect.flatMap(queue.offer(1), (handle) => handle.await)
    return ofEffects(Effect.orDie(job), Layer.empty)
  }
}
