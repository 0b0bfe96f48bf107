import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, type Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { EvolutionLlm, Llm } from "holdfast/llm"
import { keyId, secret, startEvolution, tokenOf } from "../fixtures/evolution.ts"

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Record<string, unknown>
}

const completion = JSON.stringify({ choices: [{ message: { content: "hello" }, finish_reason: "stop" }] })

/** Cloud.ru in memory: a token from its IAM, and the same answer from whatever model. */
const cloud = () => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request) => {
    const { body, headers, url } = request
    sent.push({ url, headers: { ...headers }, body: JSON.parse(body._tag === "Raw" ? String(body.body) : "{}") })
    const answer = url.includes("auth") ? JSON.stringify({ access_token: "a-token", expires_in: 3600 }) : completion
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(answer)))
  })
  const ask = <E>(layer: Layer.Layer<Llm.Llm, E, HttpClient.HttpClient>) =>
    Llm.generateText("hi").pipe(Effect.provide(layer), Effect.provideService(HttpClient.HttpClient, client))
  return { ask, sent }
}

const pair = { keyId, secret: Redacted.make(secret), baseUrl: "https://my-endpoint.cloud.ru/v1" }

describe("EvolutionLlm", () => {
  it.effect("changes a key pair for a token, and sends it to the dedicated endpoint", () =>
    Effect.gen(function* () {
      const { ask, sent } = cloud()
      assert.strictEqual((yield* ask(EvolutionLlm.layer(pair))).text, "hello")
      const [iam, model] = sent
      assert.deepStrictEqual([iam?.url, iam?.body], ["https://iam.api.cloud.ru/api/v1/auth/token", { keyId, secret }])
      assert.isUndefined(iam?.headers.authorization)
      assert.strictEqual(model?.url, "https://my-endpoint.cloud.ru/v1/chat/completions")
      assert.strictEqual(model?.headers.authorization, "Bearer a-token")
      // What is deployed there has no other name.
      assert.strictEqual(model?.body.model, "default")
      assert.isUndefined(model?.headers["x-project-id"])
    })
  )

  it.effect("sends a static key to Foundation Models, by Cloud.ru's word or by OpenAI's", () =>
    Effect.gen(function* () {
      const { ask, sent } = cloud()
      const options = { apiKey: Redacted.make("static-key"), model: "some-model" }
      yield* ask(EvolutionLlm.layer(options))
      yield* ask(EvolutionLlm.layer({ ...options, scheme: "Bearer", baseUrl: "https://elsewhere.cloud.ru/v1/" }))
      assert.deepStrictEqual(
        sent.map(({ body, headers, url }) => [url, headers.authorization, body.model]),
        [
          ["https://foundation-models.api.cloud.ru/v1/chat/completions", "Api-Key static-key", "some-model"],
          ["https://elsewhere.cloud.ru/v1/chat/completions", "Bearer static-key", "some-model"]
        ]
      )
    })
  )

  it.effect("calls itself evolution in errors", () =>
    Effect.gen(function* () {
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response("", { status: 404 })))
      )
      const layer = EvolutionLlm.layer({ apiKey: Redacted.make("static-key"), model: "some-model" })
      const call = Effect.provide(Llm.generateText("hi"), layer)
      const failure = yield* Effect.flip(Effect.provideService(call, HttpClient.HttpClient, client))
      assert.strictEqual(failure.provider, "evolution")
      assert.include(failure.message, "llm evolution https://foundation-models.api.cloud.ru/v1: ")
    })
  )

  it.live("sends nothing before the first call, and a token that has expired once more", () =>
    Effect.gen(function* () {
      const cloud = yield* Effect.acquireRelease(
        Effect.promise(() => startEvolution()),
        (cloud) => Effect.promise(() => cloud[Symbol.asyncDispose]())
      )
      const { baseUrl, tokenUrl } = cloud
      yield* Effect.gen(function* () {
        yield* Llm.Llm
        assert.deepStrictEqual([cloud.tokenRequests.length, cloud.modelRequests.length], [0, 0])
        yield* Llm.generateText("hi")
        cloud.revoke()
        // A stream goes the same way as an answer.
        const { finish, text } = yield* Stream.runFold(Llm.streamText("hi"), () => Llm.collected, Llm.collect)
        assert.deepStrictEqual([text, finish?.attempts.length], ["hello", 1])
      }).pipe(Effect.provide(EvolutionLlm.layer({ ...pair, baseUrl, tokenUrl })))
      assert.deepStrictEqual(
        cloud.modelRequests.map(({ headers, status }) => [headers.authorization, status]),
        [
          [`Bearer ${tokenOf(1)}`, 200],
          [`Bearer ${tokenOf(1)}`, 401],
          [`Bearer ${tokenOf(2)}`, 200]
        ]
      )
      assert.strictEqual(cloud.tokenRequests.length, 2)
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )

  describe("layerConfig", () => {
    const pairEnv = {
      EVOLUTION_KEY_ID: "env-id",
      EVOLUTION_SECRET: "env-secret",
      EVOLUTION_BASE_URL: "https://env.cloud.ru/v1"
    }
    const environment = (env: Readonly<Record<string, string>>) =>
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

    it.effect("reads a key pair, and the options win", () =>
      Effect.gen(function* () {
        const { ask, sent } = cloud()
        const env = environment({ ...pairEnv, EVOLUTION_TOKEN_URL: "https://env.test/auth" })
        yield* env(ask(EvolutionLlm.layerConfig()))
        yield* env(ask(EvolutionLlm.layerConfig({ ...pair, tokenUrl: "https://own.test/auth", model: "mine" })))
        assert.deepStrictEqual(
          sent.map(({ body, url }) => [url, body.keyId ?? body.model]),
          [
            ["https://env.test/auth", "env-id"],
            ["https://env.cloud.ru/v1/chat/completions", "default"],
            ["https://own.test/auth", keyId],
            ["https://my-endpoint.cloud.ru/v1/chat/completions", "mine"]
          ]
        )
      })
    )

    it.effect("reads a static key where there is no key pair", () =>
      Effect.gen(function* () {
        const { ask, sent } = cloud()
        const env = { EVOLUTION_API_KEY: "env-key" }
        yield* environment(env)(ask(EvolutionLlm.layerConfig({ model: "some-model" })))
        yield* environment({ ...env, EVOLUTION_KEY_ID: " " })(ask(EvolutionLlm.layerConfig({ model: "some-model" })))
        yield* environment({ ...env, ...pairEnv })(ask(EvolutionLlm.layerConfig()))
        const own = EvolutionLlm.layerConfig({
          apiKey: Redacted.make("own-key"),
          scheme: "Bearer",
          model: "some-model"
        })
        yield* environment(pairEnv)(ask(own))
        assert.deepStrictEqual(
          sent.map(({ headers, url }) => [new URL(url).host, headers.authorization]),
          [
            ["foundation-models.api.cloud.ru", "Api-Key env-key"],
            ["foundation-models.api.cloud.ru", "Api-Key env-key"],
            ["iam.api.cloud.ru", undefined],
            ["env.cloud.ru", "Bearer a-token"],
            ["env.cloud.ru", "Bearer own-key"]
          ]
        )
      })
    )

    it.effect("names what is missing", () =>
      Effect.gen(function* () {
        const { ask, sent } = cloud()
        const messageOf = (env: Readonly<Record<string, string>>, options?: EvolutionLlm.ConfigOptions) =>
          Effect.map(Effect.flip(environment(env)(ask(EvolutionLlm.layerConfig(options)))), ({ message }) => message)
        assert.include(yield* messageOf({}), "set EVOLUTION_KEY_ID, EVOLUTION_SECRET and EVOLUTION_BASE_URL")
        assert.include(yield* messageOf({}), "or EVOLUTION_API_KEY for a static key")
        assert.include(yield* messageOf({ EVOLUTION_KEY_ID: "id" }), "set EVOLUTION_SECRET and EVOLUTION_BASE_URL")
        const { EVOLUTION_BASE_URL: _, ...noUrl } = pairEnv
        assert.match(yield* messageOf(noUrl), /set EVOLUTION_BASE_URL$/)
        assert.include(yield* messageOf({ EVOLUTION_API_KEY: "key" }), "no model")
        // A server that only the options name gets the key that they give, as with every provider.
        const elsewhere = { baseUrl: "https://elsewhere.test/v1", model: "some-model" }
        assert.include(yield* messageOf({ EVOLUTION_API_KEY: "key" }, elsewhere), "no credentials")
        assert.strictEqual(sent.length, 0)
      })
    )
  })
})
