/** What is split by how much one request may have. */
import * as Effect from "effect/Effect"
import type { Hit, Limits } from "./driver.ts"
import type { Asked, Ready } from "./inputs.ts"

/** Batches by count and by size, in order. A batch has one item at least. */
export const batchesOf = (
  items: ReadonlyArray<Ready>,
  limits: Pick<Limits, "items" | "bytes">
): ReadonlyArray<ReadonlyArray<Ready>> => {
  const batches: Array<ReadonlyArray<Ready>> = []
  let batch: Array<Ready> = []
  let bytes = 0
  for (const item of items) {
    if (batch.length > 0 && (batch.length >= limits.items || bytes + item.bytes > limits.bytes)) {
      batches.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(item)
    bytes += item.bytes
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

/** Parts of at most `size`, in order. */
export const chunksOf = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> => {
  if (all.length <= size) return all.length === 0 ? [] : [all]
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size))
}

/** Queries that differ in their vectors alone. */
const likeness = ({ filter, limit, withVectors }: Asked): string => JSON.stringify([limit, withVectors, filter])

/** Asks together what is alike, and puts the answers into the order of the queries. */
export const grouped = <E>(
  queries: ReadonlyArray<Asked>,
  concurrency: number,
  ask: (some: ReadonlyArray<Asked>, first: Asked) => Effect.Effect<ReadonlyArray<ReadonlyArray<Hit>>, E>
): Effect.Effect<ReadonlyArray<ReadonlyArray<Hit>>, E> => {
  const groups = [...Map.groupBy(queries, likeness).values()]
  const asked = Effect.forEach(
    groups,
    (some) => {
      const [first] = some
      return first === undefined ? Effect.succeed([]) : ask(some, first)
    },
    { concurrency }
  )
  return Effect.map(asked, (answers) => {
    const byQuery = new Map<Asked, ReadonlyArray<Hit>>()
    for (const [at, some] of groups.entries())
      for (const [place, query] of some.entries()) byQuery.set(query, answers[at]?.[place] ?? [])
    return queries.map((query) => byQuery.get(query) ?? [])
  })
}
