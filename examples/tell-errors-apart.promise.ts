/** Tell errors apart with promises: a class for each service, and a `code` for each reason. */
import { createClient, LlmError, SandboxError } from "holdfast/promise"

/** What a program says of a failure. */
const wordsFor = (error: unknown): string => {
  if (error instanceof LlmError) {
    switch (error.code) {
      case "Unauthorized":
        return `the key is wrong (${error.status})`
      case "Unreachable":
        return `nobody is there, asked ${error.attempts.length} times`
      case "DeadlineExceeded":
        return "no answer in time"
      default:
        return error.isRetryable ? `try later (${error.code})` : error.message
    }
  }
  if (error instanceof SandboxError && error.reason._tag === "ExecutionFailed") {
    const { name, traceback, value } = error.reason
    return `${name}: ${value}\n${traceback}`
  }
  // An abort, or a mistake of our own.
  throw error
}

// Three models that do not answer: one refuses the key, one is not there, one is silent.
const llm = { provider: "openai", apiKey: "your key", model: "some-model" } as const
await using refusing = createClient({ llm, fetch: async () => new Response("{}", { status: 401 }) })
await using absent = createClient({
  llm: { ...llm, baseUrl: "http://127.0.0.1:1/v1" },
  retry: { retries: 1, base: "10 millis" }
})
await using silent = createClient({ llm, timeout: { total: "300 millis" }, fetch: () => new Promise(() => {}) })
for (const client of [refusing, absent, silent]) {
  console.log(await client.generateText("What is 6 x 7?").then(({ text }) => text, wordsFor))
}

await using client = createClient({ sandbox: { provider: "local", languages: ["javascript"] } })
const code = "function half(n) { return n.toFixed(0) / 2 }\nhalf(null)"
console.log(await client.executeCode(code, "javascript").then(({ stdout }) => stdout, wordsFor))
// Output:
// the key is wrong (401)
// nobody is there, asked 2 times
// no answer in time
// TypeError: cannot read property 'toFixed' of null
// TypeError: cannot read property 'toFixed' of null
//     at half (<cell 1>:1:28)
//     at <eval> (<cell 1>:2:5)
