/** The contract of every Llm, by a pool that has found out which of its keys is revoked. */
import { Effect, Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, LlmPool, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { llmContract, over } from "../contract/Llm.ts"

const policy = Policy.make({ retry: { base: 1 } })

const pool = (baseUrl: string) =>
  LlmPool.make(
    ["bad-key", "sk-test"].map((key) => ({
      llm: OpenAiLlm.layer({ model: "some-model", apiKey: Redacted.make(key), policy, baseUrl })
    }))
  )

llmContract(
  "LlmPool",
  over("openai", (baseUrl) =>
    Layer.effect(
      Llm.Llm,
      Effect.tap(pool(baseUrl), (llm) => llm.generateText(Llm.toRequest("text")))
    ).pipe(Layer.provide(UndiciHttpClient.layer()))
  ),
  // OpenAI's own models do not show what they think.
  { reasoningTools: false }
)
