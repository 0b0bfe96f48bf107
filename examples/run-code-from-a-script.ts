/** Run code and ask a model from a script, without promises: each call blocks until it is done. */
import { createSyncClient, LlmError, SandboxError } from "holdfast/sync"

// Nothing listens on port 1: this example works offline.
using client = createSyncClient({
  llm: { provider: "openai", baseUrl: "http://127.0.0.1:1/v1", model: "some-model" },
  retry: { retries: 1, base: "10 millis" }
})

// `runCode` keeps its variables from run to run, `executeCode` begins anew.
client.runCode("primes = [n for n in range(2, 30) if all(n % d for d in range(2, n))]")
const { results, stdout } = client.runCode("print(len(primes))\nprimes[-1]")
console.log(stdout.trim(), results[0]?.["text/plain"])

// Errors are those of the promise client.
try {
  client.executeCode("primes")
} catch (error) {
  if (error instanceof SandboxError) console.log(error.code, "-", error.message)
}
try {
  client.generateText("6 x 7?")
} catch (error) {
  if (error instanceof LlmError) console.log(error.code, "after", error.attempts.length, "attempts")
}
// Output:
// 10 29
// ExecutionFailed - sandbox local: the program failed: NameError: name 'primes' is not defined
// Unreachable after 2 attempts
