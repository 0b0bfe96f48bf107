/** Store vectors and search them with promises: insert one, insert many, search, search many, and stream what is found. */
import { createClient } from "holdfast/promise"

// In production a file, or a server: { provider: "sqlite", path: "vectors.db" }, { provider: "chroma" } at localhost:8000,
// { provider: "qdrant" }, { provider: "postgres", url }.
await using client = createClient({ vectors: { provider: "memory" } })
const { vectors } = client

await vectors.upsert({ id: "north", vector: [0, 1], text: "to the north" })
await vectors.upsertMany([
  { id: "east", vector: [1, 0], metadata: { year: 2026 } },
  { id: "north-east", vector: [1, 1], metadata: { year: 2020 } }
])
console.log(await vectors.count(), "vectors")

const [nearest] = await vectors.search({ vector: [0.1, 1], limit: 1 })
console.log(nearest?.id, nearest?.score.toFixed(3), nearest?.text)

const [recent] = await vectors.search({ vector: [0.1, 1], limit: 1, filter: { field: "year", gt: 2021 } })
console.log("after 2021:", recent?.id)

// Many queries in one request, where the store has one for them.
const found = await vectors.searchMany([
  { vector: [1, 0.1], limit: 1 },
  { vector: [1, 0.9], limit: 1 }
])
console.log(found.map(([match]) => match?.id))

for await (const { id, score } of vectors.stream({ vector: [1, 0], limit: 2 })) console.log(id, score.toFixed(2))
// Output:
// 3 vectors
// north 0.995 to the north
// after 2021: east
// [ 'east', 'north-east' ]
// east 1.00
// north-east 0.71
