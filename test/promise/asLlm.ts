/** A promise client as an `Llm`, so that the suite of every Llm asks it too. */
import { Effect, Layer, Stream } from "effect"
import { Llm, LlmError } from "holdfast/llm"
import { type ClientOptions, createClient } from "holdfast/promise"

const isLlmError = (error: unknown): error is LlmError.LlmError => error instanceof LlmError.LlmError

/** What a promise rejects with is what the effect fails with; anything else is a defect. */
const failing = (error: unknown): LlmError.LlmError => {
  if (isLlmError(error)) return error
  throw error
}

export const asLlm = (options: ClientOptions): Layer.Layer<Llm.Llm> =>
  Layer.effect(
    Llm.Llm,
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => createClient({ ...options, retry: { base: 1 } })),
        (client) => Effect.promise(() => client.close())
      ),
      (client) =>
        Llm.Llm.of({
          generateText: (request) =>
            Effect.tryPromise({ try: (signal) => client.generateText(request, { signal }), catch: failing }),
          streamText: (request) => Stream.suspend(() => Stream.fromAsyncIterable(client.streamText(request), failing))
        })
    )
  )
