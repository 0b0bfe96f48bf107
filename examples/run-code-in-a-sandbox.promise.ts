/** Run code that you did not write from plain promises: a session that keeps its variables, and programs of their own. */
import { createClient, SandboxError } from "holdfast/promise"

await using client = createClient({ sandbox: { provider: "local" } })

await using session = await client.createSession({ language: "python" })
await session.runCode("primes = [n for n in range(2, 30) if all(n % d for d in range(2, n))]")
for await (const event of session.streamCode("print(len(primes))\nprimes[-1]")) {
  if (event.type === "stdout") console.log("stdout:", event.text.trim())
  if (event.type === "result") console.log("result:", event.result["text/plain"])
}

// `executeCode` makes a session for one program; here a program that fails is a rejection.
const { stdout } = await client.executeCode("console.log([1, 2, 3].map((n) => n * n).join())", "javascript")
console.log(stdout.trim())
try {
  await client.executeCode("raise ValueError('too big')", "python")
} catch (error) {
  if (error instanceof SandboxError) console.log(error.code, "-", error.message)
}
// Output:
// stdout: 10
// result: 29
// 1,4,9
// ExecutionFailed - sandbox local: the program failed: ValueError: too big
