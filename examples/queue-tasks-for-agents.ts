/** Give tasks to agents that share a queue: two at a time, failed ones again, and wait until all of them are done. */
import { Effect } from "effect"
import { Llm, LlmError, Message } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"
import { MemoryWorkStore, WorkQueue } from "holdfast/work"

interface Task {
  readonly role: string
  readonly prompt: string
}

const tasks: ReadonlyArray<Task> = [
  { role: "writer", prompt: "Write a story." },
  { role: "translator", prompt: "Translate the story." },
  { role: "critic", prompt: "Read the story." }
]

// A scripted model that is overloaded once; any other Llm layer, such as OpenAiLlm's, stands in its place.
let isOverloaded = true
const model = TestLlm.layer(({ messages }) => {
  const [role, prompt] = messages.map(Message.textOf)
  if (role?.includes("translator") && isOverloaded) {
    isOverloaded = false
    return Effect.fail(TestLlm.failure(new LlmError.Overloaded({ description: "no capacity" })))
  }
  return `"${prompt}" is done`
})

/** One agent: its role, its task, its answer. */
const agent = ({ attempt, payload: { prompt, role } }: WorkQueue.Job<Task>) =>
  Llm.generateText({ messages: [Message.system(`You are a ${role}.`), Message.user(prompt)] }).pipe(
    Effect.map(({ text }) => `${text} by the ${role}, at try ${attempt}`)
  )

const program = Effect.gen(function* () {
  const queue = yield* WorkQueue.make({ workers: 2, retry: { retries: 3, base: "10 millis" }, work: agent })
  const handles = yield* Effect.forEach(tasks, (task) => queue.offer(task))
  yield* queue.join
  console.log(yield* queue.size)
  for (const { await: done } of handles) console.log(yield* done)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide([model, MemoryWorkStore.layer])))
// Output:
// { ready: 0, delayed: 0, running: 0, dead: 0 }
// "Write a story." is done by the writer, at try 1
// "Translate the story." is done by the translator, at try 2
// "Read the story." is done by the critic, at try 1
