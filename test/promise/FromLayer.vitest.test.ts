/** A test as a user of vitest writes it. `nodeTestProgram.ts` and `test/bench/peers/programs/jest` are its twins. */
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm } from "holdfast/testing"
import { expect, test } from "vitest"

test("greets", async () => {
  await using client = fromLayer(TestLlm.layer("Hello, Ada!"))
  expect((await client.generateText("Greet Ada")).text).toBe("Hello, Ada!")
})
