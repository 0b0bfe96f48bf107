/**
 * The headers that carry credentials: they are not shown in spans and logs, and they do not follow a redirect to another
 * origin.
 */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"

/** What providers, vector stores and proxies call them, in lower case, beside what Effect redacts by default. */
export const names: ReadonlyArray<string> = [
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key", // Anthropic, Qdrant, E2B
  "api-key", // Azure OpenAI, Qdrant
  "x-goog-api-key", // Gemini
  "x-chroma-token",
  "x-access-token", // E2B
  "e2b-traffic-access-token",
  "x-auth-token",
  "x-amz-security-token",
  "x-csrf-token",
  "x-xsrf-token"
]

const known = new Set(names)

/** Whether a header is one of them, or is redacted by the program around (`Headers.CurrentRedactedNames`). */
export const isSecret = (name: string, redactedNames: ReadonlyArray<string | RegExp> = []): boolean =>
  known.has(name.toLowerCase()) || Headers.isRedactedName(name, redactedNames)

/** The request without them. */
export const remove = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientRequest.HttpClientRequest> =>
  Effect.withFiber((fiber) => {
    const redactedNames = fiber.getRef(Headers.CurrentRedactedNames)
    const secret = Object.keys(request.headers).filter((name) => isSecret(name, redactedNames))
    return Effect.succeed(secret.reduce((kept, name) => HttpClientRequest.removeHeader(kept, name), request))
  })

/** The parameters of a URL that carry credentials, beside the signatures that Effect redacts by default. */
export const parameters: ReadonlyArray<string> = [
  "key", // Gemini
  "api_key",
  "api-key",
  "apikey",
  "access_token",
  "auth_token",
  "refresh_token",
  "id_token",
  "token",
  "client_secret",
  "secret",
  "password"
]

/** Redacts both wherever Effect prints them: spans, logs, `toJSON`. Adds to what the program redacts already. */
export const layer: Layer.Layer<never> = Layer.merge(
  Layer.effect(
    Headers.CurrentRedactedNames,
    Effect.map(Headers.CurrentRedactedNames, (redacted) => [...new Set([...redacted, ...names])])
  ),
  Layer.effect(
    UrlParams.CurrentRedactedNames,
    Effect.map(UrlParams.CurrentRedactedNames, (redacted) => [...new Set([...redacted, ...parameters])])
  )
)
