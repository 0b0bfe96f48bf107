import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Redacted, Ref } from "effect"
import type { HttpClientRequest } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { Embedder, type EmbedderError, type LlmError, Llm, OpenAiEmbedder, OpenAiLlm, Price } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import { inspect } from "node:util"
import { embedderContract, over } from "../contract/Embedder.ts"
import { toBase64 } from "../fixtures/embeddings.ts"
import { startEndpoint } from "../fixtures/endpoint.ts"
import { errors } from "../fixtures/errors.ts"
import { recording } from "../policy/tracer.ts"

const secret = "sk-very-secret-key"
const quick = Policy.make({ retry: { base: 1 } })

embedderContract(
  "OpenAiEmbedder",
  over("openai", (baseUrl) =>
    Layer.provide(
      OpenAiEmbedder.layer({ model: "some-model", apiKey: Redacted.make(secret), baseUrl, policy: quick }),
      UndiciHttpClient.layer()
    )
  )
)

embedderContract(
  "OpenAiEmbedder, of a server that ignores the encoding,",
  over("openai", (baseUrl) =>
    Layer.provide(
      OpenAiEmbedder.layer({
        model: "some-model",
        apiKey: Redacted.make(secret),
        baseUrl: baseUrl.replace("/v1", "/ignores-encoding/v1"),
        policy: quick
      }),
      UndiciHttpClient.layer()
    )
  )
)

const bodyOf = (request: HttpClientRequest.HttpClientRequest | undefined): Record<string, unknown> =>
  JSON.parse(request?.body._tag === "Raw" ? String(request.body.body) : "{}")

/** An embedder over scripted answers. */
const scripted = (
  script: Parameters<typeof TestHttpClient.layer>[0],
  options: Partial<OpenAiEmbedder.Options> = {}
): Layer.Layer<Embedder.Embedder | TestHttpClient.Requests> =>
  OpenAiEmbedder.layer({
    model: "the-model",
    apiKey: Redacted.make(secret),
    baseUrl: "http://llm.test/v1/",
    policy: Policy.make({ retry: { retries: 0 } }),
    ...options
  }).pipe(Layer.provideMerge(TestHttpClient.layer(script)))

const answer = (data: unknown, more: object = {}): string =>
  JSON.stringify({
    object: "list",
    data,
    model: "the-model-2026",
    usage: { prompt_tokens: 9, total_tokens: 9 },
    ...more
  })

const failing = (reply: string) =>
  Embedder.embedMany(["a", "b"]).pipe(
    Effect.flip,
    Effect.map(({ reason }) => reason),
    Effect.provide(scripted(reply))
  )

describe("OpenAiEmbedder", () => {
  it.effect("sends what the protocol says", () =>
    Effect.gen(function* () {
      const embedder = yield* Embedder.Embedder
      yield* embedder.embed({
        inputs: ["one", "two"],
        model: "that-model",
        dimensions: 2,
        purpose: "query",
        headers: { "x-extra": "yes" },
        extra: { user: "u-1" }
      })
      const [sent] = yield* Ref.get(yield* TestHttpClient.Requests)
      assert.deepStrictEqual(bodyOf(sent), {
        model: "that-model",
        input: ["one", "two"],
        encoding_format: "base64",
        dimensions: 2,
        user: "u-1"
      })
      assert.strictEqual(sent?.url, "http://llm.test/v1/embeddings")
      assert.strictEqual(sent?.headers.authorization, `Bearer ${secret}`)
      assert.strictEqual(sent?.headers["x-extra"], "yes")
    }).pipe(
      Effect.provide(
        scripted(
          answer([
            { index: 0, embedding: [1, 2] },
            { index: 1, embedding: [3, 4] }
          ])
        )
      )
    )
  )

  it.effect("asks for decimals, and for a length, when the layer says so", () =>
    Effect.gen(function* () {
      const { cost, model, usage } = yield* Embedder.embedMany(["a"])
      const [sent] = yield* Ref.get(yield* TestHttpClient.Requests)
      assert.deepInclude(bodyOf(sent), { encoding_format: "float", dimensions: 3, model: "the-model" })
      assert.deepStrictEqual([model, usage.inputTokens, cost], ["the-model-2026", 9, 9e-6])
    }).pipe(
      Effect.provide(
        scripted(answer([{ index: 0, embedding: [1, 2, 3] }]), {
          encoding: "float",
          dimensions: 3
        })
      ),
      Effect.provideService(Price.Table, { "the-model": { input: 1, output: 0 } })
    )
  )

  it.effect("reads vectors by their index, and by their order where there is none", () =>
    Effect.gen(function* () {
      const vectors = (data: ReadonlyArray<object>) =>
        Embedder.embedMany(["a", "b"]).pipe(
          Effect.map((embeddings) => embeddings.vectors),
          Effect.provide(scripted(answer(data)))
        )
      const [first, second] = [{ embedding: [1, 0] }, { embedding: [0, 1] }]
      const expected = [
        [1, 0],
        [0, 1]
      ]
      assert.deepStrictEqual(yield* vectors([first, second]), expected)
      assert.deepStrictEqual(
        yield* vectors([
          { ...second, index: 1 },
          { ...first, index: 0 }
        ]),
        expected
      )
    })
  )

  it.effect("reads the same numbers out of decimals and of base64, to the last bit", () =>
    Effect.gen(function* () {
      const numbers = [0.1, -0.006929283495992422, 1e-30, 3.4e38, -0, 1 / 3]
      const { vectors } = yield* Embedder.embedMany(["a", "b"])
      assert.deepStrictEqual(vectors[0], numbers.map(Math.fround))
      assert.deepStrictEqual(vectors[1], vectors[0])
    }).pipe(
      Effect.provide(
        scripted(() => {
          const numbers = [0.1, -0.006929283495992422, 1e-30, 3.4e38, -0, 1 / 3]
          // JSON has no sign for zero but in the text itself.
          const decimals = JSON.stringify(numbers).replace(",0,", ",-0.0,")
          return `{"data":[{"index":0,"embedding":${decimals}},{"index":1,"embedding":"${toBase64(numbers)}"}]}`
        })
      )
    )
  )

  it.effect("refuses an answer in which an input has no vector, two, or one of another length", () =>
    Effect.gen(function* () {
      const rows: ReadonlyArray<readonly [reply: string, said: string]> = [
        [answer([{ index: 0, embedding: [1] }]), "1 vectors for 2 inputs"],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 0, embedding: [1] }
          ]),
          "two vectors for input 0"
        ],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 2, embedding: [1] }
          ]),
          "a vector for input 2 of 2"
        ],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 0.5, embedding: [1] }
          ]),
          "a vector for input 0.5 of 2"
        ],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 1, embedding: [1, 2] }
          ]),
          "of 1 and of 2 numbers"
        ],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 1, embedding: [] }
          ]),
          "no list of numbers for input 1"
        ],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 1, embedding: [null] }
          ]),
          "no list of numbers for input 1"
        ],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 1, embedding: "AAAA" }
          ]),
          "no list of numbers for input 1"
        ],
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 1, embedding: "***=" }
          ]),
          "no list of numbers for input 1"
        ],
        // NaN in 32 bits.
        [
          answer([
            { index: 0, embedding: [1] },
            { index: 1, embedding: "AADAfw==" }
          ]),
          "no list of numbers for input 1"
        ],
        [answer(null), "the answer has no data"],
        ["<html>", "the body is not JSON"],
        ["[]", "the answer has no data"]
      ]
      for (const [reply, said] of rows) {
        const reason = yield* failing(reply)
        assert.strictEqual(reason._tag, "InvalidResponse", reply)
        assert.include(reason.message, said)
      }
    })
  )

  it.effect("reads an error that comes with a status of success", () =>
    Effect.gen(function* () {
      const error = { message: "slow down", type: "rate_limit_error", code: 429 }
      assert.strictEqual((yield* failing(JSON.stringify({ error })))._tag, "RateLimited")
    })
  )

  it.effect("fails once, without retries, where a server does not shorten vectors", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Embedder.embedMany({ inputs: ["a"], dimensions: 2 }))
      assert.strictEqual(error.code, "InvalidResponse")
      assert.include(error.message, "asked for vectors of 2 numbers, got 3; leave `dimensions` out")
      assert.strictEqual((yield* Ref.get(yield* TestHttpClient.Requests)).length, 1)
    }).pipe(Effect.provide(scripted(answer([{ index: 0, embedding: [1, 2, 3] }]), { policy: quick })))
  )

  it.effect("counts by itself where the server does not, and says so", () =>
    Effect.gen(function* () {
      const { usage } = yield* Embedder.embedMany(["12345678"])
      assert.deepStrictEqual(usage, { inputTokens: 2, outputTokens: 0, isEstimate: true })
    }).pipe(Effect.provide(scripted(answer([{ embedding: [1] }], { usage: { prompt_tokens: 0 } }))))
  )

  it.effect("gets a new token, once, where one is not accepted any more", () =>
    Effect.gen(function* () {
      let made = 0
      const auth = {
        token: Effect.sync(() => Redacted.make(`token-${made}`)),
        invalidate: () => Effect.sync(() => void made++),
        redact: (text: string) => text.replaceAll(/token-\d/g, "<redacted>")
      }
      const refusing = TestHttpClient.layer(({ headers }) =>
        headers.authorization === "Api-Key token-1"
          ? answer([{ embedding: [1] }])
          : new Response("expired: token-0", { status: 401 })
      )
      const layer = OpenAiEmbedder.layer({ model: "m", auth, scheme: "Api-Key", baseUrl: "http://llm.test" }).pipe(
        Layer.provideMerge(refusing)
      )
      const context = yield* Layer.build(layer)
      assert.deepStrictEqual(yield* Effect.provide(Embedder.embed("a"), context), [1])
      assert.strictEqual((yield* Ref.get(Context.get(context, TestHttpClient.Requests))).length, 2)
      const error = yield* Effect.flip(
        Effect.provide(
          Effect.andThen(
            Effect.sync(() => void (made = 5)),
            Embedder.embed("a")
          ),
          context
        )
      )
      assert.strictEqual(error.code, "Unauthorized")
      assert.notInclude(inspect(error, { depth: 9 }), "token-0")
    }).pipe(Effect.scoped)
  )

  it.effect("reserves the tokens of its inputs alone, and settles what was counted", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ costBudget: { limit: 20 } }))
      const budget = held.costBudget
      const layer = scripted(answer([{ embedding: [1] }]), { policy: held })
      yield* Effect.provide(Embedder.embed("x".repeat(80)), layer)
      assert.strictEqual(budget?.spent, 9)
      const error = yield* Effect.flip(Effect.provide(Embedder.embed("x".repeat(80)), layer))
      assert.strictEqual(error.code, "BudgetExceeded")
    }).pipe(Effect.scoped)
  )

  it.effect("tells its call in a span", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const embedder = yield* Embedder.Embedder
      yield* Effect.withTracer(embedder.embed({ inputs: ["a"], dimensions: 1 }), tracer)
      const [span] = spans
      assert.strictEqual(span?.name, "embeddings the-model")
      const { attributes } = span ?? { attributes: new Map<string, unknown>() }
      assert.deepInclude(Object.fromEntries(attributes), {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "the-model",
        "gen_ai.response.model": "the-model-2026",
        "gen_ai.embeddings.dimension.count": 1,
        "gen_ai.usage.input_tokens": 9,
        "server.address": "llm.test"
      })
    }).pipe(Effect.provide(scripted(answer([{ embedding: [1] }]))))
  )

  it.live("fails as the Llm of the provider does, for every error in its table", () =>
    Effect.gen(function* () {
      const endpoint = yield* Effect.acquireRelease(
        Effect.promise(() => startEndpoint("openai")),
        ({ close }) => Effect.promise(close)
      )
      const options = { model: "m", apiKey: Redacted.make(secret), baseUrl: endpoint.url, policy: once }
      const models = yield* Layer.build(
        Layer.mergeAll(OpenAiEmbedder.layer(options), OpenAiLlm.layer(options)).pipe(
          Layer.provide(UndiciHttpClient.layer())
        )
      )
      for (const { case: name } of errors.openai) {
        const embedding = yield* Effect.flip(Effect.provide(Embedder.embed(name), models))
        const completion = yield* Effect.flip(Effect.provide(Llm.generateText(name), models))
        assert.deepStrictEqual(told(embedding), told(completion), name)
        assert.strictEqual(embedding.requestId?.startsWith("req_"), true)
      }
      assert.isAbove(errors.openai.length, 20)
    })
  )

  it.effect("tells no credential of its own headers that a server repeats", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Embedder.embed("text"))
      assert.include(error.message, "<redacted>")
      assert.notInclude(inspect(error, { depth: 9, showHidden: true }), "azure-key")
    }).pipe(
      Effect.provide(
        scripted(() => new Response("wrong api-key: azure-key", { status: 401 }), {
          headers: { "api-key": "azure-key" }
        })
      )
    )
  )

  it.live("tells no secret that a server repeats", () =>
    Effect.gen(function* () {
      const endpoint = yield* Effect.acquireRelease(
        Effect.promise(() => startEndpoint("openai")),
        ({ close }) => Effect.promise(close)
      )
      const error = yield* Effect.flip(Embedder.embed("text")).pipe(
        Effect.provide(OpenAiEmbedder.layer({ model: "m", apiKey: Redacted.make("bad-key"), baseUrl: endpoint.url })),
        Effect.provide(UndiciHttpClient.layer())
      )
      assert.strictEqual(error.code, "Unauthorized")
      assert.include(error.message, "<redacted>")
      for (const shown of [error.message, inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error)]) {
        assert.notInclude(shown, "bad-key")
      }
    })
  )
})

const once = Policy.make({ retry: { retries: 0 } })

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

describe("OpenAiEmbedder.layerConfig", () => {
  const sentWith = (environment: Record<string, string>, options: Partial<OpenAiEmbedder.Options> = {}) =>
    Effect.gen(function* () {
      const http = yield* Layer.build(TestHttpClient.layer(answer([{ embedding: [1] }])))
      const layer = OpenAiEmbedder.layerConfig({ model: "m", ...options })
      yield* Embedder.embed("a").pipe(
        Effect.provide(Layer.provide(layer, Layer.succeedContext(http))),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: environment }))
      )
      const [sent] = yield* Ref.get(Context.get(http, TestHttpClient.Requests))
      return [sent?.url, sent?.headers.authorization]
    }).pipe(Effect.scoped)

  it.effect("reads the key and the address", () =>
    Effect.gen(function* () {
      const key = { OPENAI_API_KEY: "sk-env" }
      const gateway = { ...key, OPENAI_BASE_URL: "http://gateway.test/v1" }
      assert.deepStrictEqual(yield* sentWith(key), ["https://api.openai.com/v1/embeddings", "Bearer sk-env"])
      assert.deepStrictEqual(yield* sentWith(gateway), ["http://gateway.test/v1/embeddings", "Bearer sk-env"])
      assert.deepStrictEqual(yield* sentWith({ OPENAI_BASE_URL: "http://own.test" }), [
        "http://own.test/embeddings",
        undefined
      ])
      const given = { apiKey: Redacted.make("sk-given") }
      assert.deepStrictEqual(yield* sentWith(key, given), ["https://api.openai.com/v1/embeddings", "Bearer sk-given"])
    })
  )

  it.effect("keeps the variable's key from an address that the options name", () =>
    Effect.gen(function* () {
      const sent = yield* sentWith({ OPENAI_API_KEY: "sk-env" }, { baseUrl: "http://other.test" })
      assert.deepStrictEqual(sent, ["http://other.test/embeddings", undefined])
    })
  )

  it.effect("names the variable that is missing", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(sentWith({ OPENAI_API_KEY: " " }))
      assert.include(error.message, "OPENAI_API_KEY")
    })
  )
})
