/** The wire of `client.chat`: the server that `createClient` is told of, asked in the shapes of the `openai` package. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { access, type Names } from "../../llm/internal/environment.ts"
import * as Evolution from "../../llm/internal/evolution.ts"
import type { DeepSeekOptions, EvolutionOptions, LlmOptions, OpenAiOptions } from "../Model.ts"
import { environment, keyOptions, missing, secret, type Shared } from "./connected.ts"
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

type Fit = OpenAiOptions | DeepSeekOptions | EvolutionOptions

/** A pool or another provider has no chat completions of the package's shape. */
const isFit = (llm: LlmOptions | undefined): llm is Fit =>
  llm?.provider === "openai" || llm?.provider === "deepseek" || llm?.provider === "evolution"

/** Where a server is, and how it is shown who asks. */
interface Access extends Pick<Settings, "tokens"> {
  readonly baseURL: string
  /** Of a key that stays. */
  readonly authorization?: string | undefined
}

const withKey = (llm: OpenAiOptions | DeepSeekOptions): Effect.Effect<Access, ConfigError> => {
  const provider = llm.provider === "openai" ? openai : deepseek
  const scheme = llm.provider === "openai" ? (llm.scheme ?? "Bearer") : "Bearer"
  const known = access({ apiKey: secret(llm.apiKey), baseUrl: llm.baseUrl }, provider)
  return Effect.map(known, ({ apiKey, baseUrl = provider.baseUrl }) => ({
    baseURL: baseUrl,
    authorization: apiKey === undefined ? undefined : `${scheme} ${Redacted.value(apiKey)}`
  }))
}

/** The tokens of a key pair. */
const tokensOf =
  ({ keyId, secret, tokenUrl: url }: Evolution.KeyPair): Settings["tokens"] =>
  (http) =>
    Effect.flatMap(
      Effect.promise(() => import("../../llm/TokenAuth.ts")),
      ({ evolution }) => Effect.provideService(evolution({ keyId, secret, url }), HttpClient, http)
    )

const ofEvolution = (llm: EvolutionOptions): Effect.Effect<Access, ConfigError> => {
  const { baseUrl, keyId, scheme = Evolution.defaultScheme, tokenUrl } = llm
  const given = { keyId, secret: secret(llm.secret), apiKey: secret(llm.apiKey), baseUrl, tokenUrl }
  return Effect.map(Evolution.access(given), (known) => {
    if ("keyId" in known) return { baseURL: known.baseUrl, tokens: tokensOf(known) }
    const { apiKey, baseUrl: baseURL = Evolution.foundationModels } = known
    return { baseURL, authorization: `${scheme} ${Redacted.value(apiKey)}` }
  })
}

const settingsOf = (llm: Fit, { fetch, policy }: Shared): Effect.Effect<Settings, OpenAIError> => {
  const { headers, provider } = llm
  const known = llm.provider === "evolution" ? ofEvolution(llm) : withKey(llm)
  return Effect.mapBoth(known, {
    onFailure: (error) => new OpenAIError(missing(error, keyOptions(provider, "llm"))),
    onSuccess: ({ authorization, baseURL, tokens }): Settings => ({
      provider,
      apiKey: undefined,
      tokens,
      organization: null,
      project: null,
      baseURL,
      timeout: policy.timeout.attemptMillis,
      maxRetries: policy.retry.retries,
      headers: mergeHeaders([authorization === undefined ? undefined : { authorization }, headers]),
      query: {},
      fetch,
      policy
    })
  })
}

/** The wire of these options; a call fails where they name a model that does not speak the package's language. */
export const layer = (llm: LlmOptions | undefined, shared: Shared): Layer.Layer<Wire, OpenAIError> => {
  if (!isFit(llm)) {
    const given = llm === undefined ? "no llm" : `llm.provider ${JSON.stringify(llm.provider)}`
    const said = `client.chat is for llm.provider "openai", "deepseek" or "evolution", and createClient was given ${given}; ask by generateText`
    return Layer.unwrap(Effect.fail(new OpenAIError(said)))
  }
  return Layer.provide(Layer.unwrap(Effect.map(settingsOf(llm, shared), OpenAiWire.layer)), environment)
}
