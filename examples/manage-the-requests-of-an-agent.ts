/** Send all requests of an agent by one way: limits, retries, timeouts and connections; one by one, in batches, by a queue. */
import { Effect, Exit, Layer, Result } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { Fault, ReplayServer } from "holdfast/testing"
import { MemoryWorkStore, WorkQueue } from "holdfast/work"

const policy = Policy.make({
  maxConcurrency: 10,
  rateLimit: { requestsPerMinute: 600 },
  retry: { retries: 3, base: "10 millis" },
  timeout: { attempt: "30 seconds", total: "2 minutes" }
})
const http = UndiciHttpClient.layer({ connections: 100, keepAliveConnections: 20 })

// A server on loopback that knows the squares of 1 to 9, and is overloaded at each first try.
const squares = ({ messages }: ReplayServer.Request) => {
  const n = Number(messages.at(-1)?.content)
  return n < 10 ? `${n * n}` : undefined
}
const model = Layer.unwrap(
  Effect.gen(function* () {
    const faults = yield* Fault.plan({ kinds: ["unavailable"], rate: 1, maxInARow: 1 })
    const server = yield* ReplayServer.make({ answer: squares, faults })
    return OpenAiLlm.layer({ baseUrl: server.url, model: "some-model", policy })
  })
).pipe(Layer.provide(http))

const ask = (n: number) => Effect.map(Llm.generateText(String(n)), ({ attempts, text }) => ({ text, attempts }))

const program = Effect.gen(function* () {
  const { attempts, text } = yield* ask(7)
  console.log(`one: ${text} after ${attempts.length} attempts`)

  // A batch: in the order of its questions, with failures as values.
  const batch = yield* Effect.forEach([1, 2, 10, 3], (n) => Effect.result(ask(n)), { concurrency: 4 })
  const shown = batch.map((result) => (Result.isSuccess(result) ? result.success.text : result.failure.code))
  console.log(`batch: ${shown.join(", ")}`)

  // A queue: offered now, done when a worker is free. The policy has tried again already, so the queue does not.
  const queue = yield* WorkQueue.make({
    workers: 3,
    retry: { retries: 0 },
    work: ({ payload }: WorkQueue.Job<number>) => ask(payload)
  })
  const handles = yield* Effect.forEach([4, 5, 11, 6], (n) => queue.offer(n))
  yield* queue.join
  const exits = yield* Effect.forEach(handles, ({ result }) => result)
  console.log(`queue: ${exits.map((exit) => (Exit.isSuccess(exit) ? exit.value.text : "given up")).join(", ")}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide([model, MemoryWorkStore.layer])))
// Output:
// one: 49 after 2 attempts
// batch: 1, 4, InvalidRequest, 9
// queue: 16, 25, given up, 36
