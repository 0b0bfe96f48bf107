/** The contract of every Llm, by what speaks chat completions. */
import { Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { llmContract, over } from "../contract/Llm.ts"

const options = { model: "some-model", apiKey: Redacted.make("sk-test"), policy: Policy.make({ retry: { base: 1 } }) }

llmContract(
  "OpenAiLlm",
  over("openai", (baseUrl) => Layer.provide(OpenAiLlm.layer({ ...options, baseUrl }), UndiciHttpClient.layer())),
  // OpenAI's own models do not show what they think.
  { reasoningTools: false }
)

// Any server that speaks as DeepSeek does, at another address.
const deepseek = { provider: "deepseek", jsonSchema: false, thinking: "deepseek" } as const

llmContract(
  "OpenAiLlm, as DeepSeek wants it,",
  over("deepseek", (baseUrl) =>
    Layer.provide(OpenAiLlm.layer({ ...options, ...deepseek, baseUrl }), UndiciHttpClient.layer())
  ),
  { images: false, files: false, refusal: "empty" }
)
