/** What was sent as a secret is nowhere in a cassette's file, however it came back, and a replay needs none of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, EvolutionLlm, GeminiLlm, Llm, OpenAiLlm } from "holdfast/llm"
import { Cassette, TestHttpClient } from "holdfast/testing"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import * as http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "holdfast-cassette-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const freshPath = (): string => join(folder, `${++files}.json`)

/** With what JSON and URLs write in another way. */
const secret = 'sk-"very"/secret\\key é 0123456789'
const encoded = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]

/** The file's text, and what its base64 stands for: all of a body together, so that no edge hides anything. */
const textsOf = (path: string): string => {
  const file = readFileSync(path, "utf8")
  const frames = Array.from(file.matchAll(/\[\d+, "(text|base64)", ("(?:[^"\\]|\\.)*")\]/g), ([, encoding, text]) =>
    Buffer.from(String(JSON.parse(text ?? '""')), encoding === "text" ? "utf8" : "base64")
  )
  const bodies = Array.from(file.matchAll(/"bodyBase64": "([^"]+)"/g), ([, text]) => Buffer.from(text ?? "", "base64"))
  return [file, Buffer.concat(frames).toString("utf8"), ...bodies.map((body) => body.toString("utf8"))].join("\n")
}

const assertClean = (path: string, words: ReadonlyArray<string>): void => {
  const all = textsOf(path)
  for (const word of words) {
    for (const form of [word, JSON.stringify(word).slice(1, -1), encodeURIComponent(word)]) assert.notInclude(all, form)
  }
  assert.include(all, "REDACTED")
}

const url = "http://api.test/v1"

/** Every place where a request says a secret. */
const senders: Readonly<Record<string, HttpClientRequest.HttpClientRequest>> = {
  "a bearer token": HttpClientRequest.get(url, { headers: { authorization: `Bearer ${secret}` } }),
  "the password of Basic": HttpClientRequest.get(url, {
    headers: { authorization: `Basic ${Buffer.from(`me:${secret}`).toString("base64")}` }
  }),
  "a header of a provider": HttpClientRequest.get(url, { headers: { "x-goog-api-key": secret } }),
  "a cookie": HttpClientRequest.get(url, { headers: { cookie: `a=1; session=${secret}` } }),
  "a parameter of the URL": HttpClientRequest.get(`${url}?key=${encodeURIComponent(secret)}&page=2`),
  "a parameter beside the URL": HttpClientRequest.get(url, { urlParams: { access_token: secret } }),
  "a redacted parameter": HttpClientRequest.get(url, { urlParams: { whatever: Redacted.make(secret) } }),
  "the user of the URL": HttpClientRequest.get(`http://${encodeURIComponent(secret)}:x@api.test/v1`),
  "a form": HttpClientRequest.post(url, { body: HttpBody.urlParams([["client_secret", secret]]) }),
  "a field of JSON": HttpClientRequest.post(url, { body: HttpBody.jsonUnsafe({ keyId: "1", secret }) }),
  "a stream": HttpClientRequest.post(url, {
    body: HttpBody.stream(Stream.make(Buffer.from(JSON.stringify({ password: secret }))), "application/json")
  }),
  "a header that the user names": HttpClientRequest.get(url, { headers: { "x-tenant-pin": secret } }),
  "a field that the user names": HttpClientRequest.post(url, { body: HttpBody.jsonUnsafe({ a: [{ pin: secret }] }) }),
  "a text that the user names": HttpClientRequest.get(`${url}/${encodeURIComponent(secret)}/x`)
}

/** An answer that says it again: in headers, in cookies, in its body, on the edges of frames, beside bytes that are no text. */
const echo = (): Response => {
  const bytes = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(`\n${encoded.join("\n")}\n`)])
  const cuts = [3, 9, bytes.indexOf("é") + 1, bytes.length - 20]
  const pieces = [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index]))
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (const piece of pieces) controller.enqueue(piece)
      controller.close()
    }
  })
  const headers = new Headers({ "x-told": encodeURIComponent(secret), location: `/?key=${encodeURIComponent(secret)}` })
  headers.append("set-cookie", `session=${encodeURIComponent(secret)}; Path=/; HttpOnly`)
  return new Response(body, { headers })
}

const redact = {
  names: ["X-Tenant-Pin", "pin"],
  values: [Redacted.make(secret)]
}

describe("Cassette, of secrets,", () => {
  for (const [where, request] of Object.entries(senders)) {
    it.effect(`keeps none that was sent in ${where}`, () =>
      Effect.gen(function* () {
        const path = freshPath()
        const named = where.endsWith("the user names")
        const own = !named
          ? undefined
          : where.startsWith("a text")
            ? { values: redact.values }
            : { names: redact.names }
        const send = Effect.gen(function* () {
          const response = yield* HttpClient.execute(request)
          const chunks = yield* Stream.runCollect(response.stream)
          return { status: response.status, frames: chunks.length }
        })
        const layer = Cassette.layer({ path, mode: "record", redact: own })
        const recorded = yield* Effect.provide(
          send,
          Layer.provide(
            layer,
            TestHttpClient.layer(() => echo())
          )
        )
        assertClean(path, [secret, Buffer.from(`me:${secret}`).toString("base64")])
        assert.include(readFileSync(path, "utf8"), '"session=REDACTED; Path=/; HttpOnly"')
        const replayed = yield* Effect.provide(send, Cassette.replay({ path, redact: own }))
        assert.strictEqual(replayed.status, recorded.status)
        assert.isAbove(replayed.frames, 1)
      })
    )
  }

  it.live("keeps no key of any provider, nor a token that one service gives out and another takes", () =>
    Effect.gen(function* () {
      const key = "sk-the-very-secret-key"
      const token = "eyJhbGciOiJSUzI1NiJ9.the-token.c2lnbmF0dXJl"
      const server = http.createServer((incoming, outgoing) => {
        const told = JSON.stringify([incoming.headers, incoming.url])
        const isToken = incoming.url === "/iam"
        outgoing.writeHead(isToken ? 200 : 400, { "content-type": "application/json", "x-told": told })
        outgoing.end(
          isToken
            ? JSON.stringify({ access_token: token, expires_in: 99 })
            : `{"error":{"message":${JSON.stringify(told)}}}`
        )
      })
      const baseUrl = yield* Effect.acquireRelease(
        Effect.promise<string>(
          () =>
            new Promise((resolve) =>
              server.listen(0, "127.0.0.1", () => {
                const address = server.address()
                resolve(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`)
              })
            )
        ),
        () => Effect.sync(() => server.close())
      )
      const apiKey = Redacted.make(key)
      const shared = { model: "m", apiKey, baseUrl }
      const layers = [
        OpenAiLlm.layer(shared),
        AnthropicLlm.layer({ ...shared, authScheme: "x-api-key" }),
        GeminiLlm.layer(shared),
        EvolutionLlm.layer({ model: "m", baseUrl, keyId: "1", secret: apiKey, tokenUrl: `${baseUrl}/iam` })
      ]
      const path = freshPath()
      const ask = Effect.forEach(layers, (layer) =>
        Effect.provide(
          Effect.map(Effect.flip(Llm.generateText("hello")), ({ code }) => code),
          layer
        )
      )
      const record = Layer.provide(Cassette.layer({ path, mode: "record" }), UndiciHttpClient.layer())
      const recorded = yield* Effect.provide(ask, record)
      assertClean(path, [key, token])
      assert.strictEqual(readFileSync(path, "utf8").match(/"method"/g)?.length, layers.length + 1)
      assert.deepStrictEqual(yield* Effect.provide(ask, Cassette.replay({ path })), recorded)
    }).pipe(Effect.scoped)
  )

  it.effect("replays with another key, and shows neither in what a stale one says", () =>
    Effect.gen(function* () {
      const path = freshPath()
      const ask = (key: string, body: object) =>
        HttpClient.execute(
          HttpClientRequest.post(`${url}?key=${key}`, {
            headers: { authorization: `Bearer ${key}` },
            body: HttpBody.jsonUnsafe({ ...body, said: `my key is ${key}, keep it` })
          })
        )
      const record = Layer.provide(Cassette.layer({ path, mode: "record" }), TestHttpClient.layer("fine"))
      yield* Effect.provide(ask("the-first-key", { q: 1 }), record)
      assertClean(path, ["the-first-key"])
      const replay = Cassette.replay({ path })
      assert.strictEqual((yield* Effect.provide(ask("another-key", { q: 1 }), replay)).status, 200)
      const stale = ask("another-key", {
        q: 2,
        copy: "another-key another-key",
        ...Object.fromEntries([["another-key", 1]])
      })
      const error = yield* Effect.flip(Effect.provide(stale, replay))
      assert.include(error.message, "body.q: 1 recorded, 2 asked")
      assert.notInclude(error.message.replace(/\(POST .*\)$/, ""), "another-key")
    })
  )
})
