/** Finds the model's address and key from flags and environment. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type BadInput, badInput } from "./ending.ts"
import type { Endpoint, Provider } from "./floors.ts"

/** What the person said about the model. */
export interface Asked {
  readonly provider: Option.Option<Provider>
  readonly baseUrl: Option.Option<string>
  readonly model: Option.Option<string>
  readonly apiKeyEnv: Option.Option<string>
}

interface Known {
  readonly provider: Provider
  /** The variable with the key. */
  readonly variable: string
  /** The variable with its other half, for keys in pairs. */
  readonly secretVariable?: string
  readonly baseUrl: string | undefined
  /** The variable that may hold another address. */
  readonly addressVariable?: string
  readonly model?: string
}

const openai: Known = {
  provider: "openai",
  variable: "OPENAI_API_KEY",
  addressVariable: "OPENAI_BASE_URL",
  baseUrl: "https://api.openai.com/v1"
}

const gemini: Omit<Known, "variable"> = {
  provider: "gemini",
  addressVariable: "GEMINI_BASE_URL",
  baseUrl: "https://generativelanguage.googleapis.com/v1beta"
}

const known: ReadonlyArray<Known> = [
  openai,
  {
    provider: "deepseek",
    variable: "DEEPSEEK_API_KEY",
    addressVariable: "DEEPSEEK_BASE_URL",
    // Their documentation names this address and the small model, 2026-11.
    baseUrl: "https://api.deepseek.com",
    model: "deepseek-flash"
  },
  {
    provider: "anthropic",
    variable: "ANTHROPIC_API_KEY",
    addressVariable: "ANTHROPIC_BASE_URL",
    baseUrl: "https://api.anthropic.com"
  },
  { ...gemini, variable: "GEMINI_API_KEY" },
  { ...gemini, variable: "GOOGLE_API_KEY" },
  // A pair of keys opens an endpoint of one's own, whose one model is called so.
  {
    provider: "evolution",
    variable: "EVOLUTION_KEY_ID",
    secretVariable: "EVOLUTION_SECRET",
    addressVariable: "EVOLUTION_BASE_URL",
    baseUrl: undefined,
    model: "default"
  },
  {
    provider: "evolution",
    variable: "EVOLUTION_API_KEY",
    addressVariable: "EVOLUTION_BASE_URL",
    baseUrl: "https://foundation-models.api.cloud.ru/v1"
  }
]

/** Where a model would be asked, before one is named. */
export interface Place extends Omit<Endpoint, "model"> {
  /** Absent where none is named and the provider has no small one that we know. */
  readonly model: string | undefined
}

/** The variables whose keys are looked at, in this order. */
const candidatesOf = (asked: Asked, baseUrl: string | undefined): ReadonlyArray<Known> => {
  const provider = Option.getOrUndefined(asked.provider)
  if (Option.isSome(asked.apiKeyEnv)) {
    const { secretVariable: _pair, ...one } = known.find((candidate) => candidate.provider === provider) ?? openai
    return [{ ...one, variable: asked.apiKeyEnv.value }]
  }
  return ordered(baseUrl, provider)
}

/** Each variable that may hold a key, and whether it does. */
export const variables = (
  asked: Asked
): Effect.Effect<ReadonlyArray<readonly [name: string, isSet: boolean]>, BadInput> =>
  Effect.forEach(
    candidatesOf(asked, undefined).flatMap(({ secretVariable, variable }) =>
      secretVariable === undefined ? [variable] : [variable, secretVariable]
    ),
    (variable) => Effect.map(readSecret(variable), (key) => [variable, key !== undefined] as const)
  )

/** Flags first, then the provider whose key is set, the first of several. */
export const find = Effect.fnUntraced(function* (asked: Asked): Effect.fn.Return<Place, BadInput> {
  const baseUrl = Option.isSome(asked.baseUrl) ? yield* checkUrl(asked.baseUrl.value, "--base-url") : undefined
  const named = Option.getOrUndefined(asked.model)
  const candidates = candidatesOf(asked, baseUrl)
  for (const candidate of candidates) {
    const key = yield* readKey(candidate)
    if (key === undefined) continue
    const place = baseUrl ?? (yield* addressOf(candidate))
    return { provider: candidate.provider, baseUrl: place, model: named ?? candidate.model, ...key }
  }
  // A server of one's own may want no key; the providers themselves do, and so does who names a variable for it.
  const isOwn = baseUrl !== undefined && Option.isNone(asked.apiKeyEnv) && ownersOf(baseUrl).length === 0
  if (isOwn) {
    const provider = Option.getOrElse(asked.provider, () => "openai" as const)
    return { provider, baseUrl, model: named, apiKey: undefined, secret: undefined }
  }
  const names = candidates.map(({ secretVariable, variable }) =>
    secretVariable === undefined ? variable : `${variable} with ${secretVariable}`
  )
  const list = names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`
  return yield* badInput(
    `no API key: set ${list}` +
      `${Option.isSome(asked.apiKeyEnv) ? "" : ", or name another variable with --api-key-env"}; solve --offline needs no key`
  )
})

/** The same, with a model. */
export const resolve = Effect.fnUntraced(function* (asked: Asked): Effect.fn.Return<Endpoint, BadInput> {
  const { model = "", ...place } = yield* find(asked)
  if (model.trim() === "") return yield* badInput(`no model is named for ${place.baseUrl}; add --model NAME`)
  return { ...place, model }
})

/** The known providers at this address. */
const ownersOf = (baseUrl: string): ReadonlyArray<Known> => {
  const { host } = new URL(baseUrl)
  return known.filter((candidate) => candidate.baseUrl !== undefined && new URL(candidate.baseUrl).host === host)
}

/** The provider's address, or the one that its variable names. */
const addressOf = ({ addressVariable, baseUrl, provider }: Known): Effect.Effect<string, BadInput> => {
  if (addressVariable === undefined) return Effect.succeed(baseUrl ?? "")
  const named = Effect.map(Config.option(Config.String(addressVariable)), Option.getOrUndefined)
  return Effect.matchEffect(named, {
    onFailure: () => Effect.fail(badInput(`the environment variable ${addressVariable} cannot be read`)),
    onSuccess: (text = baseUrl) =>
      text === undefined
        ? Effect.fail(badInput(`${provider} has no address of its own: set ${addressVariable} or add --base-url`))
        : checkUrl(text, addressVariable)
  })
}

/**
 * An address of a known provider wants that provider's key first. Another server speaks as OpenAI does, and gets OpenAI's
 * key, as from every client of that kind, and nobody else's unless the provider is named.
 */
const ordered = (baseUrl: string | undefined, provider: Provider | undefined): ReadonlyArray<Known> => {
  if (provider !== undefined) return known.filter((candidate) => candidate.provider === provider)
  if (baseUrl === undefined) return known
  const owner = ownersOf(baseUrl)
  return owner.length === 0 ? [openai] : [...owner, ...known.filter((candidate) => !owner.includes(candidate))]
}

const readSecret = (variable: string): Effect.Effect<Redacted.Redacted<string> | undefined, BadInput> =>
  Config.option(Config.Redacted(variable)).pipe(
    Effect.map((key) => Option.getOrUndefined(Option.filter(key, (secret) => Redacted.value(secret).trim() !== ""))),
    Effect.mapError(() => badInput(`the environment variable ${variable} cannot be read as a key`))
  )

/** What opens a provider; `undefined` where not all of it is set. */
const readKey = Effect.fnUntraced(function* ({
  secretVariable,
  variable
}: Known): Effect.fn.Return<Pick<Endpoint, "apiKey" | "secret"> | undefined, BadInput> {
  const apiKey = yield* readSecret(variable)
  if (apiKey === undefined) return undefined
  if (secretVariable === undefined) return { apiKey, secret: undefined }
  const secret = yield* readSecret(secretVariable)
  return secret === undefined ? undefined : { apiKey, secret }
})

const checkUrl = (text: string, where: string): Effect.Effect<string, BadInput> => {
  const wrong = badInput(
    `${where} ${JSON.stringify(text)} is not an http or https URL; give one such as https://api.openai.com/v1`
  )
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") return Effect.fail(wrong)
  if (url.username !== "" || url.password !== "")
    return Effect.fail(badInput(`${where} holds a user name or password; give the key in an environment variable`))
  return Effect.succeed(text.replace(/\/+$/, ""))
}
