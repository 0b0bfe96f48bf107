/** Answer a question from documents: embed them, store them, search the nearest, and give those to a model. */
import { Effect, Layer } from "effect"
import { Embedder, Llm } from "holdfast/llm"
import { TestEmbedder, TestLlm } from "holdfast/testing"
import { SqliteVectorStore, VectorStore } from "holdfast/vector"

// Offline: vectors by the letters of a text, and a model that repeats the page that it was given first. In production:
// OpenAiEmbedder.layerConfig(…) and OpenAiLlm.layerConfig(…) over UndiciHttpClient.layer().
const model = TestLlm.layer((request) => {
  const [, page = ""] = /^- (.*)$/m.exec(JSON.stringify(request.messages).replaceAll("\\n", "\n")) ?? []
  return `As the handbook says: ${page.replace(/^\w+: /, "")}.`
})
// A file in production: { path: "handbook.db" }. Or PostgresVectorStore, ChromaVectorStore, QdrantVectorStore.
const services = Layer.mergeAll(TestEmbedder.layer(), model, SqliteVectorStore.layer({ path: ":memory:" }))

const pages = [
  { id: "delivery", text: "Delivery: parcels arrive within three days", audience: "customers" },
  { id: "password", text: "Password: how to reset a password that you forgot: ask for a link", audience: "customers" },
  { id: "vault", text: "Password: how to reset a password of the vault: ask the owner", audience: "staff" },
  { id: "refunds", text: "Refunds: money comes back to your card within a week", audience: "customers" }
]

const learn = Effect.gen(function* () {
  const store = yield* VectorStore.VectorStore
  const { vectors } = yield* Embedder.embedMany({ inputs: pages.map(({ text }) => text), purpose: "document" })
  // An id that is there already is replaced: to learn twice is to learn once.
  yield* store.upsertMany(
    pages.map(({ audience, id, text }, place) => ({ id, text, vector: vectors[place] ?? [], metadata: { audience } }))
  )
  return yield* store.count()
})

const answer = (question: string) =>
  Effect.gen(function* () {
    const store = yield* VectorStore.VectorStore
    const vector = yield* Embedder.embed(question)
    const matches = yield* store.search({ vector, limit: 2, filter: { field: "audience", eq: "customers" } })
    for (const { id, score } of matches) console.log(score.toFixed(2), id)
    const handbook = matches.map(({ text }) => `- ${text}`).join("\n")
    const { text } = yield* Llm.generateText(`Answer from this handbook:\n${handbook}\n\nQuestion: ${question}`)
    return text
  })

const program = Effect.gen(function* () {
  console.log(yield* learn, "pages")
  console.log(yield* answer("how do I reset the password that I forgot?"))
})

await Effect.runPromise(program.pipe(Effect.provide(services)))
// Output:
// 4 pages
// 0.59 password
// -0.01 refunds
// As the handbook says: how to reset a password that you forgot: ask for a link.
