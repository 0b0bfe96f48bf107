/** The contract of every Llm, through the promise client: each provider, what is made of several, and over `fetch`. */
import type { ClientOptions, LlmOptions } from "holdfast/promise"
import { llmContract, over } from "../contract/Llm.ts"
import type { Name } from "../fixtures/endpoint.ts"
import { asLlm } from "./asLlm.ts"

const apiKey = "sk-test"
const model = "some-model"

const contract = (
  name: string,
  provider: Name,
  options: (baseUrl: string) => LlmOptions,
  able: Parameters<typeof llmContract>[2],
  more?: Pick<ClientOptions, "fetch">
) =>
  llmContract(
    `createClient, ${name},`,
    over(provider, (url) => asLlm({ llm: options(url), ...more })),
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

// The same wire, carried by Node's own `fetch`.
const overFetch = { fetch }

contract(
  "openai over fetch",
  "openai",
  (baseUrl) => ({ provider: "openai", apiKey, baseUrl, model }),
  { reasoningTools: false },
  overFetch
)

contract(
  "anthropic over fetch",
  "anthropic",
  (baseUrl) => ({ provider: "anthropic", apiKey, baseUrl, model }),
  { busy: "error-529", refusal: "empty" },
  overFetch
)

contract(
  "gemini over fetch",
  "gemini",
  (baseUrl) => ({ provider: "gemini", apiKey, baseUrl, model }),
  { refusal: "empty" },
  overFetch
)

contract(
  "a pool over fetch",
  "openai",
  (baseUrl) => ({ provider: "pool", members: members(baseUrl) }),
  { reasoningTools: false, keys: 2 },
  overFetch
)
