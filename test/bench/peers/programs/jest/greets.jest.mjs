/** A test as a user of jest writes it: `node --experimental-vm-modules node_modules/jest/bin/jest.js`. */
import { expect, test } from "@jest/globals"
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm } from "holdfast/testing"

test("greets", async () => {
  await using client = fromLayer(TestLlm.layer("Hello, Ada!"))
  expect((await client.generateText("Greet Ada")).text).toBe("Hello, Ada!")
})
