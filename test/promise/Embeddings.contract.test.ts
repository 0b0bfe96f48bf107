/** The contract of every Embedder, through the promise client. */
import { Effect, Layer } from "effect"
import { Embedder, Spending } from "holdfast/llm"
import { type ClientOptions, createClient, EmbedderError, type EmbedderOptions } from "holdfast/promise"
import { embedderContract, over } from "../contract/Embedder.ts"

/** What a promise rejects with is what the effect fails with; anything else is a defect. */
const failing = (error: unknown): EmbedderError => {
  if (error instanceof EmbedderError) return error
  throw error
}

/** A client as an `Embedder`, so that the one suite asks both. */
const through = (embedder: EmbedderOptions, more?: Pick<ClientOptions, "fetch">): Layer.Layer<Embedder.Embedder> =>
  Layer.effect(
    Embedder.Embedder,
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => createClient({ embedder, ...more, retry: { base: 1 } })),
        (client) => Effect.promise(() => client.close())
      ),
      (client) =>
        Embedder.Embedder.of({
          embed: ({ inputs, ...rest }) =>
            Effect.tap(
              Effect.tryPromise({ try: (signal) => client.embedMany(inputs, { ...rest, signal }), catch: failing }),
              // A promise has no listener around it: its answer tells what was used.
              ({ cost, model, usage }) =>
                Effect.map(Spending.Current, (listener) =>
                  listener?.add({ provider: embedder.provider, model, usage, cost, outcome: "ok" })
                )
            )
        })
    )
  )

const shared = { apiKey: "sk-test", model: "some-model" }

embedderContract(
  "createClient, openai,",
  over("openai", (baseUrl) => through({ provider: "openai", baseUrl, ...shared }))
)

embedderContract(
  "createClient, gemini,",
  over("gemini", (baseUrl) => through({ provider: "gemini", baseUrl, ...shared })),
  { counts: false }
)

embedderContract(
  "createClient, openai over fetch,",
  over("openai", (baseUrl) => through({ provider: "openai", baseUrl, ...shared }, { fetch }))
)
