/** The server of a model, whatever it is asked: its address, what it is shown, and how a request to it is made. */
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { TokenAuth } from "../TokenAuth.ts"
import * as Redacting from "./redacting.ts"

/** Where a server is and what it is shown. The layers have these options with their defaults. */
export interface Access {
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly auth?: TokenAuth | undefined
  readonly baseUrl?: string | undefined
  readonly provider?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** What a kind of server has in its own way. */
export interface Kind {
  readonly provider: string
  /** Without a slash at its end. */
  readonly baseUrl: string
  /** The header that shows a key. */
  readonly keyHeader: string
  /** The word before the key, with its blank. */
  readonly keyPrefix?: string | undefined
  /** The word before a token in `authorization`, with its blank. Default: `"Bearer "`. */
  readonly tokenPrefix?: string | undefined
  /** Headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

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

export const make = (access: Access, kind: Kind): Server => {
  const { auth } = access
  const { baseUrl, keyHeader, keyPrefix = "", provider, tokenPrefix = "Bearer " } = kind
  const secret = access.apiKey === undefined ? "" : Redacted.value(access.apiKey)
  const headers = Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...kind.headers,
    ...(secret === "" ? undefined : { [keyHeader]: `${keyPrefix}${secret}` }),
    ...access.headers
  })
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseUrl)}`,
    auth,
    redact: Redacting.make(access),
    post: (path, body, token, own) => {
      const ours =
        token === undefined ? headers : Headers.set(headers, "authorization", tokenPrefix + Redacted.value(token))
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

/** The headers of one request that go over those of the layer. */
export const ownHeaders = ({
  headers,
  idempotencyKey
}: {
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly idempotencyKey?: string | undefined
}): Readonly<Record<string, string>> | undefined =>
  idempotencyKey ? { ...headers, "idempotency-key": idempotencyKey } : headers
