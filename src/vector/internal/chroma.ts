/**
 * The wire format of Chroma's HTTP API v2 (https://docs.trychroma.com/reference/server, seen on a server 1.0.5 in 2026-11):
 * columns of ids, embeddings, documents and metadatas.
 */
import * as Result from "effect/Result"
import type { Value } from "../MetadataFilter.ts"
import type { Metadata, Metric, Stored, Vector } from "../VectorStore.ts"
import type { Hit } from "./driver.ts"
import type { Condition, Leaf } from "./filters.ts"
import type { Asked, Ready } from "./inputs.ts"
import { isFields, listOf, member, metadataOf, numbersOf, textOf } from "./json.ts"
import { cosineDistance } from "./metrics.ts"

/** What Chroma calls the metrics. */
export const spaces = { cosine: "cosine", dot: "ip", euclidean: "l2" } as const

/** Its distances are 1 − cos, 1 − a·b and the square of |a − b|. */
const distanceOf = (metric: Metric, raw: number): number => {
  if (metric === "cosine") return cosineDistance(raw)
  return metric === "dot" ? raw - 1 : Math.sqrt(Math.max(0, raw))
}

/** A list of values must have one type, and whole numbers are another one than numbers. */
const typeOf = (value: Value): string => (Number.isInteger(value) ? "integer" : typeof value)

const amongOf = (field: string, op: "$in" | "$nin", values: ReadonlyArray<Value>): ReadonlyArray<object> =>
  [...Map.groupBy(values, typeOf).values()].map((some) => ({ [field]: { [op]: some } }))

const joined = (word: "$and" | "$or", parts: ReadonlyArray<object>): object =>
  parts.length === 1 ? (parts[0] ?? {}) : { [word]: parts }

const leafOf = (leaf: Leaf): object => {
  switch (leaf.op) {
    case "in":
      return joined("$or", amongOf(leaf.field, "$in", leaf.values))
    case "nin":
      return joined("$and", amongOf(leaf.field, "$nin", leaf.values))
    default:
      return { [leaf.field]: { [`$${leaf.op}`]: leaf.value } }
  }
}

export const whereOf = (condition: Condition): object =>
  "parts" in condition
    ? joined(condition.op === "and" ? "$and" : "$or", condition.parts.map(whereOf))
    : leafOf(condition)

/** What is there already, of an item that is stored again. */
export interface Known {
  readonly names: ReadonlyArray<string>
  readonly hasText: boolean
}

/** Metadata are merged with those that are there: names that are not to stay are sent as null. */
const replacing = (metadata: Metadata, known: Known | undefined): object | null => {
  const stale = (known?.names ?? []).filter((name) => !Object.hasOwn(metadata, name))
  const all = { ...Object.fromEntries(stale.map((name) => [name, null])), ...metadata }
  return Object.keys(all).length === 0 ? null : all
}

const base64Of = (vector: Vector): string => {
  const { buffer } = Float32Array.from(vector)
  return Buffer.from(buffer).toString("base64")
}

export const upsertOf = (
  items: ReadonlyArray<Ready>,
  known: ReadonlyMap<string, Known>,
  supportsBase64: boolean
): object => ({
  ids: items.map(({ id }) => id),
  embeddings: items.map(({ vector }) => (supportsBase64 ? base64Of(vector) : Array.from(vector))),
  // A text cannot be taken away, and null leaves it: an empty one is none.
  documents: items.map(({ id, text }) => text ?? (known.get(id)?.hasText === true ? "" : null)),
  metadatas: items.map(({ id, metadata }) => replacing(metadata, known.get(id)))
})

const included = (withVectors: boolean, ...more: ReadonlyArray<string>): ReadonlyArray<string> => [
  "documents",
  "metadatas",
  ...more,
  ...(withVectors ? ["embeddings"] : [])
]

const whereIn = (filter: Condition | undefined): object => (filter === undefined ? {} : { where: whereOf(filter) })

export const queryOf = (vectors: ReadonlyArray<Vector>, { filter, limit, withVectors }: Asked): object => ({
  query_embeddings: vectors.map((vector) => Array.from(vector)),
  n_results: limit,
  include: included(withVectors, "distances"),
  ...whereIn(filter)
})

export const getOf = (ids: ReadonlyArray<string>, withVectors: boolean): object => ({
  ids,
  include: included(withVectors)
})

export const pageOf = (
  filter: Condition | undefined,
  limit: number,
  offset: number,
  include = included(false)
): object => ({ limit, offset, include, ...whereIn(filter) })

/** A page with what is asked for of each item. */
export const columnsOf = (withVectors: boolean): ReadonlyArray<string> => included(withVectors)

/** One item out of columns. */
const storedAt = (columns: unknown, ids: ReadonlyArray<unknown>, at: number, row?: number): Stored => {
  const column = (name: string): ReadonlyArray<unknown> => {
    const whole = member(columns, name)
    return listOf(row === undefined ? whole : listOf(whole)?.[row]) ?? []
  }
  return {
    id: String(ids[at]),
    text: textOf(column("documents")[at]),
    metadata: metadataOf(column("metadatas")[at]),
    vector: numbersOf(column("embeddings")[at])
  }
}

/** The items of a `get`. */
export const readItems = (value: unknown): Result.Result<ReadonlyArray<Stored>, string> => {
  const ids = listOf(member(value, "ids"))
  return ids === undefined ? Result.fail("no ids") : Result.succeed(ids.map((_, at) => storedAt(value, ids, at)))
}

/** The hits of a `query`, a row for each of its vectors. */
export const readHits =
  (metric: Metric, queries: number) =>
  (value: unknown): Result.Result<ReadonlyArray<ReadonlyArray<Hit>>, string> => {
    const rows = listOf(member(value, "ids"))
    if (rows?.length !== queries) return Result.fail(`ids of ${rows?.length ?? 0} queries, of ${queries}`)
    const distances = listOf(member(value, "distances")) ?? []
    const hits = rows.map((row, at) => {
      const ids = listOf(row) ?? []
      const far = numbersOf(distances[at])
      return far?.length === ids.length
        ? ids.map((_, place): Hit => ({
            ...storedAt(value, ids, place, at),
            distance: distanceOf(metric, far[place] ?? 0)
          }))
        : undefined
    })
    return hits.every((row) => row !== undefined) ? Result.succeed(hits) : Result.fail("no distances")
  }

/** What is known of items that are there. */
export const readKnown = (value: unknown): Result.Result<ReadonlyMap<string, Known>, string> =>
  Result.map(
    readItems(value),
    (items) =>
      new Map(
        items.map(({ id, text }, at) => {
          const metadata = listOf(member(value, "metadatas"))?.[at]
          return [id, { names: isFields(metadata) ? Object.keys(metadata) : [], hasText: text !== undefined }]
        })
      )
  )

export const readCount = (value: unknown): Result.Result<number, string> =>
  typeof value === "number" ? Result.succeed(value) : Result.fail("no number")

export interface Description {
  readonly id: string
  readonly space: string | undefined
  readonly dimensions: number | undefined
}

/** A collection as it is there. Its space is in the one or the other of two indexes. */
export const readDescription = (value: unknown): Result.Result<Description, string> => {
  const [id, dimensions] = [member(value, "id"), member(value, "dimension")]
  if (typeof id !== "string") return Result.fail("no id of the collection")
  const configuration = member(value, "configuration_json")
  const space = textOf(
    member(member(configuration, "hnsw"), "space") ?? member(member(configuration, "spann"), "space")
  )
  return Result.succeed({ id, space, dimensions: typeof dimensions === "number" ? dimensions : undefined })
}

/** What the server takes at once. */
export interface Checks {
  readonly maxItems: number | undefined
  readonly supportsBase64: boolean
}

export const readChecks = (value: unknown): Result.Result<Checks, string> => {
  const most = member(value, "max_batch_size")
  const maxItems = typeof most === "number" && most >= 1 ? most : undefined
  return Result.succeed({ maxItems, supportsBase64: member(value, "supports_base64_encoding") === true })
}
