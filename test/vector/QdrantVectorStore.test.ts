import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Attempt, Policy } from "holdfast/policy"
import { QdrantVectorStore, VectorError, VectorStore } from "holdfast/vector"
import { inspect } from "node:util"
import { afterAll } from "vitest"
import { vectorContract } from "../contract/VectorStore.ts"
import { type Logged, startQdrant } from "../fixtures/qdrant.ts"

const qdrant = await startQdrant({ apiKey: "secret-key" })
afterAll(() => qdrant[Symbol.asyncDispose]())

let collections = 0

const over = (options: QdrantVectorStore.Options) =>
  Layer.provide(
    QdrantVectorStore.layer({
      baseUrl: qdrant.url,
      apiKey: Redacted.make("secret-key"),
      collection: `collection ${collections++}`,
      ...options
    }),
    UndiciHttpClient.layer()
  )

vectorContract("QdrantVectorStore", over, { keepsLength: false })

const secret = "secret-key"
const quick = Policy.make({ retry: { base: 1 }, retryBudget: false })

/** A test with a store over a collection of its own, and the requests that the test has made. */
const test = <A, E>(
  title: string,
  run: (asked: () => ReadonlyArray<Logged>) => Effect.Effect<A, E, VectorStore.VectorStore>,
  options: QdrantVectorStore.Options = {}
): void =>
  it.live(title, () => {
    const before = qdrant.requests.length
    return Effect.provide(
      run(() => qdrant.requests.slice(before)),
      over({ policy: quick, ...options })
    )
  })

const items = (count: number, more: Partial<VectorStore.Item> = {}): ReadonlyArray<VectorStore.Item> =>
  Array.from({ length: count }, (_, at) => ({ id: `item ${at}`, vector: [at + 1, 1], ...more }))

const points = (asked: ReadonlyArray<Logged>) =>
  asked.filter(({ method, path }) => method === "PUT" && path.endsWith("/points"))

describe("QdrantVectorStore", () => {
  test(
    "sends many items in batches of as many and as large as it may, a few at a time",
    (asked) =>
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(items(25))
        assert.strictEqual(points(asked()).length, 3)
        assert.isTrue(asked().every(({ bytes }) => bytes <= 4000))
        const text = "x".repeat(1500)
        yield* store.upsertMany(items(6, { text }))
        assert.strictEqual(points(asked()).length, 3 + 3)
        assert.isTrue(asked().every(({ bytes }) => bytes <= 4000))
        assert.strictEqual(yield* store.count(), 25)
        const error = yield* Effect.flip(
          store.upsertMany([...items(3), { id: "huge", vector: [1, 1], text: "x".repeat(5000) }])
        )
        assert.strictEqual(error.code, "InvalidItem")
        assert.match(error.message, /items\[3\] has about 5\d\d\d bytes; a request has 4000 at most/)
        assert.strictEqual(points(asked()).length, 6)
      }),
    { maxItems: 10, maxBytes: 4000, concurrency: 2 }
  )

  test(
    "says what is stored when a batch fails, and stores the rest when it is asked again",
    (asked) =>
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsert({ id: "first", vector: [1, 1] })
        qdrant.failures.push("pass", { status: 400 })
        const error = yield* Effect.flip(store.upsertMany(items(30)))
        assert.deepInclude(error, { code: "InvalidRequest", items: 30, finished: 10, provider: "qdrant" })
        assert.deepStrictEqual(
          error.unfinished,
          items(30)
            .slice(10)
            .map(({ id }) => id)
        )
        assert.include(error.message, "10 of 30 items are stored; upsert the `unfinished` again")
        assert.strictEqual(error.attempts.length, 2)
        const left = new Set(error.unfinished)
        yield* store.upsertMany(items(30).filter(({ id }) => left.has(id)))
        assert.strictEqual(yield* store.count(), 31)
        assert.strictEqual(points(asked()).length, 1 + 2 + 2)
      }),
    { maxItems: 10, concurrency: 1 }
  )

  test("tries again what a second send may mend, and storing twice is storing once", (asked) =>
    Effect.gen(function* () {
      const store = yield* VectorStore.VectorStore
      yield* store.upsert({ id: "first", vector: [1, 1] })
      qdrant.failures.push("reset", { status: 503 })
      yield* store.upsertMany(items(3))
      assert.strictEqual(points(asked()).length, 4)
      qdrant.failures.push({ status: 429, headers: { "retry-after": "0" } })
      assert.strictEqual(yield* store.count(), 4)
      const story = new Attempt.Recorder()
      qdrant.failures.push({ status: 500 })
      yield* Effect.provideService(store.search({ vector: [1, 1] }), Attempt.Story, story)
      assert.deepStrictEqual(
        story.attempts.map(({ outcome }) => outcome),
        ["ServerError", "ok"]
      )
    }))

  test("asks many queries in one request, and more than a hundred in two", (asked) =>
    Effect.gen(function* () {
      const store = yield* VectorStore.VectorStore
      yield* store.upsertMany(items(5))
      const before = asked().length
      const queries = items(10).map(({ vector }, at) => ({ vector, limit: at + 1 }))
      const found = yield* store.searchMany(queries)
      assert.deepStrictEqual(
        found.map(({ length }) => length),
        [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]
      )
      assert.strictEqual(asked().length, before + 1)
      yield* store.searchMany(Array.from({ length: 150 }, () => ({ vector: [1, 1] })))
      assert.strictEqual(asked().length, before + 3)
    }))

  test("opens its collection once, however many calls begin at the same time", (asked) =>
    Effect.gen(function* () {
      const store = yield* VectorStore.VectorStore
      yield* Effect.forEach(items(5), store.upsert, { concurrency: "unbounded" })
      const opening = asked().filter(({ path }) => !path.includes("/points"))
      assert.deepStrictEqual(
        opening.map(({ method }) => method),
        ["GET", "PUT", "GET"]
      )
      assert.strictEqual(yield* store.count(), 5)
    }))

  test(
    "makes an index for each of the fields that it is told of",
    (asked) =>
      Effect.gen(function* () {
        yield* VectorStore.upsert({ id: "a", vector: [1, 1], metadata: { year: 2026, "the lang": "en", open: true } })
        const made = asked().filter(({ path }) => path.endsWith("/index"))
        assert.deepStrictEqual(
          made.map(({ body }) => body),
          [
            { field_name: "metadata.year", field_schema: "float" },
            { field_name: 'metadata."the lang"', field_schema: "keyword" },
            { field_name: "metadata.open", field_schema: "bool" }
          ]
        )
        const [sent] = points(asked())
        assert.strictEqual(sent?.query.get("wait"), "true")
        assert.strictEqual(sent?.headers["api-key"], secret)
      }),
    { fields: { year: "number", "the lang": "string", open: "boolean" } }
  )

  it.live("says that a collection is of another kind, or of vectors of another length", () =>
    Effect.gen(function* () {
      const collection = "two of them"
      const store = (options: QdrantVectorStore.Options) =>
        Effect.provide(VectorStore.search({ vector: [1, 1] }), over({ collection, ...options }))
      yield* Effect.provide(VectorStore.upsert({ id: "a", vector: [1, 1] }), over({ collection }))
      const metric = yield* Effect.flip(store({ metric: "dot" }))
      assert.deepStrictEqual(
        [metric.code, metric.reason.message],
        [
          "CollectionMismatch",
          `the collection "two of them" was made with the distance Cosine, and the metric dot is Dot; correct the options, or take another collection`
        ]
      )
      const length = yield* Effect.flip(Effect.provide(VectorStore.count(), over({ collection, dimensions: 3 })))
      assert.include(length.message, "has vectors of 2 numbers, not 3")
    })
  )

  it.live("shows a key to nobody", () =>
    Effect.gen(function* () {
      const wrong = Redacted.make("wrong-secret")
      const error = yield* Effect.flip(Effect.provide(VectorStore.count(), over({ apiKey: wrong })))
      assert.strictEqual(error.code, "Unauthorized")
      assert.notInclude(inspect(error) + JSON.stringify(error) + error.message, "wrong-secret")
    })
  )

  it.live("reads its address and its key from the environment, and shows that key to no other address", () =>
    Effect.gen(function* () {
      const config = (env: Record<string, string>, options: QdrantVectorStore.Options = {}) =>
        Effect.provide(
          VectorStore.count(),
          QdrantVectorStore.layerConfig({ collection: "configured", ...options }).pipe(
            Layer.provide(UndiciHttpClient.layer()),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
          )
        )
      assert.strictEqual(yield* config({ QDRANT_URL: `${qdrant.url}/`, QDRANT_API_KEY: secret }), 0)
      const error = yield* Effect.flip(config({ QDRANT_API_KEY: secret }, { baseUrl: qdrant.url }))
      assert.strictEqual(VectorError.VectorError.isInstance(error) && error.code, "Unauthorized")
    })
  )
})
