/** Let every call of a vector store hold when its server is down for a moment, with promises. */
import { createClient } from "holdfast/promise"

// In place of a Chroma server that is down at each second request. In production there is no `fetch`.
let requests = 0
const fetch: typeof globalThis.fetch = async (input, init) => {
  const { url } = new Request(input, init)
  if (++requests % 2 === 1) return new Response("{}", { status: 503 })
  if (url.endsWith("/pre-flight-checks")) return Response.json({ max_batch_size: 1000 })
  if (!url.endsWith("/query")) return Response.json({ id: "1" })
  return Response.json({ ids: [["paris"]], distances: [[0.1]] })
}

// Two retries are the default, for stores, models and `client.http` alike. `onRetry` is told of each.
await using client = createClient({
  vectors: { provider: "chroma" },
  fetch,
  retry: { base: "1 millis", onRetry: ({ key, retry }) => console.log(`${key}: retry ${retry}`) }
})

const [nearest] = await client.vectors.search({ vector: [1, 0], limit: 1 })
console.log(`${nearest?.id}, after ${requests} requests`)
// Output:
// chroma http://localhost:8000: retry 1
// chroma http://localhost:8000: retry 1
// chroma http://localhost:8000: retry 1
// paris, after 6 requests
