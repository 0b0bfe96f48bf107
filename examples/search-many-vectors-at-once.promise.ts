/** Run ten searches in the time of one with promises: all of them at once, or all in one request. */
import { createClient } from "holdfast/promise"

// In place of a Chroma server. It answers no search before ten of them are there: in the time of one, or never.
let requests = 0
const { promise: allAreThere, resolve } = Promise.withResolvers<void>()
const fetch: typeof globalThis.fetch = async (input, init) => {
  const request = new Request(input, init)
  if (request.url.endsWith("/pre-flight-checks")) return Response.json({ max_batch_size: 1000 })
  if (!request.url.endsWith("/query")) return Response.json({ id: "1" })
  if (++requests === 10) resolve()
  await allAreThere
  const { query_embeddings: queries }: { query_embeddings: Array<[number]> } = await request.json()
  return Response.json({ ids: queries.map(([n]) => [`item ${n}`]), distances: queries.map(() => [0.1]) })
}

await using client = createClient({ vectors: { provider: "chroma" }, fetch })
const queries = Array.from({ length: 10 }, (_, n) => ({ vector: [n, 1], limit: 1 }))

// Ten requests that are under way together, whatever each of them asks for.
const found = await Promise.all(queries.map((query) => client.vectors.search(query)))
console.log(found.map(([match]) => match?.id).join(", "))
console.log(`${requests} requests at the same time`)

// One request, where the store has one for many queries.
requests = 0
const same = await client.vectors.searchMany(queries)
console.log(same.map(([match]) => match?.id).join(", "))
console.log(`${requests} request`)
// Output:
// item 0, item 1, item 2, item 3, item 4, item 5, item 6, item 7, item 8, item 9
// 10 requests at the same time
// item 0, item 1, item 2, item 3, item 4, item 5, item 6, item 7, item 8, item 9
// 1 request
