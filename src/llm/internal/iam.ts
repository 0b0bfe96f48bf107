/**
 * The token endpoint of Cloud.ru's IAM: `POST {keyId, secret}` gives `{access_token, expires_in}`.
 *
 * github.com/cloud-ru-tech/evolution-openai-python 1.0.4, `token_manager.py` (2026-11). Its `refresh_token` is empty: a
 * new token is the same call again.
 */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Redacted from "effect/Redacted"
import * as RetryAfter from "../../http/RetryAfter.ts"
import { InvalidRequest, InvalidResponse, type Reason, Unauthorized, Unreachable } from "../LlmError.ts"
import type { EvolutionOptions, Token } from "../TokenAuth.ts"
import { reasonOfHttpError } from "../../http/internal/serviceReason.ts"
import { parsed, record, text } from "./json.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import { reasonOfStatus } from "./statusReason.ts"
import { unredirected } from "../../http/internal/unredirected.ts"

export interface Endpoint {
  readonly url: string
  /** The address as errors show it. */
  readonly name: string
  readonly keyId: string
  readonly secret: Redacted.Redacted<string>
}

export const endpoint = ({
  keyId,
  secret,
  url = "https://iam.api.cloud.ru/api/v1/auth/token"
}: EvolutionOptions): Endpoint => ({ url, name: `the token endpoint ${UrlParams.redactUrl(url)}`, keyId, secret })

/** A token has about 1300 bytes; the other fields around it have no more. */
const maxBytes = ByteSize.kibibytes(64)

/** Asks once for a token. */
export const fetch = (http: HttpClient.HttpClient, endpoint: Endpoint): Effect.Effect<Token, Reason> => {
  const exchanged = Effect.suspend(() =>
    Effect.flatMap(http.execute(requestOf(endpoint)), (response) =>
      Effect.map(response.text, (body) => ({ response, body }))
    )
  )
  const limited = Effect.provideService(unredirected(exchanged), HttpIncomingMessage.MaxBodySize, maxBytes)
  return Effect.matchEffect(limited, {
    onFailure: (error) => Effect.fail(reasonOfError(error, endpoint)),
    onSuccess: ({ body, response }) => {
      if (response.status >= 200 && response.status < 300) return tokenOf(body, endpoint)
      return Effect.clockWith((clock) =>
        Effect.fail(reasonOf(response, body, clock.currentTimeMillisUnsafe(), endpoint))
      )
    }
  })
}

const requestOf = ({ keyId, secret, url }: Endpoint): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.post(url, {
    headers: { accept: "application/json", "content-type": "application/json" },
    body: HttpBody.raw(JSON.stringify({ keyId, secret: Redacted.value(secret) }), { contentType: "application/json" })
  })

/** Never with the beginning of what came: a token under another name would be in it. */
const tokenOf = (body: string, { name }: Endpoint): Effect.Effect<Token, Reason> => {
  const fields = record(parsed(body))
  const value = text(fields?.access_token) ?? ""
  if (value === "") return Effect.fail(new InvalidResponse({ description: `${name} answers without an access_token` }))
  // Some servers write it as a text; where none is told, or none that makes sense, the token's default life stands.
  const seconds = Number(fields?.expires_in)
  const expiresIn = seconds > 0 && seconds < Infinity ? Duration.seconds(seconds) : undefined
  return Effect.succeed({ value: Redacted.make(value), expiresIn })
}

const reasonOf = (
  { headers, status }: HttpClientResponse,
  body: string,
  nowMillis: number,
  { keyId, name, secret }: Endpoint
): Reason => {
  const json = parsed(body)
  const words = oneLine((saidIn(json) ?? "").replaceAll(Redacted.value(secret), "<redacted>"))
  const said = words === "" ? "" : `: ${words}`
  if (status === 401 || status === 403) {
    return new Unauthorized({ status, description: `${name} refuses the key pair with the keyId "${keyId}"${said}` })
  }
  if (status < 400) {
    return new InvalidRequest({ status, description: `${name} answers with the redirect ${status}; correct its URL` })
  }
  const description = `${name} answers with status ${status}${said}`
  // Not the model's throttle, and not a failure of the model: nothing of the call that waits was sent.
  if (status >= 500 || status === 429 || status === 408) return new Unreachable({ description })
  const hint = RetryAfter.readAt({ status, headers, body: json }, nowMillis)
  return reasonOfStatus(status, description, hint, {})
}

/** The words of an error; what is no JSON is a page of a proxy, and tells less than the status. */
const saidIn = (json: unknown): string | undefined => {
  const fields = record(json)
  return (
    text(fields?.message) ??
    text(fields?.error_description) ??
    text(record(fields?.error)?.message) ??
    text(fields?.error) ??
    text(fields?.detail)
  )
}

/** Whatever became of the request for a token, nothing of the call that waits for it was sent. */
const reasonOfError = (error: HttpClientError, { name }: Endpoint): Reason => {
  const reason = reasonOfHttpError(error)
  switch (reason._tag) {
    case "Unreachable":
    case "ConnectionLost":
      return new Unreachable({ description: `${name}: ${reason.description}`, cause: reason.cause })
    case "InvalidRequest":
      return new InvalidRequest({ description: `${name}: ${oneLine(error.reason.description ?? "is no URL")}` })
    case "InvalidResponse":
      return new InvalidResponse({ description: `${name}: ${reason.description}` })
    default:
      return reason
  }
}
