/**
 * `WorkStore` in the memory of this process: gone with the layer. Its delays are exact, and a job's id is free again when
 * the job is done.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MemoryBacklog } from "./internal/memoryBacklog.ts"
import { StoreFailed } from "./WorkQueueError.ts"
import { WorkStore } from "./WorkStore.ts"

/** Makes the service. A name is open once at a time: results are passed within one queue. */
export const make: Effect.Effect<WorkStore["Service"]> = Effect.sync(() => {
  const backlogs = new Map<string, MemoryBacklog>()
  const open = new Set<string>()
  return WorkStore.of({
    open: (name) =>
      Effect.gen(function* () {
        if (open.has(name))
          return yield* Effect.fail(
            new StoreFailed({ description: "is open already; pass the queue on, or give the other one another name" })
          )
        yield* Effect.acquireRelease(
          Effect.sync(() => open.add(name)),
          () => Effect.sync(() => open.delete(name))
        )
        const backlog = backlogs.get(name) ?? new MemoryBacklog()
        backlogs.set(name, backlog)
        return backlog
      })
  })
})

/** `WorkStore` in memory. */
export const layer: Layer.Layer<WorkStore> = Layer.effect(WorkStore, make)
