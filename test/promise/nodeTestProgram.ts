/** A test as a user of node:test writes it: `node --test nodeTestProgram.ts`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm } from "holdfast/testing"

test("greets", async () => {
  await using client = fromLayer(TestLlm.layer("Hello, Ada!"))
  assert.equal((await client.generateText("Greet Ada")).text, "Hello, Ada!")
})
