/** The contract of every Llm, by Gemini. */
import { Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { GeminiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { llmContract, over } from "../contract/Llm.ts"

const options = { model: "some-model", apiKey: Redacted.make("key"), policy: Policy.make({ retry: { base: 1 } }) }

llmContract(
  "GeminiLlm",
  over("gemini", (baseUrl) => Layer.provide(GeminiLlm.layer({ ...options, baseUrl }), UndiciHttpClient.layer())),
  { refusal: "empty" }
)
