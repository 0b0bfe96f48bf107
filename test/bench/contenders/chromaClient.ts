import { ChromaClient } from "chromadb"
import type { Contender } from "../Contender.ts"
import { kept } from "../vectors.ts"

export const contender: Contender = {
  name: "chromadb",
  ...kept(async (url) => {
    const { hostname: host, port } = new URL(url)
    const client = new ChromaClient({ host, port: Number(port), ssl: false })
    const collection = await client.createCollection({
      name: `client-${process.pid}`,
      configuration: { hnsw: { space: "cosine" } },
      embeddingFunction: null
    })
    return {
      upsert: (items) =>
        collection.upsert({ ids: items.map(({ id }) => id), embeddings: items.map(({ vector }) => vector) }),
      search: (vector) => collection.query({ queryEmbeddings: [vector], nResults: 10 }),
      searchTen: (vectors) => collection.query({ queryEmbeddings: [...vectors], nResults: 10 }),
      close: async () => {}
    }
  })
}
