import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Redacted, Ref } from "effect"
import type { HttpClientRequest } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { Embedder, type EmbedderError, GeminiEmbedder, GeminiLlm, Llm, type LlmError } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import { inspect } from "node:util"
import { embedderContract, over } from "../contract/Embedder.ts"
import { startEndpoint } from "../fixtures/endpoint.ts"
import { errors } from "../fixtures/errors.ts"

const secret = "AIza-very-secret-key"
const apiKey = Redacted.make(secret)

embedderContract(
  "GeminiEmbedder",
  over("gemini", (baseUrl) =>
    Layer.provide(
      GeminiEmbedder.layer({ model: "some-model", apiKey, baseUrl, policy: Policy.make({ retry: { base: 1 } }) }),
      UndiciHttpClient.layer()
    )
  ),
  { counts: false }
)

const bodyOf = (request: HttpClientRequest.HttpClientRequest | undefined): unknown =>
  JSON.parse(request?.body._tag === "Raw" ? String(request.body.body) : "{}")

const scripted = (
  script: Parameters<typeof TestHttpClient.layer>[0],
  options: Partial<GeminiEmbedder.Options> = {}
): Layer.Layer<Embedder.Embedder | TestHttpClient.Requests> =>
  GeminiEmbedder.layer({
    model: "gemini-embedding-001",
    apiKey,
    policy: Policy.make({ retry: { retries: 0 } }),
    ...options
  }).pipe(Layer.provideMerge(TestHttpClient.layer(script)))

const answer = (vectors: ReadonlyArray<unknown>, more: object = {}): string =>
  JSON.stringify({ embeddings: vectors.map((values) => ({ values })), ...more })

describe("GeminiEmbedder", () => {
  it.effect("sends what the protocol says", () =>
    Effect.gen(function* () {
      const embedder = yield* Embedder.Embedder
      const request = { inputs: ["one", "two"], dimensions: 2, purpose: "document" } as const
      yield* embedder.embed({ ...request, headers: { "x-extra": "yes" }, extra: { title: "Numbers" } })
      const [sent] = yield* Ref.get(yield* TestHttpClient.Requests)
      const common = {
        model: "models/gemini-embedding-001",
        taskType: "RETRIEVAL_DOCUMENT",
        outputDimensionality: 2,
        title: "Numbers"
      }
      assert.deepStrictEqual(bodyOf(sent), {
        requests: [
          { content: { parts: [{ text: "one" }] }, ...common },
          { content: { parts: [{ text: "two" }] }, ...common }
        ]
      })
      assert.strictEqual(
        sent?.url,
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents"
      )
      assert.deepInclude({ ...sent?.headers }, { "x-goog-api-key": secret, "x-extra": "yes" })
    }).pipe(
      Effect.provide(
        scripted(
          answer([
            [1, 2],
            [3, 4]
          ])
        )
      )
    )
  )

  it.effect("asks for a query's vector, and sends nothing that was not asked for", () =>
    Effect.gen(function* () {
      const embedder = yield* Embedder.Embedder
      yield* embedder.embed({ inputs: ["one"], purpose: "query" })
      yield* embedder.embed({ inputs: ["one"], model: "tunedModels/mine" })
      const sent = yield* Ref.get(yield* TestHttpClient.Requests)
      const content = { parts: [{ text: "one" }] }
      assert.deepStrictEqual(sent.map(bodyOf), [
        { requests: [{ content, model: "models/gemini-embedding-001", taskType: "RETRIEVAL_QUERY" }] },
        { requests: [{ content, model: "tunedModels/mine" }] }
      ])
      assert.strictEqual(sent[1]?.url, "http://g.test/v1/tunedModels/mine:batchEmbedContents")
    }).pipe(Effect.provide(scripted(answer([[1]]), { baseUrl: "http://g.test/v1/" })))
  )

  it.effect("takes the provider's count where there is one", () =>
    Effect.gen(function* () {
      const { usage } = yield* Embedder.embedMany(["one"])
      assert.deepStrictEqual(usage, { inputTokens: 7, outputTokens: 0 })
    }).pipe(Effect.provide(scripted(answer([[1]], { usageMetadata: { promptTokenCount: 7, totalTokenCount: 7 } }))))
  )

  it.effect("shows a token in the place of a key", () =>
    Effect.gen(function* () {
      yield* Embedder.embed("one")
      const [sent] = yield* Ref.get(yield* TestHttpClient.Requests)
      assert.strictEqual(sent?.headers.authorization, "Bearer ya29")
      assert.isUndefined(sent?.headers["x-goog-api-key"])
    }).pipe(
      Effect.provide(
        scripted(answer([[1]]), {
          apiKey: undefined,
          auth: {
            token: Effect.succeed(Redacted.make("ya29")),
            invalidate: () => Effect.void,
            redact: (text) => text
          }
        })
      )
    )
  )

  it.effect("refuses an answer that is not one vector for each text", () =>
    Effect.gen(function* () {
      const rows = [
        [answer([[1]]), "1 vectors for 2 inputs"],
        [answer([[1], [1], [1]]), "3 vectors for 2 inputs"],
        [answer([[1], [1, 2]]), "of 1 and of 2 numbers"],
        [answer([[1], undefined]), "no list of numbers for input 1"],
        [answer([[1], ["1"]]), "no list of numbers for input 1"],
        ["{}", "the answer has no embeddings"],
        ["null", "the answer has no embeddings"],
        ["<html>", "the body is not JSON"]
      ] as const
      for (const [reply, said] of rows) {
        const error = yield* Effect.flip(Effect.provide(Embedder.embedMany(["a", "b"]), scripted(reply)))
        assert.strictEqual(error.code, "InvalidResponse", reply)
        assert.include(error.message, said)
      }
    })
  )

  it.live("fails as the Llm of the provider does, for every error in its table", () =>
    Effect.gen(function* () {
      const endpoint = yield* Effect.acquireRelease(
        Effect.promise(() => startEndpoint("gemini")),
        ({ close }) => Effect.promise(close)
      )
      const options = { model: "m", apiKey, baseUrl: endpoint.url, policy: Policy.make({ retry: { retries: 0 } }) }
      const models = yield* Layer.build(
        Layer.mergeAll(GeminiEmbedder.layer(options), GeminiLlm.layer(options)).pipe(
          Layer.provide(UndiciHttpClient.layer())
        )
      )
      for (const { case: name } of errors.gemini) {
        const embedding = yield* Effect.flip(Effect.provide(Embedder.embed(name), models))
        const completion = yield* Effect.flip(Effect.provide(Llm.generateText(name), models))
        assert.deepStrictEqual(told(embedding), told(completion), name)
      }
      assert.isAbove(errors.gemini.length, 10)
    })
  )

  it.live("tells no secret that a server repeats", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Embedder.embed("text"))
      assert.strictEqual(error.code, "Unauthorized")
      for (const shown of [error.message, inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error)]) {
        assert.notInclude(shown, secret)
      }
    }).pipe(
      Effect.provide(
        scripted(
          () =>
            new Response(JSON.stringify({ error: { code: 403, message: `Consumer '${secret}' is suspended.` } }), {
              status: 403
            })
        )
      )
    )
  )
})

const told = ({
  code,
  isRetryable,
  message,
  phase,
  retryAfterMillis,
  status
}: EmbedderError.EmbedderError | LlmError.LlmError) => ({
  code,
  isRetryable,
  phase,
  retryAfterMillis,
  status,
  message: message.replace(/^(embedder|llm) /, "")
})

describe("GeminiEmbedder.layerConfig", () => {
  const sentWith = (environment: Record<string, string>, options: Partial<GeminiEmbedder.Options> = {}) =>
    Effect.gen(function* () {
      const http = yield* Layer.build(TestHttpClient.layer(answer([[1]])))
      const layer = GeminiEmbedder.layerConfig({ model: "m", ...options })
      yield* Embedder.embed("a").pipe(
        Effect.provide(Layer.provide(layer, Layer.succeedContext(http))),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: environment }))
      )
      const [sent] = yield* Ref.get(Context.get(http, TestHttpClient.Requests))
      return [sent === undefined ? "" : new URL(sent.url).host, sent?.headers["x-goog-api-key"]]
    }).pipe(Effect.scoped)

  const google = "generativelanguage.googleapis.com"

  it.effect("reads the first key that is set, and the address", () =>
    Effect.gen(function* () {
      const both = { GEMINI_API_KEY: "one", GOOGLE_API_KEY: "two" }
      assert.deepStrictEqual(yield* sentWith(both), [google, "one"])
      assert.deepStrictEqual(yield* sentWith({ ...both, GEMINI_API_KEY: "" }), [google, "two"])
      assert.deepStrictEqual(yield* sentWith({ ...both, GEMINI_BASE_URL: "http://own.test" }), ["own.test", "one"])
      assert.deepStrictEqual(yield* sentWith(both, { apiKey }), [google, secret])
    })
  )

  it.effect("keeps the variable's key from an address that the options name", () =>
    Effect.gen(function* () {
      const sent = yield* sentWith({ GEMINI_API_KEY: "one" }, { baseUrl: "http://other.test" })
      assert.deepStrictEqual(sent, ["other.test", undefined])
    })
  )

  it.effect("names the variables that are missing", () =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(sentWith({}))
      assert.include(message, "GEMINI_API_KEY or GOOGLE_API_KEY")
    })
  )
})
