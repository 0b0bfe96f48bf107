/** Turn texts into vectors, and find the one that is nearest to a question. */
import { Effect } from "effect"
import { Embedder } from "holdfast/llm"
import { TestEmbedder } from "holdfast/testing"

// Offline, by the letters of a text. In production it is a model that knows what a text means:
// OpenAiEmbedder.layerConfig({ model: "text-embedding-3-small" }), over UndiciHttpClient.layer().
const model = TestEmbedder.layer()

const pages = [
  "Delivery: parcels arrive within three days",
  "Password: how to reset a password that you forgot",
  "Refunds: money comes back to your card within a week"
]

/** The cosine of the angle between two vectors: 1 for the same direction, about 0 for nothing in common. */
const similarity = (a: Embedder.Vector, b: Embedder.Vector): number => {
  const dot = (left: Embedder.Vector, right: Embedder.Vector): number =>
    left.reduce((sum, number, place) => sum + number * (right[place] ?? 0), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

const program = Effect.gen(function* () {
  const embedder = yield* Embedder.Embedder
  // Any number of texts: the layer splits them into requests, and keeps their order.
  const documents = yield* embedder.embed({ inputs: pages, purpose: "document" })
  const question = yield* embedder.embed({ inputs: ["I forgot my password"], purpose: "query" })
  const [asked = []] = question.vectors
  return documents.vectors
    .map((vector, place) => ({ page: pages[place] ?? "", score: similarity(asked, vector) }))
    .toSorted((a, b) => b.score - a.score)
})

const ranked = await Effect.runPromise(program.pipe(Effect.provide(model)))
for (const { page, score } of ranked) console.log(score.toFixed(2), page)
// Output:
// 0.60 Password: how to reset a password that you forgot
// 0.02 Refunds: money comes back to your card within a week
// -0.07 Delivery: parcels arrive within three days
