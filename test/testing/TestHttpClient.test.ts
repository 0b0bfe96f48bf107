import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestHttpClient } from "holdfast/testing"

const url = "http://api.test/things"

describe("TestHttpClient", () => {
  it.effect("answers every request with the same response and remembers what was sent", () =>
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      const texts = yield* Effect.forEach([1, 2], (id) =>
        Effect.flatMap(client.execute(HttpClientRequest.get(url, { urlParams: { id } })), (response) => response.text)
      )
      assert.deepStrictEqual(texts, ["busy", "busy"])
      const sent = yield* Ref.get(yield* TestHttpClient.Requests)
      assert.deepStrictEqual(
        sent.map((request) => request.urlParams.params),
        [[["id", "1"]], [["id", "2"]]]
      )
    }).pipe(Effect.provide(TestHttpClient.layer(new Response("busy", { status: 503 }))))
  )

  it.effect("answers in sequence and says which request has no reply", () =>
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      assert.strictEqual((yield* client.get(url)).status, 200)
      assert.strictEqual((yield* client.get(url)).status, 404)
      const error = yield* Effect.flip(client.get(url))
      assert.include(error.message, "TestHttpClient: call 3 has no reply, the script ends after 2")
    }).pipe(Effect.provide(TestHttpClient.layer(["hello", new Response("no", { status: 404 })])))
  )

  it.effect("answers by a function of the request, which may fail as a broken connection does", () =>
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      const error = yield* Effect.flip(client.get(url))
      assert.include(String(error.reason.cause), "the cable is out")
      assert.strictEqual(yield* Effect.flatMap(client.get(url), (response) => response.text), url)
    }).pipe(
      Effect.provide(
        TestHttpClient.layer((request, call) =>
          call === 1 ? Effect.fail(TestHttpClient.failure(request, "the cable is out")) : request.url
        )
      )
    )
  )

  it("answers by method and URL, shows the nearest of what it does not know, and keeps its requests as an array", async () => {
    const { layer, requests } = TestHttpClient.make([
      { when: "GET http://api.test/things?id=1", reply: "one" },
      { when: /^POST /, reply: [new Response("busy", { status: 503 }), "made"] }
    ])
    const test = Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      const get = (id: number) => client.get(url, { urlParams: { id } })
      assert.strictEqual(yield* Effect.flatMap(get(1), (response) => response.text), "one")
      assert.strictEqual((yield* client.post(url)).status, 503)
      assert.strictEqual(yield* Effect.flatMap(client.post(url), (response) => response.text), "made")
      const { message } = yield* Effect.flip(get(2))
      assert.include(message, 'nothing matches call 4, "GET http://api.test/things?id=2"; the nearest of 2 is number 1')
      assert.include(message, 'things?id=" comes "2" and not "1"')
    })
    await Effect.runPromise(Effect.provide(test, layer))
    assert.strictEqual(requests.length, 4)
  })
})
