/** The contract of every Llm, through the promise client: each provider, and what is made of several. */
import { Effect, Layer, Stream } from "effect"
import { Llm, LlmError } from "holdfast/llm"
import { createClient, type LlmOptions } from "holdfast/promise"
import { llmContract, over } from "../contract/Llm.ts"
import type { Name } from "../fixtures/endpoint.ts"

const isLlmError = (error: unknown): error is LlmError.LlmError => error instanceof LlmError.LlmError

/** What a promise rejects with is what the effect fails with; anything else is a defect. */
const failing = (error: unknown): LlmError.LlmError => {
  if (isLlmError(error)) return error
  throw error
}

/** A client as an `Llm`, so that the one suite asks both. */
const through = (llm: LlmOptions): Layer.Layer<Llm.Llm> =>
  Layer.effect(
    Llm.Llm,
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => createClient({ llm, retry: { base: 1 } })),
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

const apiKey = "sk-test"
const model = "some-model"

const contract = (
  name: string,
  provider: Name,
  options: (baseUrl: string) => LlmOptions,
  able: Parameters<typeof llmContract>[2]
) =>
  llmContract(
    `createClient, ${name},`,
    over(provider, (url) => through(options(url))),
    able
  )

contract("openai", "openai", (baseUrl) => ({ provider: "openai", apiKey, baseUrl, model }), { reasoningTools: false })

contract("deepseek", "deepseek", (baseUrl) => ({ provider: "deepseek", apiKey, baseUrl, model }), {
  images: false,
  files: false,
  refusal: "empty"
})

contract("anthropic", "anthropic", (baseUrl) => ({ provider: "anthropic", apiKey, baseUrl, model }), {
  busy: "error-529",
  refusal: "empty"
})

contract("gemini", "gemini", (baseUrl) => ({ provider: "gemini", apiKey, baseUrl, model }), {
  refusal: "empty"
})

contract(
  "a static key of Evolution",
  "openai",
  (baseUrl) => ({ provider: "evolution", apiKey, baseUrl, model, scheme: "Bearer" }),
  { reasoningTools: false }
)

const members = (baseUrl: string) =>
  [
    { provider: "openai", name: "a", apiKey, baseUrl, model },
    { provider: "openai", name: "b", apiKey: "sk-other", baseUrl, model }
  ] as const

contract("a pool", "openai", (baseUrl) => ({ provider: "pool", members: members(baseUrl) }), {
  reasoningTools: false,
  keys: 2
})

contract("a fallback", "openai", (baseUrl) => ({ provider: "fallback", members: members(baseUrl) }), {
  reasoningTools: false
})
