/** Start a search with promises, do something else, and await what it found when you need it, or give it up. */
import { createClient } from "holdfast/promise"

await using client = createClient({ vectors: { provider: "memory" } })
await client.vectors.upsertMany([
  { id: "paris", vector: [1, 0] },
  { id: "tokyo", vector: [0, 1] }
])

// A promise that is held: the search is under way.
const search = client.vectors.search({ vector: [0.9, 0.1], limit: 1 })
console.log("something else is done")
const [nearest] = await search
console.log(`found: ${nearest?.id}`)

// One that nobody wants any more is given up by its signal.
const controller = new AbortController()
const unwanted = client.vectors.search({ vector: [0.1, 0.9], limit: 1 }, { signal: controller.signal })
controller.abort(new Error("the user went away"))
await unwanted.catch((error: Error) => console.log(`given up: ${error.message}`))
// Output:
// something else is done
// found: paris
