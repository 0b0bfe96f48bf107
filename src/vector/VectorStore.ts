/**
 * A store of vectors: items in by their ids, and out by how near they are.
 *
 * This module says what a store does. `MemoryVectorStore`, `SqliteVectorStore`, `PostgresVectorStore`, `ChromaVectorStore`
 * and `QdrantVectorStore` say how.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Filter, Kind, Value } from "./MetadataFilter.ts"
import type { VectorError } from "./VectorError.ts"

/** Numbers; all of one collection have the same length. Stores keep 32 bits of each. */
export type Vector = ReadonlyArray<number> | Float32Array

/** What belongs to an item and can be filtered by. */
export type Metadata = Readonly<Record<string, Value>>

/**
 * How near two vectors are. A match has its `distance`, where less is nearer, and its `score`, where more is nearer:
 *
 * - `"cosine"`: distance 1 − cos, from 0 to 2; score cos, from −1 to 1
 * - `"dot"`: distance −a·b; score a·b
 * - `"euclidean"`: distance |a − b|; score 1 / (1 + distance), from 0 to 1
 */
export type Metric = "cosine" | "dot" | "euclidean"

/** What is stored. */
export interface Item {
  /** Not empty; storing another item by the same id replaces this one. At most 512 characters. */
  readonly id: string
  readonly vector: Vector
  /** What the vector stands for. Default: none, and an empty one is none. */
  readonly text?: string | undefined
  /** Default: none. */
  readonly metadata?: Metadata | undefined
}

/** What is found. */
export interface Stored {
  readonly id: string
  readonly text: string | undefined
  readonly metadata: Metadata
  /** Where it was asked for. Qdrant gives it at length 1 where the metric is cosine. */
  readonly vector: ReadonlyArray<number> | undefined
}

/** What is found by a vector. */
export interface Match extends Stored {
  /** More is nearer, whatever the metric. */
  readonly score: number
  /** Less is nearer. */
  readonly distance: number
}

/** What is looked for. */
export interface Query {
  readonly vector: Vector
  /** The most matches, 1 to 10 000. Default: `10`. */
  readonly limit?: number | undefined
  /** Default: all items. */
  readonly filter?: Filter | undefined
  /** Matches with a lower score are left out. Default: none is. */
  readonly minScore?: number | undefined
  /** Default: `false`. */
  readonly withVectors?: boolean | undefined
}

/** What is read from end to end. */
export interface Scan {
  /** Default: all items. */
  readonly filter?: Filter | undefined
  /** Default: `false`. */
  readonly withVectors?: boolean | undefined
  /** Items that are fetched at a time. Default: `1000`. */
  readonly pageSize?: number | undefined
}

/** What every store is told. */
export interface Options {
  /** Default: `"cosine"`. */
  readonly metric?: Metric | undefined
  /** The length of all vectors. Default: that of the first one. */
  readonly dimensions?: number | undefined
  /**
   * The metadata that items may have, and of which kind it is. Then anything else is refused, in items and in filters.
   * Default: anything is taken, and a filter by a field that no item has finds none.
   */
  readonly fields?: Readonly<Record<string, Kind>> | undefined
}

/** Stores vectors and finds those that are near. */
export class VectorStore extends Context.Service<
  VectorStore,
  {
    /** Stores an item, in the place of one with the same id. Doing it twice is doing it once. */
    readonly upsert: (item: Item) => Effect.Effect<void, VectorError>
    /**
     * Stores any number of items, in batches. What is wrong with one of them is found before the first is sent. When a
     * batch fails, the error says which items are not known to be stored; interrupting leaves whole batches.
     */
    readonly upsertMany: (items: ReadonlyArray<Item>) => Effect.Effect<void, VectorError>
    /** The nearest items, the nearest first. */
    readonly search: (query: Query) => Effect.Effect<ReadonlyArray<Match>, VectorError>
    /** The matches of each query, in the order of the queries, in as few requests as the store can do with. */
    readonly searchMany: (
      queries: ReadonlyArray<Query>
    ) => Effect.Effect<ReadonlyArray<ReadonlyArray<Match>>, VectorError>
    /** Removes items by their ids, or those that pass a filter. What is not there is removed already. */
    readonly remove: (which: string | ReadonlyArray<string> | Filter) => Effect.Effect<void, VectorError>
    /** The items that are there, in the order of the ids. */
    readonly get: (
      ids: ReadonlyArray<string>,
      options?: { readonly withVectors?: boolean | undefined }
    ) => Effect.Effect<ReadonlyArray<Stored>, VectorError>
    /** How many items there are, or how many pass a filter. */
    readonly count: (filter?: Filter) => Effect.Effect<number, VectorError>
    /**
     * The matches of a query, the nearest first; or all items, page by page and in no order that means anything. An item
     * that is stored or removed meanwhile may be in it or not.
     */
    readonly stream: {
      (query: Query): Stream.Stream<Match, VectorError>
      (scan?: Scan): Stream.Stream<Stored, VectorError>
    }
  }
>()("holdfast/vector/VectorStore") {}

/** Stores an item. */
export const upsert = (item: Item): Effect.Effect<void, VectorError, VectorStore> =>
  Effect.flatMap(VectorStore, (store) => store.upsert(item))

/** Stores any number of items. */
export const upsertMany = (items: ReadonlyArray<Item>): Effect.Effect<void, VectorError, VectorStore> =>
  Effect.flatMap(VectorStore, (store) => store.upsertMany(items))

/** The nearest items. */
export const search = (query: Query): Effect.Effect<ReadonlyArray<Match>, VectorError, VectorStore> =>
  Effect.flatMap(VectorStore, (store) => store.search(query))

/** How many items there are, or how many pass a filter. */
export const count = (filter?: Filter): Effect.Effect<number, VectorError, VectorStore> =>
  Effect.flatMap(VectorStore, (store) => store.count(filter))

/** All items, page by page. */
export const stream = (scan?: Scan): Stream.Stream<Stored, VectorError, VectorStore> =>
  Stream.unwrap(Effect.map(VectorStore, (store) => store.stream(scan)))
