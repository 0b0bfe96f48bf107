/** Vector stores for plain programs: the same nouns and options, over any of the stores. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import * as Deadline from "../policy/Deadline.ts"
import type * as ChromaVectorStore from "../vector/ChromaVectorStore.ts"
import type { Filter } from "../vector/MetadataFilter.ts"
import type * as PostgresVectorStore from "../vector/PostgresVectorStore.ts"
import type * as QdrantVectorStore from "../vector/QdrantVectorStore.ts"
import type * as SqliteVectorStore from "../vector/SqliteVectorStore.ts"
import type { VectorError } from "../vector/VectorError.ts"
import {
  type Item,
  type Match,
  type Options,
  type Query,
  type Scan,
  type Stored,
  VectorStore
} from "../vector/VectorStore.ts"
import { type Calls, heard, iterate, run } from "./Bridge.ts"
import { checkCall, signalOf } from "./internal/callOptions.ts"
import { carrying, streamCarrying } from "./internal/carrying.ts"
import { over } from "./internal/over.ts"
import { streamUnder, together, under } from "./internal/whole.ts"
import type { CallOptions, RequestOptions } from "./Options.ts"

/** In this process, gone with the client. */
export interface MemoryVectorsOptions extends Options {
  readonly provider: "memory"
}

/** In a file. Defaults and meanings are those of `SqliteVectorStore.Options`. */
export interface SqliteVectorsOptions extends Omit<SqliteVectorStore.Options, "policy"> {
  readonly provider: "sqlite"
}

/** In PostgreSQL, by pgvector and `@effect/sql-pg`. Defaults and meanings are those of `PostgresVectorStore.Options`. */
export interface PostgresVectorsOptions extends Omit<PostgresVectorStore.Options, "policy"> {
  readonly provider: "postgres"
  /** `postgres://user:password@host:5432/database`. Default: the variable `DATABASE_URL`. */
  readonly url?: string | undefined
  /** Connections at most. Default: `10`. */
  readonly maxConnections?: number | undefined
}

/** In a Chroma server. Defaults and meanings are those of `ChromaVectorStore.Options`. */
export interface ChromaVectorsOptions extends Omit<ChromaVectorStore.Options, "apiKey" | "policy"> {
  readonly provider: "chroma"
  /** Default: the variable `CHROMA_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

/** In a Qdrant server. Defaults and meanings are those of `QdrantVectorStore.Options`. */
export interface QdrantVectorsOptions extends Omit<QdrantVectorStore.Options, "apiKey" | "policy"> {
  readonly provider: "qdrant"
  /** Default: the variable `QDRANT_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

/** Which store keeps vectors. The client's `retry` and `timeout` hold for the calls of those that are servers. */
export type VectorsOptions =
  | MemoryVectorsOptions
  | SqliteVectorsOptions
  | PostgresVectorsOptions
  | ChromaVectorsOptions
  | QdrantVectorsOptions

/** `timeout` holds for all requests of a call together. */
export interface VectorCallOptions extends RequestOptions {}

/** Rejects with a `VectorError`. */
export interface Vectors {
  /** Stores an item, in the place of one with the same id. Doing it twice is doing it once. */
  readonly upsert: (item: Item, options?: VectorCallOptions) => Promise<void>
  /** Stores any number of items, in batches; after a failure, `error.unfinished` has the ids of those to store again. */
  readonly upsertMany: (items: ReadonlyArray<Item>, options?: VectorCallOptions) => Promise<void>
  /** The nearest items, the nearest first. */
  readonly search: (query: Query, options?: VectorCallOptions) => Promise<ReadonlyArray<Match>>
  /** The matches of each query, in the order of the queries, in as few requests as the store can do with. */
  readonly searchMany: (
    queries: ReadonlyArray<Query>,
    options?: VectorCallOptions
  ) => Promise<ReadonlyArray<ReadonlyArray<Match>>>
  /** Removes items by their ids, or those that pass a filter. What is not there is removed already. */
  readonly remove: (which: string | ReadonlyArray<string> | Filter, options?: VectorCallOptions) => Promise<void>
  /** The items that are there, in the order of the ids. */
  readonly get: (
    ids: ReadonlyArray<string>,
    options?: VectorCallOptions & { readonly withVectors?: boolean | undefined }
  ) => Promise<ReadonlyArray<Stored>>
  /** How many items there are, or how many pass a filter. */
  readonly count: (filter?: Filter, options?: VectorCallOptions) => Promise<number>
  /** The matches of a query, the nearest first; or all items, page by page. Leaving the loop fetches no more. */
  readonly stream: {
    (query: Query, options?: VectorCallOptions): AsyncIterableIterator<Match> & AsyncDisposable
    (scan?: Scan, options?: VectorCallOptions): AsyncIterableIterator<Stored> & AsyncDisposable
  }
}

type Service = VectorStore["Service"]

/** The methods over a runtime that is built on first use. Calls keep within a deadline around them. */
export const make = (
  runtime: ManagedRuntime.ManagedRuntime<VectorStore, unknown>,
  calls: Calls,
  defaults: CallOptions,
  deadlineAt: number
): Vectors => {
  const call = <A>(
    given: VectorCallOptions | undefined,
    ask: (store: Service) => Effect.Effect<A, VectorError>
  ): Promise<A> =>
    heard(() => {
      checkCall(given)
      const options = over<VectorCallOptions>(defaults, given)
      const asked = carrying(under(together(Effect.flatMap(VectorStore, ask)), options), options)
      const timed = deadlineAt === Infinity ? asked : Effect.provideService(asked, Deadline.Current, deadlineAt)
      return run(timed, runtime, calls, options.signal)
    }, 2)
  function stream(query: Query, options?: VectorCallOptions): AsyncIterableIterator<Match> & AsyncDisposable
  function stream(scan?: Scan, options?: VectorCallOptions): AsyncIterableIterator<Stored> & AsyncDisposable
  function stream(asked: Query | Scan = {}, given?: VectorCallOptions) {
    const items = Stream.suspend(() => {
      checkCall(given)
      const options = over<VectorCallOptions>(defaults, given)
      const found = Stream.unwrap(Effect.map(VectorStore, (store) => store.stream(asked)))
      return streamCarrying(streamUnder(found, options), options)
    })
    const timed = deadlineAt === Infinity ? items : Stream.provideService(items, Deadline.Current, deadlineAt)
    return iterate(timed, runtime, calls, signalOf(given) ?? defaults.signal)
  }
  return {
    upsert: (item, options) => call(options, (store) => store.upsert(item)),
    upsertMany: (items, options) => call(options, (store) => store.upsertMany(items)),
    search: (query, options) => call(options, (store) => store.search(query)),
    searchMany: (queries, options) => call(options, (store) => store.searchMany(queries)),
    remove: (which, options) => call(options, (store) => store.remove(which)),
    get: (ids, options) => call(options, (store) => store.get(ids, { withVectors: options?.withVectors })),
    count: (filter, options) => call(options, (store) => store.count(filter)),
    stream
  }
}

/** In the place of a store that was not named. */
export const noVectors: Layer.Layer<VectorStore, TypeError> = Layer.effect(
  VectorStore,
  Effect.suspend(() =>
    Effect.fail(
      new TypeError(
        'this client has no vector store; give createClient the option vectors: { provider: "sqlite", path: "vectors.db" }'
      )
    )
  )
)
