import { QdrantClient } from "@qdrant/js-client-rest"
import type { Contender } from "../Contender.ts"
import { dimensions, kept } from "../vectors.ts"

/** A UUID of the item's place. */
const pointOf = (id: string): string => `00000000-0000-4000-8000-${id.slice("item ".length).padStart(12, "0")}`

export const contender: Contender = {
  name: "@qdrant/js-client-rest",
  ...kept(async (url) => {
    const client = new QdrantClient({ url, checkCompatibility: false })
    const collection = `client ${process.pid}`
    await client.createCollection(collection, { vectors: { size: dimensions, distance: "Cosine" } })
    const search = (query: Array<number>) => ({ query, limit: 10, with_payload: true })
    return {
      upsert: (items) =>
        client.upsert(collection, {
          wait: true,
          points: items.map(({ id, vector }) => ({ id: pointOf(id), vector, payload: { id } }))
        }),
      search: (vector) => client.query(collection, search(vector)),
      searchTen: (vectors) => client.queryBatch(collection, { searches: vectors.map(search) }),
      close: async () => {}
    }
  })
}
