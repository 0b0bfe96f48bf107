/** The contract of every Llm, by what speaks the Messages API. */
import { Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { llmContract, over } from "../contract/Llm.ts"

const options = {
  model: "some-model",
  apiKey: Redacted.make("sk-test"),
  policy: Policy.make({ retry: { base: 1 } })
}

for (const version of ["2026-10-21", "2023-06-01"] as const) {
  llmContract(
    `AnthropicLlm ${version}`,
    over("anthropic", (baseUrl) =>
      Layer.provide(AnthropicLlm.layer({ ...options, baseUrl, version }), UndiciHttpClient.layer())
    ),
    // The API says that the model refused, and mostly not why.
    { busy: "error-529", refusal: "empty" }
  )
}
