/**
 * What every Embedder does, whatever is behind it. One suite for every provider and for the test double: a first text may
 * name an error, as in `test/fixtures/case.ts`.
 */
import { assert, layer as testLayer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Embedder, Spending } from "holdfast/llm"
import { type Endpoint, type Name, startEndpoint } from "../fixtures/endpoint.ts"

/** What an implementation has beyond what all have. */
export interface Able {
  /** Behind it is a wire that can break. Default: `true`. */
  readonly wire?: boolean | undefined
  /** The provider counts tokens. Default: `true`. */
  readonly counts?: boolean | undefined
}

/** An `Embedder` over a fake provider of its own on loopback. */
export const over = <E>(
  name: Name,
  make: (url: string, endpoint: Endpoint) => Layer.Layer<Embedder.Embedder, E>
): Layer.Layer<Embedder.Embedder, E> =>
  Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.promise(() => startEndpoint(name)),
        (endpoint: Endpoint) => Effect.promise(() => endpoint.close())
      ),
      (endpoint) => make(endpoint.url, endpoint)
    )
  )

const texts = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${index}: ${"слово ".repeat(index % 7)}word`)

/** Runs the suite. `layer` is built once for all of it. */
export const embedderContract = <E>(name: string, layer: Layer.Layer<Embedder.Embedder, E>, able: Able = {}): void =>
  testLayer(layer, { excludeTestServices: true })(`${name} as an Embedder`, (it) => {
    const { counts = true, wire = true } = able

    it.effect("gives a text its vector, and the same text the same one", () =>
      Effect.gen(function* () {
        const vector = yield* Embedder.embed("a text")
        assert.isAbove(vector.length, 1)
        assert.isTrue(vector.every((number) => Number.isFinite(number) && Math.fround(number) === number))
        assert.deepStrictEqual(yield* Embedder.embed("a text"), vector)
        assert.notDeepEqual(yield* Embedder.embed("another text"), vector)
      })
    )

    it.effect("keeps the order of any number of texts", () =>
      Effect.gen(function* () {
        const inputs = texts(250)
        const { vectors } = yield* Embedder.embedMany(inputs)
        assert.strictEqual(vectors.length, 250)
        assert.strictEqual(new Set(vectors.map((vector) => vector.length)).size, 1)
        for (const place of [0, 1, 99, 100, 101, 199, 200, 249]) {
          assert.deepStrictEqual(vectors[place], yield* Embedder.embed(inputs[place] ?? ""))
        }
      })
    )

    it.effect("gives a text that comes twice its vector twice", () =>
      Effect.gen(function* () {
        const { vectors } = yield* Embedder.embedMany(["twice", "once", "twice"])
        assert.deepStrictEqual(vectors[0], vectors[2])
        assert.notDeepEqual(vectors[0], vectors[1])
      })
    )

    it.effect("takes any text: a line of blanks, emoji, a lone surrogate, thousands of letters", () =>
      Effect.gen(function* () {
        const { vectors } = yield* Embedder.embedMany([" ", "👩‍👩‍👧 \u0000", "\ud800", "long ".repeat(4000)])
        assert.strictEqual(vectors.length, 4)
      })
    )

    it.effect("shortens vectors to the length that is asked for", () =>
      Effect.gen(function* () {
        const embedder = yield* Embedder.Embedder
        const { vectors } = yield* embedder.embed({ inputs: ["one", "two"], dimensions: 5 })
        assert.deepStrictEqual(
          vectors.map((vector) => vector.length),
          [5, 5]
        )
      })
    )

    it.effect("takes what the vectors are for", () =>
      Effect.gen(function* () {
        const embedder = yield* Embedder.Embedder
        for (const purpose of ["query", "document"] as const) {
          assert.strictEqual((yield* embedder.embed({ inputs: ["one"], purpose })).vectors.length, 1)
        }
      })
    )

    it.effect("tells the model and what was used", () =>
      Effect.gen(function* () {
        const embedder = yield* Embedder.Embedder
        const { attempts, model, usage } = yield* embedder.embed({ inputs: ["some words"], model: "that-model" })
        assert.strictEqual(model, "that-model")
        assert.deepInclude(usage, { inputTokens: 3, outputTokens: 0 })
        assert.strictEqual(usage.isEstimate ?? false, !counts)
        assert.strictEqual(attempts.length, wire ? 1 : 0)
      })
    )

    it.effect("has no vectors for no texts, and asks nobody", () =>
      Effect.gen(function* () {
        const { attempts, usage, vectors } = yield* Embedder.embedMany([])
        assert.deepStrictEqual([vectors, attempts, usage.inputTokens], [[], [], 0])
      })
    )

    it.effect("refuses an empty text before it sends anything, and names its place", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Embedder.embedMany(["a", "b", "", "d"]))
        assert.strictEqual(error.code, "InvalidRequest")
        assert.include(error.message, "inputs[2]")
        assert.deepInclude(error, { inputs: 4, finished: 0, phase: "notSent", isRetryable: false })
        assert.deepStrictEqual([error.attempts, error.vectors.length], [[], 4])
      })
    )

    if (!wire) return

    it.effect("fails with the reason and its story, once there is nothing to try again", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Embedder.embed("error-401"))
        assert.deepInclude(error, { code: "Unauthorized", status: 401, inputs: 1, finished: 0 })
        assert.strictEqual(error.attempts.length, 1)
      })
    )

    it.effect("tries again what a second send may mend", () =>
      Effect.gen(function* () {
        const { attempts, vectors } = yield* Embedder.embedMany([`error-503*1\n${name}`])
        assert.deepStrictEqual(
          attempts.map(({ phase }) => phase),
          ["rejected", undefined]
        )
        assert.strictEqual(vectors.length, 1)
      })
    )

    it.effect("tells who listens what it used", () =>
      Effect.gen(function* () {
        const [embeddings, spent] = yield* Spending.track(Embedder.embedMany(texts(250)))
        assert.isAbove(spent.usage.inputTokens, 0)
        assert.strictEqual(spent.usage.inputTokens, embeddings.usage.inputTokens)
        assert.strictEqual(spent.usage.isEstimate ?? false, !counts)
        assert.isTrue(spent.calls.every(({ outcome }) => outcome === "ok"))
      })
    )
  })
