/** What all stores share: filters, against a simple reading of them. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { type MetadataFilter, MemoryVectorStore, SqliteVectorStore, VectorStore } from "holdfast/vector"
import { randomOf } from "../fixtures/vectors.ts"

const fields = ["a", "b", "c d"]
const values: ReadonlyArray<MetadataFilter.Value> = [0, 1, -2, 1.5, "", "1", "x", true, false]

const pick = <A>(random: () => number, all: readonly [A, ...ReadonlyArray<A>] | ReadonlyArray<A>): A => {
  const one = all[Math.floor(random() * all.length)]
  if (one === undefined) throw new Error("nothing to pick from")
  return one
}

const draw = (random: () => number, depth: number): MetadataFilter.Filter => {
  const kind = depth === 0 ? 0 : random()
  const several = (): ReadonlyArray<MetadataFilter.Filter> =>
    Array.from({ length: Math.floor(random() * 4) }, () => draw(random, depth - 1))
  if (kind > 0.8) return { and: several() }
  if (kind > 0.6) return { or: several() }
  if (kind > 0.45) return { not: draw(random, depth - 1) }
  const field = pick(random, fields)
  const op = pick(random, ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"])
  if (op === "in" || op === "nin")
    return { field, [op]: [pick(random, values), pick(random, values)].slice(Math.floor(random() * 3)) }
  return { field, [op]: op === "eq" || op === "ne" ? pick(random, values) : pick(random, [0, 1, -2, 1.5]) }
}

/** A filter as the documentation has it, without any of the ways in which stores are told it. */
const reads = (filter: MetadataFilter.Filter, metadata: VectorStore.Metadata, isOpposite = false): boolean => {
  if ("not" in filter) return reads(filter.not, metadata, !isOpposite)
  if ("and" in filter)
    return isOpposite
      ? filter.and.some((one) => reads(one, metadata, true))
      : filter.and.every((one) => reads(one, metadata))
  if ("or" in filter)
    return isOpposite
      ? filter.or.every((one) => reads(one, metadata, true))
      : filter.or.some((one) => reads(one, metadata))
  const { field, ...operators } = filter
  const value = metadata[field]
  const number = typeof value === "number" ? value : Number.NaN
  const results = Object.entries(operators).map(([op, wanted]): boolean => {
    const is = (name: string, other: string): boolean => op === (isOpposite ? other : name)
    const bound = typeof wanted === "number" ? wanted : Number.NaN
    const among = Array.isArray(wanted) && value !== undefined && wanted.includes(value)
    if (is("eq", "ne")) return value === wanted
    if (is("ne", "eq")) return value !== wanted
    if (is("in", "nin")) return among
    if (is("nin", "in")) return !among
    if (is("gt", "lte")) return number > bound
    if (is("gte", "lt")) return number >= bound
    return is("lt", "gte") ? number < bound : number <= bound
  })
  return isOpposite ? results.some(Boolean) : results.every(Boolean)
}

const random = randomOf(11)
const stored: ReadonlyArray<VectorStore.Item & { readonly metadata: VectorStore.Metadata }> = Array.from(
  { length: 60 },
  (_, at) => ({
    id: `item ${at}`,
    vector: [random() - 0.5, random() - 0.5],
    metadata: Object.fromEntries(fields.flatMap((field) => (random() < 0.3 ? [] : [[field, pick(random, values)]])))
  })
)

for (const [name, layer] of [
  ["MemoryVectorStore", MemoryVectorStore.layer()],
  ["SqliteVectorStore", SqliteVectorStore.layer({ path: ":memory:" })],
  ["SqliteVectorStore without memory", SqliteVectorStore.layer({ path: ":memory:", maxMemoryBytes: 0 })]
] as const)
  it.live(`${name} filters as the documentation says, whatever the filter`, () =>
    Effect.gen(function* () {
      const store = yield* VectorStore.VectorStore
      yield* store.upsertMany(stored)
      const draws = randomOf(5)
      for (let round = 0; round < 250; round++) {
        const filter = draw(draws, 3)
        const wanted = stored.filter(({ metadata }) => reads(filter, metadata)).map(({ id }) => id)
        const found = yield* store.search({ vector: [1, 0], filter, limit: 100 })
        assert.sameMembers(
          found.map(({ id }) => id),
          wanted,
          JSON.stringify(filter)
        )
      }
    }).pipe(Effect.provide(layer))
  )
