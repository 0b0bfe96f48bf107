/** What every VectorStore does, whatever is behind it. One suite for every implementation and for the promise client. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Stream } from "effect"
import { type MetadataFilter, VectorError, VectorStore } from "holdfast/vector"

type Options = Pick<VectorStore.Options, "metric" | "dimensions" | "fields"> & { readonly create?: boolean }

/** What an implementation has beyond what all have. */
export interface Able {
  /** It gives vectors back at the length that they had where the metric is cosine. Default: `true`. */
  readonly keepsLength?: boolean
  /** Collections can be missing. Default: `true`. */
  readonly collections?: boolean
  /** Figures differ by no more than this. Default: `1e-6`. */
  readonly precision?: number
}

const north: VectorStore.Item = { id: "north", vector: [0, 2], text: "to the north", metadata: { y: 1, warm: false } }
const east: VectorStore.Item = { id: "east", vector: [1, 0], text: "to the east", metadata: { y: 0, warm: true } }
const northEast: VectorStore.Item = { id: "north-east", vector: [1, 1], metadata: { y: 0.5 } }
const west: VectorStore.Item = { id: "west", vector: [-3, 0] }
const four = [north, east, northEast, west]

/** What filters are tried on: values of each kind, and none. */
const mixed: ReadonlyArray<VectorStore.Item> = [
  { id: "a", vector: [1, 0], metadata: { n: 1, s: "one", b: true, "dot.ted name": "x" } },
  { id: "b", vector: [1, 0], metadata: { n: 2.5, s: "two", b: false } },
  { id: "c", vector: [1, 0], metadata: { n: -3, s: "1", kind: "odd" } },
  { id: "d", vector: [1, 0], metadata: { n: "1", s: "true", b: "true" } },
  { id: "e", vector: [1, 0], metadata: { n: true, s: "quo\"te's \\ and 文字 👩‍👩‍👧" } },
  { id: "f", vector: [1, 0] }
]

const filters: ReadonlyArray<readonly [string, MetadataFilter.Filter]> = [
  ["a", { field: "n", eq: 1 }],
  ["d", { field: "n", eq: "1" }],
  ["e", { field: "n", eq: true }],
  ["bcdef", { field: "n", ne: 1 }],
  ["b", { field: "n", eq: 2.5 }],
  ["ab", { field: "n", gt: 0 }],
  ["ab", { field: "n", gte: 1 }],
  ["b", { field: "n", gt: 1 }],
  ["b", { field: "n", gt: 1.5, lt: 3 }],
  ["ac", { field: "n", lte: 1 }],
  ["c", { field: "n", lt: 1 }],
  ["abd", { field: "n", in: [1, "1", 2.5] }],
  ["cef", { field: "n", nin: [1, "1", 2.5] }],
  ["", { field: "n", in: [] }],
  ["abcdef", { field: "n", nin: [] }],
  ["ab", { field: "s", in: ["one", "two", "three"] }],
  ["e", { field: "s", eq: "quo\"te's \\ and 文字 👩‍👩‍👧" }],
  ["b", { field: "b", eq: false }],
  ["acdef", { field: "b", ne: false }],
  ["a", { field: "dot.ted name", eq: "x" }],
  ["", { field: "dot", eq: "x" }],
  ["", { field: "nobody", eq: 1 }],
  ["abcdef", { field: "nobody", ne: 1 }],
  ["", { field: "nobody", lt: 1 }],
  [
    "a",
    {
      and: [
        { field: "n", gte: 1 },
        { field: "b", eq: true }
      ]
    }
  ],
  [
    "abc",
    {
      or: [
        { field: "n", gte: 1 },
        { field: "kind", eq: "odd" }
      ]
    }
  ],
  ["abcdef", { and: [] }],
  ["", { or: [] }],
  ["abdef", { not: { field: "kind", eq: "odd" } }],
  ["ac", { not: { field: "n", gt: 1 } }],
  [
    "b",
    {
      not: {
        or: [
          { field: "n", lte: 1 },
          { field: "s", ne: "two" }
        ]
      }
    }
  ],
  [
    "bcdef",
    {
      not: {
        and: [
          { field: "n", eq: 1 },
          { field: "s", eq: "one" }
        ]
      }
    }
  ],
  [
    "c",
    {
      and: [
        {
          or: [
            { field: "s", eq: "1" },
            { field: "s", eq: "one" }
          ]
        },
        { not: { field: "b", in: [true] } }
      ]
    }
  ]
]

/** Filters, items and queries that are wrong, each with the code of its error and a part of what it says. */
const wrongItems: ReadonlyArray<readonly [code: string, said: string, ReadonlyArray<VectorStore.Item>]> = [
  ["DimensionMismatch", "items[1].vector has 3 numbers", [east, { id: "long", vector: [1, 2, 3] }]],
  ["InvalidVector", "items[1].vector has NaN at place 1", [east, { id: "nan", vector: [1, Number.NaN] }]],
  ["InvalidVector", "has Infinity at place 0", [{ id: "infinite", vector: [Infinity, 1] }]],
  ["InvalidVector", "has 1e+300 at place 0", [{ id: "huge", vector: [1e300, 1] }]],
  ["InvalidVector", "has no numbers", [{ id: "empty", vector: [] }]],
  ["InvalidVector", "has no direction", [{ id: "zero", vector: [0, 0] }]],
  [
    "InvalidItem",
    `"twice" is the id of items[0] too`,
    [
      { id: "twice", vector: [1, 0] },
      { id: "twice", vector: [0, 1] }
    ]
  ],
  ["InvalidItem", "items[0].id is empty", [{ id: "", vector: [1, 0] }]],
  ["InvalidItem", `items[0].metadata["n"] is NaN`, [{ id: "bad", vector: [1, 0], metadata: { n: Number.NaN } }]],
  ["InvalidItem", "is no name of a field", [{ id: "bad", vector: [1, 0], metadata: { $n: 1 } }]]
]

const wrongFilters: ReadonlyArray<readonly [said: string, unknown]> = [
  ["filter compares nothing", { field: "n" }],
  ["filter has `like`", { field: "n", like: "x" }],
  ["filter has no `field`", {}],
  [
    "filter.and[1].gt is a string",
    {
      and: [
        { field: "n", eq: 1 },
        { field: "n", gt: "1" }
      ]
    }
  ],
  ["filter.not.eq is null", { not: { field: "n", eq: null } }],
  ["filter.in[0] is NaN", { field: "n", in: [Number.NaN] }]
]

const ids = (found: ReadonlyArray<{ readonly id: string }>): ReadonlyArray<string> => found.map(({ id }) => id)
const sorted = (found: ReadonlyArray<{ readonly id: string }>): string => [...ids(found)].sort().join("")

/** A filter as a program without types may give it. */
const asFilter = (filter: unknown): MetadataFilter.Filter =>
  JSON.parse(
    JSON.stringify(filter, (_, value) => (Number.isNaN(value) ? "NaN" : value)),
    (_, value) => (value === "NaN" ? Number.NaN : value)
  )

/** Runs the suite. `make` gives a store over a collection of its own, empty, at each call. */
export const vectorContract = <E>(
  name: string,
  make: (options: Options) => Layer.Layer<VectorStore.VectorStore, E>,
  able: Able = {}
): void => {
  describe(`${name} as a VectorStore`, () => {
    const { collections = true, keepsLength = true, precision = 1e-6 } = able

    /** Runs on the time of the machine, with a store of its own. */
    const test = <A, F>(
      title: string,
      run: Effect.Effect<A, F, VectorStore.VectorStore>,
      options: Options = {}
    ): void => it.live(title, () => Effect.provide(run, make(options)))

    const near = (actual: number | undefined, expected: number): void =>
      assert.closeTo(actual ?? Number.NaN, expected, precision * Math.max(1, Math.abs(expected)))

    const expected: Readonly<Record<VectorStore.Metric, ReadonlyArray<readonly [string, number, number]>>> = {
      cosine: [
        ["north-east", 0.9486833, 0.0513167],
        ["north", 0.8944272, 0.1055728],
        ["east", 0.4472136, 0.5527864],
        ["west", -0.4472136, 1.4472136]
      ],
      dot: [
        ["north", 4, -4],
        ["north-east", 3, -3],
        ["east", 1, -1],
        ["west", -3, 3]
      ],
      euclidean: [
        ["north", 0.5, 1],
        ["north-east", 0.5, 1],
        ["east", 1 / 3, 2],
        ["west", 1 / (1 + Math.sqrt(20)), Math.sqrt(20)]
      ]
    }

    for (const metric of ["cosine", "dot", "euclidean"] as const) {
      test(
        `finds the nearest by ${metric}, a higher score first`,
        Effect.gen(function* () {
          const store = yield* VectorStore.VectorStore
          yield* store.upsertMany(four)
          const matches = yield* store.search({ vector: [1, 2] })
          assert.strictEqual(matches.length, 4)
          for (const [id, score, distance] of expected[metric]) {
            const match = matches.find((match) => match.id === id)
            near(match?.score, score)
            near(match?.distance, distance)
          }
          const scores = matches.map(({ score }) => score)
          assert.deepStrictEqual(
            scores,
            scores.toSorted((a, b) => b - a)
          )
        }),
        { metric }
      )
    }

    test(
      "gives back what was stored, in the order that it is asked for",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(four)
        const [a, b, c, ...more] = yield* store.get(["west", "nobody", "north", "north-east", "west"])
        assert.deepStrictEqual(a, { id: "west", text: undefined, metadata: {}, vector: undefined })
        assert.deepStrictEqual(b, {
          id: "north",
          text: "to the north",
          metadata: { y: 1, warm: false },
          vector: undefined
        })
        assert.deepStrictEqual([c?.id, c?.metadata, more], ["north-east", { y: 0.5 }, []])
        assert.deepStrictEqual(yield* store.get([]), [])
      })
    )

    test(
      "gives vectors where they are asked for",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(four)
        const [stored] = yield* store.get(["north"], { withVectors: true })
        const [match] = yield* store.search({ vector: [0, 1], limit: 1, withVectors: true })
        const [scanned] = yield* Stream.runCollect(store.stream({ filter: { field: "y", eq: 1 }, withVectors: true }))
        for (const found of [stored, match, scanned]) assert.deepStrictEqual(found?.vector, [0, keepsLength ? 2 : 1])
        const [plain] = yield* store.search({ vector: [0, 1], limit: 1 })
        assert.deepStrictEqual(plain?.vector, undefined)
      })
    )

    test(
      "replaces the whole of an item by another with its id",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(four)
        yield* store.upsert({ id: "north", vector: [0, -1], metadata: { fresh: true } })
        assert.strictEqual(yield* store.count(), 4)
        assert.deepStrictEqual(yield* store.get(["north"]), [
          { id: "north", text: undefined, metadata: { fresh: true }, vector: undefined }
        ])
        assert.deepStrictEqual(ids(yield* store.search({ vector: [0, -1], limit: 1 })), ["north"])
        assert.strictEqual(yield* store.count({ field: "y", eq: 1 }), 0)
        yield* store.upsert({ id: "north", vector: [0, -1] })
        assert.deepStrictEqual(yield* store.get(["north"]), [
          { id: "north", text: undefined, metadata: {}, vector: undefined }
        ])
      })
    )

    test(
      "stores twice as once",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(four)
        const before = yield* store.search({ vector: [1, 2], withVectors: true })
        yield* store.upsertMany(four)
        assert.strictEqual(yield* store.count(), 4)
        assert.deepStrictEqual(yield* store.search({ vector: [1, 2], withVectors: true }), before)
      })
    )

    test(
      "takes any id and any text",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        const names = [
          "a/b?c#d&e=f",
          "👩‍👩‍👧",
          "'; DROP TABLE x; --",
          `"quo\\ted"`,
          "42",
          "00000000-0000-4000-8000-000000000001",
          " "
        ]
        const text = `line\none\t"two" \u2028 ${"long ".repeat(2000)} 文字`
        yield* store.upsertMany(names.map((id) => ({ id, vector: [1, 0], text, metadata: { id } })))
        const found = yield* store.get(names)
        assert.deepStrictEqual(ids(found), names)
        assert.isTrue(found.every((item) => item.text === text && item.metadata["id"] === item.id))
        assert.deepStrictEqual(sorted(yield* store.search({ vector: [1, 0] })), [...names].sort().join(""))
      })
    )

    test(
      "keeps whole characters of a text that was cut through one",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsert({ id: "cut", vector: [1, 0], text: "half \ud83d", metadata: { s: "\udc69" } })
        const [found] = yield* store.get(["cut"])
        assert.deepStrictEqual([found?.text, found?.metadata], ["half \ufffd", { s: "\ufffd" }])
        assert.strictEqual(yield* store.count({ field: "s", eq: "\udc69" }), 1)
      })
    )

    test(
      "bounds matches by limit and by score",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(four)
        assert.deepStrictEqual(ids(yield* store.search({ vector: [1, 2], limit: 2 })), ["north-east", "north"])
        assert.deepStrictEqual(ids(yield* store.search({ vector: [1, 2], minScore: 0 })), [
          "north-east",
          "north",
          "east"
        ])
        assert.deepStrictEqual(ids(yield* store.search({ vector: [1, 2], limit: 1, minScore: 0.99 })), [])
      })
    )

    test(
      "filters as every store does",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(mixed)
        for (const [expected, filter] of filters) {
          const found = yield* store.search({ vector: [1, 0], filter })
          assert.strictEqual(sorted(found), expected, JSON.stringify(filter))
          assert.strictEqual(yield* store.count(filter), expected.length, JSON.stringify(filter))
        }
        const scanned = yield* Stream.runCollect(store.stream({ filter: { field: "n", gt: 0 }, pageSize: 1 }))
        assert.strictEqual(sorted(scanned), "ab")
      })
    )

    test(
      "answers many queries in their order, each with its own limit and filter",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(four)
        const found = yield* store.searchMany([
          { vector: [0, 1], limit: 1 },
          { vector: [1, 0], limit: 2 },
          { vector: [1, 0], filter: { or: [] } },
          { vector: [0, 1], limit: 1, filter: { field: "warm", eq: true } },
          { vector: [-1, 0], limit: 1, withVectors: true }
        ])
        assert.deepStrictEqual(found.map(ids), [["north"], ["east", "north-east"], [], ["east"], ["west"]])
        assert.deepStrictEqual(
          found.map(([match]) => match?.vector === undefined),
          [true, true, true, true, false]
        )
        assert.deepStrictEqual(yield* store.searchMany([]), [])
      })
    )

    test(
      "removes by ids and by a filter, and nothing else",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany([...four, { id: "south", vector: [0, -1] }])
        yield* store.remove("west")
        yield* store.remove(["south", "nobody"])
        yield* store.remove([])
        assert.strictEqual(yield* store.count(), 3)
        yield* store.remove({ field: "warm", in: [true, false] })
        yield* store.remove({ or: [] })
        assert.deepStrictEqual(ids(yield* store.search({ vector: [1, 2] })), ["north-east"])
        const error = yield* Effect.flip(store.remove({ and: [] }))
        assert.deepStrictEqual([error.code, yield* store.count()], ["InvalidFilter", 1])
        yield* store.upsert(west)
        assert.deepStrictEqual(sorted(yield* store.search({ vector: [1, 2] })), "north-eastwest")
      })
    )

    test(
      "streams every item once, page by page, and the matches of a query in order",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(Array.from({ length: 25 }, (_, at) => ({ id: `item ${at}`, vector: [at + 1, 1] })))
        for (const pageSize of [1, 5, 7, 25, 1000]) {
          const all = yield* Stream.runCollect(store.stream({ pageSize }))
          assert.strictEqual(new Set(ids(all)).size, 25)
          assert.strictEqual(all.length, 25)
        }
        assert.strictEqual((yield* Stream.runCollect(store.stream().pipe(Stream.take(3)))).length, 3)
        const matches = yield* Stream.runCollect(store.stream({ vector: [1, 1], limit: 2 }))
        assert.deepStrictEqual(ids(matches), ["item 0", "item 1"])
      })
    )

    test(
      "is empty before its first item",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        assert.deepStrictEqual(yield* store.search({ vector: [1, 2] }), [])
        assert.deepStrictEqual(yield* store.get(["north"]), [])
        assert.strictEqual(yield* store.count(), 0)
        assert.deepStrictEqual(yield* Stream.runCollect(store.stream()), [])
        yield* store.remove("north")
        yield* store.remove({ field: "y", eq: 1 })
        yield* store.upsertMany([])
        assert.strictEqual(yield* store.count(), 0)
        yield* store.upsert(north)
        assert.strictEqual(yield* store.count(), 1)
      })
    )

    test(
      "stores more than one request takes",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        const items = Array.from({ length: 2300 }, (_, at) => ({ id: `item ${at}`, vector: [at, 1], metadata: { at } }))
        yield* store.upsertMany(items)
        assert.strictEqual(yield* store.count(), 2300)
        assert.strictEqual(yield* store.count({ field: "at", gte: 2299 }), 1)
        yield* store.remove(items.slice(0, 2200).map(({ id }) => id))
        assert.strictEqual(yield* store.count(), 100)
      })
    )

    test(
      "refuses items that are wrong with one clear error, and stores none of their call",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsert(north)
        for (const [code, said, items] of wrongItems) {
          const error = yield* Effect.flip(store.upsertMany(items))
          assert.isTrue(VectorError.VectorError.isInstance(error))
          assert.strictEqual(error.code, code, said)
          assert.include(error.message, said)
          assert.deepInclude(error, { isRetryable: false, phase: "notSent" })
          assert.strictEqual(error.finished ?? 0, 0)
        }
        assert.strictEqual(yield* store.count(), 1)
      })
    )

    test(
      "refuses queries and filters that are wrong",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsert(north)
        const long = yield* Effect.flip(store.search({ vector: [1, 2, 3] }))
        assert.strictEqual(long.code, "DimensionMismatch")
        assert.include(long.message, "query.vector has 3 numbers, and the collection's vectors have 2")
        const nan = yield* Effect.flip(store.searchMany([{ vector: [1, 2] }, { vector: [Number.NaN, 2] }]))
        assert.deepStrictEqual([nan.code, nan.message.includes("queries[1].vector")], ["InvalidVector", true])
        for (const limit of [0, -1, 1.5, 10_001, Number.NaN])
          assert.strictEqual((yield* Effect.flip(store.search({ vector: [1, 2], limit }))).code, "InvalidRequest")
        for (const [said, wrong] of wrongFilters) {
          const error = yield* Effect.flip(store.search({ vector: [1, 2], filter: asFilter(wrong) }))
          assert.strictEqual(error.code, "InvalidFilter", said)
          assert.include(error.message, said)
          assert.strictEqual((yield* Effect.flip(store.count(asFilter(wrong)))).code, "InvalidFilter")
        }
      })
    )

    test(
      "refuses the first items of two lengths",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        const error = yield* Effect.flip(
          store.upsertMany([
            { id: "a", vector: [1, 2, 3] },
            { id: "b", vector: [1, 2] }
          ])
        )
        assert.include(error.message, "items[1].vector has 2 numbers, and the collection's vectors have 3")
        assert.strictEqual(yield* store.count(), 0)
      })
    )

    test(
      "takes only the length that it was made for",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        const error = yield* Effect.flip(store.upsert({ id: "a", vector: [1, 2] }))
        assert.strictEqual(error.code, "DimensionMismatch")
        yield* store.upsert({ id: "a", vector: [1, 2, 3] })
      }),
      { dimensions: 3 }
    )

    test(
      "holds items and filters against the fields that it was told of",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsert({ id: "a", vector: [1, 0], metadata: { year: 2026, lang: "en" } })
        const wrong = [
          yield* Effect.flip(store.upsert({ id: "b", vector: [1, 0], metadata: { yaer: 1 } })),
          yield* Effect.flip(store.upsert({ id: "b", vector: [1, 0], metadata: { year: "1" } })),
          yield* Effect.flip(store.search({ vector: [1, 0], filter: { field: "yaer", eq: 1 } })),
          yield* Effect.flip(store.count({ field: "year", eq: "2026" }))
        ]
        assert.deepStrictEqual(
          wrong.map(({ code }) => code),
          ["InvalidItem", "InvalidItem", "InvalidFilter", "InvalidFilter"]
        )
        assert.include(wrong[2]?.message, `"yaer" is not a field of this store; there are year, lang`)
        assert.strictEqual(yield* store.count({ field: "year", gte: 2026, lt: 2027 }), 1)
      }),
      { fields: { year: "number", lang: "string" } }
    )

    if (!collections) return

    test(
      "says that a collection is missing where it may not make it",
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        const failed = [
          yield* Effect.flip(store.search({ vector: [1, 2] })),
          yield* Effect.flip(store.upsert(north)),
          yield* Effect.flip(store.count()),
          yield* Effect.flip(Stream.runCollect(store.stream()))
        ]
        for (const error of failed) {
          assert.deepInclude(error, { code: "CollectionNotFound", isRetryable: false })
          assert.include(error.message, "there is no collection")
        }
      }),
      { create: false, dimensions: 2 }
    )
  })
}
