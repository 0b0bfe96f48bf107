/** Test code that asks a model: script what the model says, fail where you like, and look at what it was asked. */
import assert from "node:assert/strict"
import { Effect, Ref } from "effect"
import { Llm, LlmError, Message } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"

/** The code under test: asks for a title, and does without when the model is overloaded. */
const titleOf = (text: string) =>
  Llm.generateText({ messages: [Message.system("Answer with a title."), Message.user(text)] }).pipe(
    Effect.map((answer) => answer.text.trim()),
    Effect.catchIf(
      (error) => error.code === "Overloaded",
      () => Effect.succeed("Untitled")
    )
  )

// One reply for each call, in order; a reply may be an Effect, to fail or to wait.
const script = TestLlm.layer([
  "  The Old Man and the Sea ",
  Effect.fail(TestLlm.failure(new LlmError.Overloaded({ description: "no capacity" })))
])

const test = Effect.gen(function* () {
  assert.equal(yield* titleOf("He was an old man who fished alone..."), "The Old Man and the Sea")
  assert.equal(yield* titleOf("Call me Ishmael."), "Untitled")

  const requests = yield* Ref.get(yield* TestLlm.Requests)
  assert.equal(requests[1]?.messages[1]?.content, "Call me Ishmael.")
  console.log(`passed, the model was asked ${requests.length} times`)
})

await Effect.runPromise(test.pipe(Effect.provide(script)))
// Output:
// passed, the model was asked 2 times
