/** Ask Cloud.ru Evolution with a pair of keys, whose tokens are replaced before they end, or with a static key. */
import { createClient } from "holdfast/promise"
import { VirtualTime } from "holdfast/testing"

// In place of the network: the tokens of an hour, and an endpoint that answers with what it was shown.
let tokens = 0
const fetch = async (input: string | URL | Request, init?: RequestInit) => {
  const { headers, url } = new Request(input, init)
  if (new URL(url).host === "iam.api.cloud.ru") {
    console.log(`POST ${new URL(url).pathname}`)
    return Response.json({ access_token: `token-${++tokens}`, expires_in: 3600 })
  }
  const message = { role: "assistant", content: headers.get("authorization") }
  return Response.json({ choices: [{ message, finish_reason: "stop" }] })
}

// A program of one's own has `createClient` in the place of `time.createClient`: here an hour passes at once.
const time = VirtualTime.make()
await using client = time.createClient({
  // Left out, the keys are read from EVOLUTION_KEY_ID and EVOLUTION_SECRET.
  llm: { provider: "evolution", keyId: "your id", secret: "your secret", baseUrl: "https://my-endpoint.cloud.ru/v1" },
  fetch
})
const shown = async () => (await client.generateText("What do you see?")).text

console.log(new Set(await Promise.all(Array.from({ length: 10 }, shown))))
await time.advance("1 hour")
console.log(await shown())

// Foundation Models take a static key.
await using fixed = createClient({ llm: { provider: "evolution", apiKey: "your key", model: "some-model" }, fetch })
console.log((await fixed.generateText("What do you see?")).text)
// Output:
// POST /api/v1/auth/token
// Set(1) { 'Bearer token-1' }
// POST /api/v1/auth/token
// Bearer token-2
// Api-Key your key
