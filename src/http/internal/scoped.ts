/**
 * `HttpClient.withScope` notes its request in a place that only Effect's own `HttpClient.make` reads. So a client is
 * made there that does nothing but tell what it was given.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Tracer from "effect/Tracer"

// Made once: an error captures its stack.
const told = Effect.fail(new HttpClientError({ reason: new TransportError({ request: HttpClientRequest.empty }) }))

/** The signal that is aborted when the request's scope closes; for a request without one it never is. */
export const scopeSignal = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<AbortSignal | undefined> =>
  Effect.suspend(() => {
    let found: AbortSignal | undefined
    const teller = HttpClient.make((_request, _url, signal) => {
      found = signal
      return told
    })
    const telling = Effect.provideService(teller.execute(request), Tracer.DisablePropagation, true)
    return Effect.matchCause(telling, { onFailure: () => found, onSuccess: () => found })
  })
