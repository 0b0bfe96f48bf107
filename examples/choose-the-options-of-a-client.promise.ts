/** Say in one place what holds for every call: address, retries and their waits, time, calls at once, and a logger. */
import { setTimeout } from "node:timers/promises"
import { createClient } from "holdfast/promise"

// In place of the network: busy twice, then an answer.
let requests = 0
let inFlight = 0
let most = 0
const fetch = async () => {
  const request = ++requests
  most = Math.max(most, ++inFlight)
  await setTimeout(20)
  inFlight--
  if (request <= 2) return new Response("{}", { status: 503 })
  return Response.json({ choices: [{ message: { role: "assistant", content: "42" }, finish_reason: "stop" }] })
}

// Any of them may be left out: each has a default.
await using client = createClient({
  llm: { provider: "openai", baseUrl: "https://models.example/v1", apiKey: "your key", model: "some-model" },
  retry: { retries: 3, base: "10 millis", factor: 3, jitter: "none" },
  timeout: { total: "1 minute" },
  maxConcurrency: 2,
  // `console` would do.
  logger: {
    debug: () => {},
    info: () => {},
    warn: (_, { event, waitMs }) => console.log(event, waitMs, "ms"),
    error: () => {}
  },
  fetch
})

console.log((await client.generateText("What is 6 x 7?")).text)

const answers = await Promise.all(Array.from({ length: 6 }, () => client.generateText("What is 6 x 7?")))
console.log(`${answers.length} answers, at most ${most} at once`)
// Output:
// retry 10 ms
// retry 30 ms
// 42
// 6 answers, at most 2 at once
