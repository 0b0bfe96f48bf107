/**
 * The wire format of Qdrant's REST API (https://api.qdrant.tech, @qdrant/js-client-rest 1.19, 2026-11): points with a vector
 * and a payload, here `{ id, text, metadata }`, and every answer as `{ result }`.
 */
import * as Result from "effect/Result"
import type { Kind, Value } from "../MetadataFilter.ts"
import type { Metric, Stored } from "../VectorStore.ts"
import type { Cursor, Hit, Page, PageOf } from "./driver.ts"
import type { Condition, Leaf, Order } from "./filters.ts"
import type { Asked, Ready } from "./inputs.ts"
import { listOf, member, metadataOf, numbersOf, textOf } from "./json.ts"
import { cosineDistance } from "./metrics.ts"
import { pointOf } from "./qdrantId.ts"

export const distances = { cosine: "Cosine", dot: "Dot", euclidean: "Euclid" } as const

/** Its scores are the similarity for Cosine and Dot, and the distance for Euclid. */
const distanceOf = (metric: Metric, score: number): number => {
  if (metric === "cosine") return cosineDistance(1 - score)
  return metric === "dot" ? (score === 0 ? 0 : -score) : score
}

/** Names with anything else in them stand in quotes. */
const plainName = /^[a-zA-Z0-9_-]+$/

export const keyOf = (field: string): string => `metadata.${plainName.test(field) ? field : `"${field}"`}`

const range = (field: string, bounds: Readonly<Partial<Record<Order, number>>>): object => ({
  key: keyOf(field),
  range: bounds
})

/** `match` compares whole numbers alone, and 1 is written in two ways. */
const equals = (field: string, value: Value): object =>
  typeof value === "number" ? range(field, { gte: value, lte: value }) : { key: keyOf(field), match: { value } }

const among = (field: string, values: ReadonlyArray<Value>): object => {
  const texts = values.filter((value) => typeof value === "string")
  const others = values.filter((value) => typeof value !== "string").map((value) => equals(field, value))
  return { should: [...(texts.length === 0 ? [] : [{ key: keyOf(field), match: { any: texts } }]), ...others] }
}

const leafOf = (leaf: Leaf): object => {
  switch (leaf.op) {
    case "eq":
      return equals(leaf.field, leaf.value)
    case "ne":
      return { must_not: [equals(leaf.field, leaf.value)] }
    case "in":
      return among(leaf.field, leaf.values)
    case "nin":
      return { must_not: [among(leaf.field, leaf.values)] }
    default:
      return range(leaf.field, { [leaf.op]: leaf.value })
  }
}

const conditionOf = (condition: Condition): object =>
  "parts" in condition
    ? { [condition.op === "and" ? "must" : "should"]: condition.parts.map(conditionOf) }
    : leafOf(condition)

/** A filter is an object of conditions. */
export const filterOf = (condition: Condition): object => ({ must: [conditionOf(condition)] })

const filterIn = (filter: Condition | undefined): object => (filter === undefined ? {} : { filter: filterOf(filter) })

/** The kinds of a field's index. */
export const schemas: Readonly<Record<Kind, string>> = { string: "keyword", number: "float", boolean: "bool" }

export const upsertOf = (items: ReadonlyArray<Ready>): object => ({
  points: items.map(({ id, metadata, text, vector }) => ({
    id: pointOf(id),
    vector: Array.from(vector),
    payload: { id, ...(text === undefined ? undefined : { text }), metadata }
  }))
})

export const searchesOf = (queries: ReadonlyArray<Asked>, efSearch: number | undefined): object => ({
  searches: queries.map(({ filter, limit, vector, withVectors }) => ({
    query: Array.from(vector),
    limit,
    with_payload: true,
    with_vector: withVectors,
    ...(efSearch === undefined ? undefined : { params: { hnsw_ef: Math.max(efSearch, limit) } }),
    ...filterIn(filter)
  }))
})

export const getOf = (ids: ReadonlyArray<string>, withVectors: boolean): object => ({
  ids: ids.map(pointOf),
  with_payload: true,
  with_vector: withVectors
})

export const removeOf = (ids: ReadonlyArray<string>): object => ({ points: ids.map(pointOf) })

export const countOf = (filter: Condition | undefined): object => ({ exact: true, ...filterIn(filter) })

export const scrollOf = ({ cursor, filter, size, withVectors }: PageOf): object => ({
  limit: size,
  with_payload: true,
  with_vector: withVectors,
  ...(cursor === undefined ? undefined : { offset: cursor }),
  ...filterIn(filter)
})

const resultOf = (value: unknown): unknown => member(value, "result")

const storedOf = (point: unknown): Stored => {
  const payload = member(point, "payload")
  const id = member(payload, "id")
  return {
    // Points that others have written have no id but the point's own.
    id: typeof id === "string" ? id : String(member(point, "id")),
    text: textOf(member(payload, "text")),
    metadata: metadataOf(member(payload, "metadata")),
    vector: numbersOf(member(point, "vector"))
  }
}

export const readItems = (value: unknown): Result.Result<ReadonlyArray<Stored>, string> => {
  const points = listOf(resultOf(value))
  return points === undefined ? Result.fail("no list of points") : Result.succeed(points.map(storedOf))
}

export const readHits =
  (metric: Metric, queries: number) =>
  (value: unknown): Result.Result<ReadonlyArray<ReadonlyArray<Hit>>, string> => {
    const answers = listOf(resultOf(value))
    if (answers?.length !== queries) return Result.fail(`${answers?.length ?? 0} answers to ${queries} queries`)
    const read = answers.map((answer) => {
      const points = listOf(member(answer, "points")) ?? []
      const hits = points.flatMap((point): ReadonlyArray<Hit> => {
        const score = member(point, "score")
        return typeof score === "number" ? [{ ...storedOf(point), distance: distanceOf(metric, score) }] : []
      })
      return hits.length === points.length ? hits : undefined
    })
    return read.every((hits) => hits !== undefined) ? Result.succeed(read) : Result.fail("a point without a score")
  }

const isCursor = (value: unknown): value is Cursor => typeof value === "string" || typeof value === "number"

export const readPage = (value: unknown): Result.Result<Page, string> => {
  const points = listOf(member(resultOf(value), "points"))
  if (points === undefined) return Result.fail("no points")
  const next = member(resultOf(value), "next_page_offset")
  return Result.succeed({ items: points.map(storedOf), next: isCursor(next) ? next : undefined })
}

export const readCount = (value: unknown): Result.Result<number, string> => {
  const count = member(resultOf(value), "count")
  return typeof count === "number" ? Result.succeed(count) : Result.fail("no count")
}

/** What a collection holds, as it is there. */
export interface Description {
  readonly size: number | undefined
  readonly distance: string | undefined
}

/** `undefined` where there is none. */
export const readDescription = (value: unknown): Result.Result<Description | undefined, string> => {
  if (resultOf(value) === undefined || resultOf(value) === null) return Result.succeed(undefined)
  const vectors = member(member(member(resultOf(value), "config"), "params"), "vectors")
  const [size, distance] = [member(vectors, "size"), textOf(member(vectors, "distance"))]
  return Result.succeed({ size: typeof size === "number" ? size : undefined, distance })
}
