/** A test as a user of node:test writes it: `node --test nodeTestProgram.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm } from "holdfast/testing"

test("greets", async () => {
  const { layer, requests } = TestLlm.make("Hello, Ada!")
  await using client = fromLayer(layer)
  assert.equal((await client.generateText("Greet Ada")).text, "Hello, Ada!")
  assert.equal(requests.length, 1)
})
