/** Finds the model's address and key from flags and environment. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type BadInput, badInput } from "./ending.ts"
import type { Endpoint } from "./floors.ts"

/** What the person said about the model. */
export interface Asked {
  readonly baseUrl: Option.Option<string>
  readonly model: Option.Option<string>
  readonly apiKeyEnv: Option.Option<string>
}

interface Known {
  readonly provider: string
  readonly variable: string
  readonly baseUrl: string
  readonly model?: string
}

const defaultUrl = "https://api.openai.com/v1"

const known: ReadonlyArray<Known> = [
  { provider: "openai", variable: "OPENAI_API_KEY", baseUrl: defaultUrl },
  // Their documentation names this address and the small model, 2026-11.
  {
    provider: "deepseek",
    variable: "DEEPSEEK_API_KEY",
    baseUrl: "https://api.deepseek.com",
    model: "deepseek-flash"
  }
]

/** Where a model would be asked, before one is named. */
export interface Place extends Omit<Endpoint, "model"> {
  /** Absent where none is named and the provider has no small one that we know. */
  readonly model: string | undefined
}

/** The variables whose keys are looked at, in this order. */
const candidatesOf = (asked: Asked, baseUrl: string | undefined): ReadonlyArray<Known> =>
  Option.isSome(asked.apiKeyEnv)
    ? [{ provider: "openai", variable: asked.apiKeyEnv.value, baseUrl: defaultUrl }]
    : ordered(baseUrl)

/** Each variable that may hold a key, and whether it does. */
export const variables = (
  asked: Asked
): Effect.Effect<ReadonlyArray<readonly [name: string, isSet: boolean]>, BadInput> =>
  Effect.forEach(candidatesOf(asked, undefined), ({ variable }) =>
    Effect.map(readKey(variable), (key) => [variable, key !== undefined] as const)
  )

/** Flags first, then the provider whose key is set, the first of several. */
export const find = Effect.fnUntraced(function* (asked: Asked): Effect.fn.Return<Place, BadInput> {
  const baseUrl = Option.isSome(asked.baseUrl) ? yield* checkUrl(asked.baseUrl.value) : undefined
  const named = Option.getOrUndefined(asked.model)
  const candidates = candidatesOf(asked, baseUrl)
  for (const candidate of candidates) {
    const apiKey = yield* readKey(candidate.variable)
    if (apiKey === undefined) continue
    const model = named ?? candidate.model
    return { provider: candidate.provider, baseUrl: baseUrl ?? candidate.baseUrl, model, apiKey }
  }
  // A server of one's own may want no key; the providers themselves do, and so does who names a variable for it.
  const isOwn = baseUrl !== undefined && Option.isNone(asked.apiKeyEnv) && ownersOf(baseUrl).length === 0
  if (isOwn) return { provider: "openai", baseUrl, model: named, apiKey: undefined }
  const names = candidates.map(({ variable }) => variable).join(" or ")
  return yield* badInput(
    `no API key: set ${names}` +
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
  return known.filter((candidate) => new URL(candidate.baseUrl).host === host)
}

/** An address of one of the known providers wants that provider's key first. */
const ordered = (baseUrl: string | undefined): ReadonlyArray<Known> => {
  if (baseUrl === undefined) return known
  const owner = ownersOf(baseUrl)
  return [...owner, ...known.filter((candidate) => !owner.includes(candidate))]
}

const readKey = (variable: string): Effect.Effect<Redacted.Redacted<string> | undefined, BadInput> =>
  Config.option(Config.Redacted(variable)).pipe(
    Effect.map((key) => Option.getOrUndefined(Option.filter(key, (secret) => Redacted.value(secret).trim() !== ""))),
    Effect.mapError(() => badInput(`the environment variable ${variable} cannot be read as a key`))
  )

const checkUrl = (text: string): Effect.Effect<string, BadInput> => {
  const wrong = badInput(
    `--base-url ${JSON.stringify(text)} is not an http or https URL; give one such as https://api.openai.com/v1`
  )
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") return Effect.fail(wrong)
  if (url.username !== "" || url.password !== "")
    return Effect.fail(badInput("--base-url holds a user name or password; give the key in an environment variable"))
  return Effect.succeed(text.replace(/\/+$/, ""))
}
