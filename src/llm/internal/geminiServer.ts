/** The Gemini API, or Vertex AI, whatever it is asked: its address, and how a request shows who asks. */
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

/** Where the API is and what it is shown. The layers have these options with their defaults. */
export interface Access {
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly auth?: TokenAuth | undefined
  readonly baseUrl?: string | undefined
  readonly provider?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface Server {
  readonly provider: string
  /** Whose slots are taken: all that ask the same provider at the same address. */
  readonly key: string
  readonly auth: TokenAuth | undefined
  /** Removes known secrets from what the server says. */
  readonly redact: Redacting.Redact
  /** A request with a body of JSON. `own` headers go over those of the layer. */
  readonly post: (
    path: string,
    body: string,
    token: Redacted.Redacted<string> | undefined,
    own: Readonly<Record<string, string>> | undefined
  ) => HttpClientRequest.HttpClientRequest
}

const origin = "https://generativelanguage.googleapis.com"

/** An origin alone gets the version of the API. */
const baseUrlOf = ({ baseUrl = origin }: Access): string => {
  const base = baseUrl.replace(/\/+$/, "")
  return /^https?:\/\/[^/?#]+$/i.test(base) ? `${base}/v1beta` : base
}

export const make = (access: Access): Server => {
  const baseUrl = baseUrlOf(access)
  const { auth, provider = "gemini" } = access
  const secret = access.apiKey === undefined ? "" : Redacted.value(access.apiKey)
  const headers = Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(secret === "" ? undefined : { "x-goog-api-key": secret }),
    ...access.headers
  })
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseUrl)}`,
    auth,
    redact: Redacting.make(access),
    post: (path, body, token, own) => {
      const ours =
        token === undefined ? headers : Headers.set(headers, "authorization", `Bearer ${Redacted.value(token)}`)
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
 * The key and the address from `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, and `GEMINI_BASE_URL`, where the options do not say
 * them. The variable's key goes to Google or to the variable's address, never to another one of the options.
 */
export const configured = <A extends Access>(access: A): Effect.Effect<A, ConfigError> =>
  Effect.gen(function* () {
    const { apiKey, auth } = access
    if (access.baseUrl !== undefined && !isGoogle(access.baseUrl)) return access
    const baseUrl = access.baseUrl ?? (yield* Environment.text("GEMINI_BASE_URL"))
    if (apiKey !== undefined || auth !== undefined) return { ...access, baseUrl }
    const found = (yield* Environment.secret("GEMINI_API_KEY")) ?? (yield* Environment.secret("GOOGLE_API_KEY"))
    if (found === undefined && (baseUrl === undefined || isGoogle(baseUrl))) {
      return yield* Environment.missing("no API key: set GEMINI_API_KEY or GOOGLE_API_KEY")
    }
    return { ...access, apiKey: found, baseUrl }
  })

const isGoogle = (baseUrl: string): boolean => baseUrl === origin || baseUrl.startsWith(`${origin}/`)
