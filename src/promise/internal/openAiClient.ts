/** The wire of `client.chat`: the server that `createClient` is told of, asked in the shapes of the `openai` package. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { access, type Names } from "../../llm/internal/environment.ts"
import type { DeepSeekOptions, LlmOptions, OpenAiOptions } from "../Model.ts"
import { environment, missing, secret, type Shared } from "./connected.ts"
import type { Wire } from "./openAiCalls.ts"
import { OpenAIError } from "./openAiErrors.ts"
import { mergeHeaders, type Settings } from "./openAiOptions.ts"
import * as OpenAiWire from "./openAiWire.ts"

interface Provider extends Names {
  /** Where its chat completions are. */
  readonly baseUrl: string
}

const openai: Provider = {
  keys: ["OPENAI_API_KEY"],
  address: "OPENAI_BASE_URL",
  origin: "https://api.openai.com",
  baseUrl: "https://api.openai.com/v1"
}

const deepseek: Provider = {
  keys: ["DEEPSEEK_API_KEY"],
  address: "DEEPSEEK_BASE_URL",
  origin: "https://api.deepseek.com",
  baseUrl: "https://api.deepseek.com"
}

/** A pool or another provider has no chat completions of the package's shape. */
const isFit = (llm: LlmOptions | undefined): llm is OpenAiOptions | DeepSeekOptions =>
  llm?.provider === "openai" || llm?.provider === "deepseek"

const settingsOf = (
  llm: OpenAiOptions | DeepSeekOptions,
  { fetch, policy }: Shared
): Effect.Effect<Settings, OpenAIError> => {
  const provider = llm.provider === "openai" ? openai : deepseek
  const known = access({ apiKey: secret(llm.apiKey), baseUrl: llm.baseUrl }, provider)
  return Effect.map(
    Effect.mapError(known, (error) => new OpenAIError(missing(error, "llm.apiKey"))),
    ({ apiKey, baseUrl = provider.baseUrl }): Settings => {
      const key = apiKey === undefined ? undefined : Redacted.value(apiKey)
      const scheme = llm.provider === "openai" ? (llm.scheme ?? "Bearer") : "Bearer"
      const { attemptMillis: timeout } = policy.timeout
      return {
        apiKey: undefined,
        organization: null,
        project: null,
        baseURL: baseUrl,
        timeout,
        maxRetries: policy.retry.retries,
        headers: mergeHeaders([key === undefined ? undefined : { authorization: `${scheme} ${key}` }, llm.headers]),
        query: {},
        fetch,
        policy
      }
    }
  )
}

/** The wire of these options; a call fails where they name a model that does not speak the package's language. */
export const layer = (llm: LlmOptions | undefined, shared: Shared): Layer.Layer<Wire, OpenAIError> => {
  if (!isFit(llm)) {
    const given = llm === undefined ? "no llm" : `llm.provider ${JSON.stringify(llm.provider)}`
    const said = `client.chat is for llm.provider "openai" or "deepseek", and createClient was given ${given}; ask by generateText`
    return Layer.unwrap(Effect.fail(new OpenAIError(said)))
  }
  return Layer.provide(Layer.unwrap(Effect.map(settingsOf(llm, shared), OpenAiWire.layer)), environment)
}
