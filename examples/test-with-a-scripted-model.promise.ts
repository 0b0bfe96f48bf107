/** Test code that asks a model by promises: a client over a scripted layer, and what the model was asked as an array. */
import assert from "node:assert/strict"
import { LlmError } from "holdfast/llm"
import type { Client } from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm } from "holdfast/testing"

/** The code under test: asks for a title, and does without when the model is overloaded. */
const titleOf = async (client: Client, text: string) => {
  try {
    const answer = await client.generateText([
      { role: "system", content: "Answer with a title." },
      { role: "user", content: text }
    ])
    return answer.text.trim()
  } catch (error) {
    if (LlmError.LlmError.isInstance(error) && error.code === "Overloaded") return "Untitled"
    throw error
  }
}

// One reply for each call, in order; a reply may be an error, or a promise, to wait.
const { layer, requests } = TestLlm.make([
  "  The Old Man and the Sea ",
  TestLlm.failure(new LlmError.Overloaded({ description: "no capacity" }))
])

await using client = fromLayer(layer)
assert.equal(await titleOf(client, "He was an old man who fished alone..."), "The Old Man and the Sea")
assert.equal(await titleOf(client, "Call me Ishmael."), "Untitled")

assert.equal(requests[1]?.messages[1]?.content, "Call me Ishmael.")
console.log(`passed, the model was asked ${requests.length} times`)
// Output:
// passed, the model was asked 2 times
