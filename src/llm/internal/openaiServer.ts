/** An OpenAI-compatible server, whatever it is asked: its address, and how a request shows who asks. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { TokenAuth } from "../TokenAuth.ts"
import * as Environment from "./environment.ts"
import * as Redacting from "./redacting.ts"

/** Where a server is and what it is shown. The layers have these options with their defaults. */
export interface Access {
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly scheme?: "Bearer" | "Api-Key" | undefined
  readonly auth?: TokenAuth | undefined
  readonly baseUrl?: string | undefined
  readonly provider?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

const defaultBaseUrl = "https://api.openai.com/v1"

export interface Server {
  readonly provider: string
  /** Whose slots are taken: all that ask the same provider at the same address. */
  readonly key: string
  readonly auth: TokenAuth | undefined
  /** Removes known secrets from what the server says: some repeat the key in their errors. */
  readonly redact: Redacting.Redact
  /** A request with a body of JSON. `own` headers go over those of the layer. */
  readonly post: (
    path: string,
    body: string,
    token: Redacted.Redacted<string> | undefined,
    own: Readonly<Record<string, string>> | undefined
  ) => HttpClientRequest.HttpClientRequest
}

export const make = (access: Access): Server => {
  const baseUrl = (access.baseUrl ?? defaultBaseUrl).replace(/\/+$/, "")
  const { auth, provider = "openai", scheme = "Bearer" } = access
  const secret = access.apiKey === undefined ? "" : Redacted.value(access.apiKey)
  const headers = Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(secret === "" ? undefined : { authorization: `${scheme} ${secret}` }),
    ...access.headers
  })
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseUrl)}`,
    auth,
    redact: Redacting.make(access),
    post: (path, body, token, own) => {
      const ours =
        token === undefined ? headers : Headers.set(headers, "authorization", `${scheme} ${Redacted.value(token)}`)
      return HttpClientRequest.makeWith(
        "POST",
        `${baseUrl}${path}`,
        UrlParams.empty,
        Option.none(),
        own === undefined ? ours : Headers.setAll(ours, own),
        HttpBody.raw(body, { contentType: "application/json" })
      )
    }
  }
}

/**
 * The key and the address from `OPENAI_API_KEY` and `OPENAI_BASE_URL`, where the options do not say them. An address of
 * one's own may need no key. The variable's key goes to OpenAI or to the variable's address, never to another one of the
 * options: a server that the program names gets the key that it is given.
 */
export const configured = <A extends Access>(access: A): Effect.Effect<A, ConfigError> =>
  Effect.gen(function* () {
    const { apiKey, auth } = access
    if (access.baseUrl !== undefined && !isOpenAi(access.baseUrl)) return access
    const baseUrl = access.baseUrl ?? (yield* Environment.text("OPENAI_BASE_URL"))
    if (apiKey !== undefined || auth !== undefined) return { ...access, baseUrl }
    const found = yield* Environment.secret("OPENAI_API_KEY")
    if (found === undefined && (baseUrl === undefined || isOpenAi(baseUrl))) {
      return yield* Environment.missing("no API key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without one")
    }
    return { ...access, apiKey: found, baseUrl }
  })

const isOpenAi = (baseUrl: string): boolean => /^https:\/\/api\.openai\.com(\/|$)/.test(baseUrl)
