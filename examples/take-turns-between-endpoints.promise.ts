/** Give each call to the next of several endpoints by one option of the client; who is down is left out for a while. */
import { createClient } from "holdfast/promise"

// In place of the network.
let down = ""
const fetch = async (input: string | URL | Request, init?: RequestInit) => {
  if (new Request(input, init).headers.get("authorization") === `Bearer ${down}`)
    return new Response("", { status: 503 })
  return Response.json({ choices: [{ message: { role: "assistant", content: "42" }, finish_reason: "stop" }] })
}

const members = ["a", "b", "c"].map(
  (name) => ({ provider: "openai", name, apiKey: name, model: "some-model" }) as const
)
await using client = createClient({
  llm: {
    provider: "pool",
    members,
    strategy: "roundRobin",
    coolDown: "1 minute",
    onMove: ({ from, to }) => console.log(`${from} is down, to ${to}`)
  },
  retry: { retries: 0 },
  fetch
})

const ask = async (): Promise<void> => {
  const { servedBy } = await client.generateText("What is 6 x 7?")
  console.log("by", servedBy)
}
for (let call = 0; call < 4; call++) await ask()
down = "b"
for (let call = 0; call < 4; call++) await ask()
// Output:
// by a
// by b
// by c
// by a
// b is down, to c
// by c
// by c
// by a
// by c
