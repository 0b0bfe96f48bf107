/** The jobs that a queue is killed over, and what must be left of them: four of each fifty fail at first, one always does. */
import { Effect, Schema } from "effect"
import { WorkQueue } from "holdfast/work"

export const Payload = Schema.Struct({ n: Schema.Int })

export const isHopeless = (n: number): boolean => n % 50 === 25

/** A fifth of the jobs fails at its first try. */
const failsAt = (n: number, attempt: number): boolean => isHopeless(n) || (n % 5 === 0 && attempt === 1)

/** `workers` of them; `onRun` is told of each run. */
export const open = (workers: number, onRun: () => void = () => {}) =>
  WorkQueue.make({
    name: "jobs",
    payload: Payload,
    workers,
    capacity: Infinity,
    // More than two kills can use up.
    retry: { retries: 7, base: 0, jitter: "none" },
    work: ({ attempt, payload: { n } }) =>
      Effect.suspend(() => {
        onRun()
        return failsAt(n, attempt) ? Effect.fail(new Error(`job ${n}`)) : Effect.void
      })
  })

/** Offers `count` jobs, more of them in the middle class than in the others. */
export const offerAll = (count: number) =>
  Effect.gen(function* () {
    const queue = yield* open(0)
    const priorities = ["normal", "high", "normal", "low"] as const
    yield* Effect.forEach(
      Array.from({ length: count }, (_, n) => n),
      (n) => queue.offer({ n }, { id: `job ${n}`, priority: priorities[n % 4] }),
      { concurrency: 16, discard: true }
    )
  }).pipe(Effect.scoped)

/** Says on stdout how many runs there were, a line for each ten, and "joined" when no job is left. */
export const workAll = Effect.gen(function* () {
  let runs = 0
  const queue = yield* open(8, () => {
    runs += 1
    if (runs % 10 === 0) process.stdout.write(`${runs}\n`)
  })
  yield* queue.join
  process.stdout.write("joined\n")
}).pipe(Effect.scoped)

/** A process that dies gives its jobs back within three seconds. */
export const store = {
  pollInterval: "50 millis",
  lockRefreshInterval: "500 millis",
  lockExpiration: "3 seconds"
} as const
