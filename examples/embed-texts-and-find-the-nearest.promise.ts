/** Turn texts into vectors with promises, and find the one that is nearest to a question. */
import { once } from "node:events"
import { createServer } from "node:http"
import { json } from "node:stream/consumers"
import { createClient } from "holdfast/promise"
import { TestEmbedder } from "holdfast/testing"

// In place of a provider: a server on loopback, whose vectors go by the letters of a text.
const server = createServer(async (request, response) => {
  const { input }: Record<string, unknown> = { ...Object(await json(request)) }
  const texts: ReadonlyArray<unknown> = Array.isArray(input) ? input : []
  const data = texts.map((text, index) => ({ index, embedding: TestEmbedder.vectorOf(String(text)) }))
  response.end(JSON.stringify({ data, usage: { prompt_tokens: 1, total_tokens: 1 } }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

const pages = [
  "Delivery: parcels arrive within three days",
  "Password: how to reset a password that you forgot",
  "Refunds: money comes back to your card within a week"
]

/** The cosine of the angle between two vectors: 1 for the same direction, about 0 for nothing in common. */
const similarity = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  const dot = (left: ReadonlyArray<number>, right: ReadonlyArray<number>): number =>
    left.reduce((sum, number, place) => sum + number * (right[place] ?? 0), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

{
  // In production without a `baseUrl`: `model: "text-embedding-3-small"`, and the key in OPENAI_API_KEY.
  await using client = createClient({
    embedder: { provider: "openai", baseUrl: `http://127.0.0.1:${port}/v1`, model: "some-model" }
  })
  // Any number of texts: they are split into requests, and keep their order.
  const { vectors } = await client.embedMany(pages, { purpose: "document" })
  const asked = await client.embed("I forgot my password", { purpose: "query" })
  const ranked = vectors
    .map((vector, place) => ({ page: pages[place] ?? "", score: similarity(asked, vector) }))
    .toSorted((a, b) => b.score - a.score)
  for (const { page, score } of ranked) console.log(score.toFixed(2), page)
}
server.close()
// Output:
// 0.60 Password: how to reset a password that you forgot
// 0.02 Refunds: money comes back to your card within a week
// -0.07 Delivery: parcels arrive within three days
