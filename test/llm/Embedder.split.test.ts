/** A call of more texts than a provider takes at once. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Redacted, Ref } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { UndiciHttpClient } from "holdfast/http"
import { Embedder, type EmbedderError, GeminiEmbedder, OpenAiEmbedder, Spending } from "holdfast/llm"
import { Deadline, Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import * as http from "node:http"
import { vectorOf } from "../fixtures/embeddings.ts"
import { type Endpoint, type Logged, type Name, startEndpoint } from "../fixtures/endpoint.ts"

const quick = Policy.make({ retry: { base: 1 } })

const endpointOf = (name: Name) =>
  Effect.acquireRelease(
    Effect.promise(() => startEndpoint(name)),
    (endpoint: Endpoint) => Effect.promise(() => endpoint.close())
  )

/** How many requests were on their way at the same time, at most. */
let most = 0

/** Connections that are counted while they are in use. */
const counting = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, (client) => {
    let now = 0
    return HttpClient.transformResponse(client, (sent) =>
      Effect.suspend(() => {
        most = Math.max(most, ++now)
        return Effect.ensuring(
          sent,
          Effect.sync(() => now--)
        )
      })
    )
  })
).pipe(Layer.provide(UndiciHttpClient.layer()))

const openai = (url: string, options: Partial<OpenAiEmbedder.Options> = {}): Layer.Layer<Embedder.Embedder> =>
  OpenAiEmbedder.layer({
    model: "m",
    apiKey: Redacted.make("sk-test"),
    baseUrl: url,
    policy: quick,
    ...options
  }).pipe(Layer.provide(counting))

const gemini = (url: string, options: Partial<GeminiEmbedder.Options> = {}): Layer.Layer<Embedder.Embedder> =>
  GeminiEmbedder.layer({
    model: "m",
    apiKey: Redacted.make("AIza-test"),
    baseUrl: url,
    policy: quick,
    ...options
  }).pipe(Layer.provide(counting))

/** Texts of one to three thousand letters of one, two or four bytes; the same on each run. */
const mixed = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => {
    const letter = ["a", "ж", "🚀"][index % 3] ?? ""
    const length = index % 50 === 0 ? 3000 : (index * 7919) % 120
    return `${index} ${letter.repeat(length)}`
  })

const isRecord = (u: unknown): u is Record<string, unknown> => typeof u === "object" && u !== null

const inputsOf = ({ body }: Logged): ReadonlyArray<string> => {
  const { input, requests } = isRecord(body) ? body : {}
  return Array.isArray(input) ? input.map(String) : Array.isArray(requests) ? requests.map((one) => textOf(one)) : []
}

const textOf = (request: unknown): string => /"text":"((?:[^"\\]|\\.)*)"/.exec(JSON.stringify(request))?.[1] ?? ""

const expected = (inputs: ReadonlyArray<string>) => inputs.map((input) => vectorOf(input))

describe("Embedder, split", () => {
  it.live("embeds 5000 texts of mixed sizes in order, within OpenAI's limits", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* endpointOf("openai")
      const inputs = mixed(5000)
      most = 0
      const { attempts, usage, vectors } = yield* Effect.provide(Embedder.embedMany(inputs), openai(url))
      assert.deepStrictEqual(vectors, expected(inputs))
      const sizes = requests.map((request) => inputsOf(request).length)
      assert.strictEqual(
        sizes.reduce((sum, size) => sum + size, 0),
        5000
      )
      assert.isTrue(sizes.every((size) => size <= 2048))
      // No tokenizer makes more tokens of a text than it has bytes.
      const bytes = requests.map((request) => Buffer.byteLength(inputsOf(request).join("")))
      assert.isTrue(bytes.every((count) => count <= 300_000))
      // None is cut short: any two in a row are too much for one.
      const total = bytes.reduce((sum, count) => sum + count, 0)
      assert.isBelow(requests.length, (2 * total) / 300_000 + 5000 / 2048 + 2)
      assert.deepStrictEqual([attempts.length, most], [requests.length, 4])
      assert.isAbove(usage.inputTokens, 5000)
    })
  )

  it.live("splits by count where texts are short", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* endpointOf("openai")
      const inputs = Array.from({ length: 5000 }, (_, index) => `${index}`)
      const { vectors } = yield* Effect.provide(Embedder.embedMany(inputs), openai(url, { concurrency: 1 }))
      assert.deepStrictEqual(vectors, expected(inputs))
      assert.deepStrictEqual(
        requests.map((request) => inputsOf(request).length),
        [2048, 2048, 904]
      )
    })
  )

  it.live("splits by a hundred for Gemini", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* endpointOf("gemini")
      const inputs = mixed(1001)
      most = 0
      const { vectors } = yield* Effect.provide(Embedder.embedMany(inputs), gemini(url, { concurrency: 3 }))
      assert.deepStrictEqual(vectors, expected(inputs))
      assert.deepStrictEqual(
        requests.map((request) => inputsOf(request).length).toSorted((a, b) => b - a),
        [100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 1]
      )
      assert.strictEqual(most, 3)
    })
  )

  it.live("keeps to the limits that the layer sets, and sends a text that is over them alone", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* endpointOf("openai")
      const inputs = ["aaaa", "b", "ccc", "ж".repeat(20), "d", "e", "f"]
      const options = { maxInputs: 2, maxTokensPerRequest: 6, concurrency: 1 }
      const { vectors } = yield* Effect.provide(Embedder.embedMany(inputs), openai(url, options))
      assert.deepStrictEqual(vectors, expected(inputs))
      assert.deepStrictEqual(requests.map(inputsOf), [["aaaa", "b"], ["ccc"], ["ж".repeat(20)], ["d", "e"], ["f"]])
    })
  )

  it.live("tries a part again that was told to wait, and only that", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* endpointOf("openai")
      const inputs = ["a", "b", "error-429-requests*1", "c", "d", "e"]
      const { attempts, vectors } = yield* Effect.provide(Embedder.embedMany(inputs), openai(url, { maxInputs: 2 }))
      assert.deepStrictEqual(vectors, expected(inputs))
      assert.strictEqual(requests.length, 4)
      assert.strictEqual(attempts.filter(({ outcome }) => outcome === "RateLimited").length, 1)
      assert.deepStrictEqual(
        attempts.map(({ startMillis }) => startMillis),
        attempts.map(({ startMillis }) => startMillis).toSorted((a, b) => a - b)
      )
    })
  )

  it.live("keeps the vectors of the other parts when one fails, so that the rest can be embedded alone", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* endpointOf("openai")
      const inputs = ["a", "b", "error-500*3", "c", "d", "e", "f"]
      const layer = yield* Layer.build(openai(url, { maxInputs: 2 }))
      const error = yield* Effect.flip(Effect.provide(Embedder.embedMany(inputs), layer))
      assert.deepInclude(error, { code: "ServerError", status: 500, inputs: 7, finished: 5 })
      assert.include(error.message, "5 of 7 inputs are finished, in `vectors`")
      assert.deepStrictEqual(
        error.vectors,
        inputs.map((input, place) => (place === 2 || place === 3 ? undefined : vectorOf(input)))
      )
      assert.strictEqual(error.usage.inputTokens, 5)
      assert.strictEqual(error.attempts.filter(({ outcome }) => outcome === "ServerError").length, 3)
      assert.strictEqual(error.attempts.length, 6)
      // What is finished is large, and stays out of what logs print.
      assert.notInclude(Object.keys(error), "vectors")

      const before = requests.length
      const rest = inputs.filter((_, place) => error.vectors[place] === undefined)
      const { vectors } = yield* Effect.provide(Embedder.embedMany(rest), layer)
      assert.deepStrictEqual(vectors, expected(["error-500*3", "c"]))
      assert.strictEqual(requests.length, before + 1)
    })
  )

  it.live("begins no further request after a failure", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* endpointOf("gemini")
      const inputs = ["a", "error-403", "b", "c"]
      const layer = gemini(url, { maxInputs: 1, concurrency: 1 })
      const error = yield* Effect.flip(Effect.provide(Embedder.embedMany(inputs), layer))
      assert.deepInclude(error, { code: "Unauthorized", finished: 1 })
      assert.strictEqual(requests.length, 2)
    })
  )

  it.live("names the longest text where one is too long", () =>
    Effect.gen(function* () {
      const { url } = yield* endpointOf("openai")
      const inputs = ["a", "b", "c", "x".repeat(40_000), "d"]
      const error = yield* Effect.flip(Effect.provide(Embedder.embedMany(inputs), openai(url, { maxInputs: 3 })))
      assert.deepInclude(error, { code: "ContextLengthExceeded", finished: 3 })
      assert.include(error.message, "inputs[3]")
    })
  )

  it.live("aborts every request when the caller goes", () =>
    Effect.gen(function* () {
      let open = 0
      const four = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      // A server that reads and never answers.
      const server = http.createServer((incoming) => {
        incoming.resume()
        incoming.once("end", () => {
          if (++open === 4) Deferred.doneUnsafe(four, Effect.void)
        })
        incoming.socket.once("close", () => {
          if (--open === 0) Deferred.doneUnsafe(closed, Effect.void)
        })
      })
      yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
      yield* Effect.addFinalizer(() =>
        Effect.promise(
          () =>
            new Promise<void>((resolve) => {
              server.close(() => resolve())
              server.closeAllConnections()
            })
        )
      )
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const tally = new Spending.Tally()
      const fiber = yield* Embedder.embedMany(Array.from({ length: 9 }, () => "text")).pipe(
        Effect.provide(openai(`http://127.0.0.1:${port}`, { maxInputs: 1 })),
        Effect.provideService(Spending.Current, tally),
        Effect.forkChild
      )
      yield* Deferred.await(four)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(closed)
      assert.strictEqual(open, 0)
      // They may be paid for all the same.
      assert.deepStrictEqual(
        tally.calls.map(({ outcome, usage }) => [outcome, usage.inputTokens, usage.isEstimate]),
        Array.from({ length: 4 }, () => ["interrupted", 1, true])
      )
    })
  )
})

const answer = (...vectors: ReadonlyArray<ReadonlyArray<number>>): string =>
  JSON.stringify({ data: vectors.map((embedding, index) => ({ embedding, index })), usage: { prompt_tokens: 1 } })

/** One text a request, answered by what the script says of the text. */
const byText = (
  script: (text: string, call: number) => TestHttpClient.Reply | Effect.Effect<TestHttpClient.Reply>,
  options: Partial<OpenAiEmbedder.Options> = {}
) => {
  const calls = new Map<string, number>()
  return OpenAiEmbedder.layer({ model: "m", baseUrl: "http://llm.test", maxInputs: 1, ...options }).pipe(
    Layer.provideMerge(
      TestHttpClient.layer(({ body }) => {
        const { input } = JSON.parse(body._tag === "Raw" ? String(body.body) : "{}")
        const text = String(input[0])
        calls.set(text, (calls.get(text) ?? 0) + 1)
        return script(text, calls.get(text) ?? 0)
      })
    )
  )
}

const outcomes = ({ attempts }: EmbedderError.EmbedderError) => attempts.map(({ outcome }) => outcome).toSorted()

describe("Embedder, failing in part", () => {
  const busy = (): Response => new Response("{}", { status: 429, headers: { "retry-after": "30" } })
  const refused = (): Response => new Response("{}", { status: 403 })

  it.effect("does not wait for what only waits to be tried again", () =>
    Effect.gen(function* () {
      // Nobody moves the clock: the thirty seconds are not waited for.
      const error = yield* Effect.flip(Embedder.embedMany(["waits", "fails"]))
      assert.deepInclude(error, { code: "Unauthorized", finished: 0 })
      assert.deepStrictEqual(outcomes(error), ["RateLimited", "Unauthorized"])
    }).pipe(Effect.provide(byText((text) => (text === "waits" ? busy() : Effect.as(Effect.yieldNow, refused())))))
  )

  it.effect("has all that is finished at the deadline around it", () =>
    Effect.gen(function* () {
      const inputs = Array.from({ length: 10 }, (_, index) => `${index}`)
      const embedded = Embedder.embedMany(inputs).pipe(Deadline.within("3500 millis"), Effect.flip)
      const fiber = yield* Effect.forkChild(embedded)
      yield* TestClock.adjust("3500 millis")
      const error = yield* Fiber.join(fiber)
      assert.deepInclude(error, { _tag: "EmbedderError", code: "DeadlineExceeded", finished: 6 })
      assert.deepStrictEqual(
        "vectors" in error ? error.vectors : [],
        inputs.map((_, place) => (place < 6 ? [1, 2] : undefined))
      )
      assert.strictEqual((yield* Ref.get(yield* TestHttpClient.Requests)).length, 8)
    }).pipe(Effect.provide(byText(() => Effect.as(Effect.sleep("1 second"), answer([1, 2])), { concurrency: 2 })))
  )

  it.effect("does not wait for what stands in line for a slot", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency: 1 }))
      const layer = byText(() => refused(), { policy: held })
      const error = yield* Effect.flip(Effect.provide(Embedder.embedMany(["a", "b", "c", "d"]), layer))
      // The slot of the first had gone to the second before its failure was the call's.
      assert.deepStrictEqual(outcomes(error), ["Unauthorized", "Unauthorized"])
      assert.strictEqual(held.concurrency.waiting("openai http://llm.test/"), 0)
    }).pipe(Effect.scoped)
  )

  it.effect("waits for what is on its way, since that is paid for", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(Embedder.embedMany(["slow", "fails", "later"])))
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      const error = yield* Fiber.join(fiber)
      assert.deepInclude(error, { code: "Unauthorized", finished: 1 })
      assert.deepStrictEqual(error.vectors, [[1, 2], undefined, undefined])
      assert.strictEqual((yield* Ref.get(yield* TestHttpClient.Requests)).length, 2)
    }).pipe(
      Effect.provide(
        byText((text) => (text === "slow" ? Effect.as(Effect.sleep("5 seconds"), answer([1, 2])) : refused()), {
          concurrency: 2
        })
      )
    )
  )

  it.effect("does not try again what was on its way and fails", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(Embedder.embedMany(["slow", "fails"])))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.code, "Unauthorized")
      assert.deepStrictEqual(outcomes(error), ["ServerError", "Unauthorized"])
    }).pipe(
      Effect.provide(
        byText((text) =>
          text === "slow" ? Effect.as(Effect.sleep("5 seconds"), new Response("{}", { status: 500 })) : refused()
        )
      )
    )
  )

  it.effect("bounds the wait for what is on its way by the policy's time", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(Embedder.embedMany(["hangs", "fails"])))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.code, "Unauthorized")
      assert.deepStrictEqual(outcomes(error), ["AttemptTimeout", "Unauthorized"])
    }).pipe(
      Effect.provide(
        byText((text) => (text === "hangs" ? Effect.never : refused()), {
          policy: Policy.make({ timeout: { attempt: "10 seconds" } })
        })
      )
    )
  )

  it.effect("refuses parts whose vectors have different lengths", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Embedder.embedMany(["a", "b"]))
      assert.deepInclude(error, { code: "InvalidResponse", finished: 1 })
      assert.include(error.message, "vectors of 2 and of 3 numbers")
    }).pipe(Effect.provide(byText((text) => (text === "a" ? answer([1, 2]) : answer([1, 2, 3])), { concurrency: 1 })))
  )

  it.effect("tells who listens what the finished parts used", () =>
    Effect.gen(function* () {
      const tally = new Spending.Tally()
      yield* Effect.flip(Embedder.embedMany(["a", "b", "fails"])).pipe(Effect.provideService(Spending.Current, tally))
      assert.deepStrictEqual(
        tally.calls.map(({ outcome, usage }) => [outcome, usage.inputTokens]),
        [
          ["ok", 1],
          ["ok", 1]
        ]
      )
    }).pipe(Effect.provide(byText((text) => (text === "fails" ? refused() : answer([1])), { concurrency: 1 })))
  )
})
