/**
 * `HttpClient.withScope` notes its request in a place that only Effect's own `HttpClient.make` reads. So a client is
 * made there that does nothing but tell what it was given.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import * as Tracer from "effect/Tracer"

/** The signal that is aborted when the request's scope closes; for a request without one it never is. */
export const scopeSignal = (request: HttpClientRequest): Effect.Effect<AbortSignal | undefined> => {
  let found: AbortSignal | undefined
  const teller = HttpClient.make((request, _url, signal) => {
    found = signal
    return Effect.fail(new HttpClientError({ reason: new TransportError({ request }) }))
  })
  return Effect.map(
    Effect.exit(Effect.provideService(teller.execute(request), Tracer.DisablePropagation, true)),
    () => found
  )
}
