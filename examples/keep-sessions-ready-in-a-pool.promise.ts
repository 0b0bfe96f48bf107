/** Keep sandbox sessions ready for a program of promises: a client over the layer of a pool. */
import { Layer } from "effect"
import { fromLayer } from "holdfast/promise/effect"
import { SandboxPool } from "holdfast/sandbox"
import { TestSandbox } from "holdfast/testing"

// In place of machines: a script, which squares. In production `LocalSandbox.layer()`, or E2B's.
const machines = TestSandbox.layer(({ code }) => `${Number(/\d+/.exec(code)?.[0]) ** 2}\n`)
const pool = SandboxPool.layer({ classes: [{ language: "javascript" }], min: 1, max: 2 })

await using client = fromLayer(Layer.provide(pool, machines))

const seen = new Set<string>()
const request = async (n: number): Promise<string> => {
  // One that is ready. Its end gives the place back, and another one is made ready.
  await using session = await client.createSession({ language: "javascript" })
  seen.add(session.id)
  return (await session.runCode(`console.log(${n} ** 2)`)).stdout.trim()
}
console.log((await Promise.all([1, 2, 3].map(request))).join(" "))
console.log(seen.size, "sessions")
// Output:
// 1 4 9
// 3 sessions
