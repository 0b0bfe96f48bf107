/** Compiled, never run: what the types of HTTP promise. */
import type { Layer, Stream } from "effect"
import type { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import { EventStream, ResilientHttpClient, UndiciHttpClient } from "holdfast/http"
import { Policy, type PolicyError } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import { expectTypeOf } from "vitest"

// It wraps a client and is one: nobody above can tell, and the client below is still to be given.
expectTypeOf(ResilientHttpClient.layer(Policy.defaults)).toEqualTypeOf<
  Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient>
>()
expectTypeOf(UndiciHttpClient.layer()).toEqualTypeOf<Layer.Layer<HttpClient.HttpClient>>()
expectTypeOf(TestHttpClient.layer("ok")).toEqualTypeOf<Layer.Layer<HttpClient.HttpClient | TestHttpClient.Requests>>()

// A refusal is found in an error of any kind.
expectTypeOf(ResilientHttpClient.refusal).toEqualTypeOf<(error: unknown) => PolicyError.PolicyError | undefined>()

declare const response: HttpClientResponse.HttpClientResponse
expectTypeOf(EventStream.sse(response)).toEqualTypeOf<
  Stream.Stream<EventStream.ServerSentEvent, HttpClientError.HttpClientError>
>()
// What a server sends is not known before it is decoded.
expectTypeOf(EventStream.ndjson(response)).toEqualTypeOf<Stream.Stream<unknown, HttpClientError.HttpClientError>>()

// @ts-expect-error a time has a unit that exists
UndiciHttpClient.layer({ keepAlive: "4 blinks" })
