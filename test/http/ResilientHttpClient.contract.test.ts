/** The contract of HttpClient, held by every client that we know of, on a real TLS server and in memory. */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClientRequest } from "effect/http"
import { ResilientHttpClient, UndiciHttpClient } from "holdfast/http"
import { TestHttpClient } from "holdfast/testing"
import * as Undici from "undici"
import { contract, Place, policy } from "../contract/HttpClient.ts"
import { makeCertificate, serve } from "./servers.ts"
import { makeSite } from "./site.ts"

const certificate = makeCertificate()
const { cert: ca } = certificate

const onServer = Layer.effect(
  Place,
  Effect.gen(function* () {
    const site = makeSite({ canCompress: true })
    const { url } = yield* serve(site, { certificate })
    return { url, otherUrl: url.replace("127.0.0.1", "localhost"), site }
  })
)

const resilient = ResilientHttpClient.layer(policy)
const sockets = { hasSockets: true, decodes: true }

contract(
  "UndiciHttpClient",
  Layer.merge(Layer.provide(resilient, UndiciHttpClient.layer({ tls: { ca }, keepAlive: "1 second" })), onServer),
  sockets
)

contract(
  "UndiciHttpClient over HTTP/1.1",
  Layer.merge(Layer.provide(resilient, UndiciHttpClient.layer({ tls: { ca }, http2: false })), onServer),
  sockets
)

// Node's own fetch, trusting the server's certificate; its undici speaks to ours by the older of the two interfaces.
const dispatcher = new Undici.Dispatcher1Wrapper(new Undici.Agent({ connect: { ca }, allowH2: false }))
const trusting: typeof fetch = (input, init) => fetch(input, { ...init, dispatcher } as RequestInit)

const fetchLayer = FetchHttpClient.layer.pipe(
  Layer.provide(Layer.succeed(FetchHttpClient.Fetch, trusting)),
  Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" }))
)
contract("Effect's fetch client", Layer.merge(Layer.provide(resilient, fetchLayer), onServer), sockets)

const nodeLayer = Layer.provide(NodeHttpClient.layerNodeHttpNoAgent, NodeHttpClient.layerAgentOptions({ ca }))
contract("Effect's Node client", Layer.merge(Layer.provide(resilient, nodeLayer), onServer), {
  hasSockets: true,
  decodes: false
})

const inMemory = makeSite({ canCompress: false })
const scripted = TestHttpClient.layer((request) =>
  HttpClientRequest.toWeb(request).pipe(
    Effect.orDie,
    Effect.flatMap((web) => Effect.promise(() => inMemory.handle(web))),
    Effect.flatMap((reply) =>
      reply === "reset" ? Effect.fail(TestHttpClient.failure(request, "reset")) : Effect.succeed(reply)
    )
  )
)
const here = Layer.succeed(Place, { url: "https://site.test", otherUrl: "https://other.test", site: inMemory })
contract("TestHttpClient", Layer.merge(Layer.provide(resilient, scripted), here), { hasSockets: true, decodes: true })
