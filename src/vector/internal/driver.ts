/** What a store is to the service around it: what was asked has been checked, and fits into one request. */
import type * as Effect from "effect/Effect"
import type { Reason } from "../VectorError.ts"
import type { Metric, Stored } from "../VectorStore.ts"
import type { Condition, Fields } from "./filters.ts"
import type { Asked, Ready } from "./inputs.ts"

/** An item with its distance in the sense of the metric. */
export interface Hit extends Stored {
  readonly distance: number
}

/** Where a scan goes on. */
export type Cursor = string | number

export interface Page {
  readonly items: ReadonlyArray<Stored>
  /** `undefined` at the end. */
  readonly next: Cursor | undefined
}

export interface PageOf {
  readonly cursor: Cursor | undefined
  readonly size: number
  readonly filter: Condition | undefined
  readonly withVectors: boolean
}

/** A collection that is there. */
export interface Collection {
  /** `undefined` until its first vector. */
  readonly dimensions: number | undefined
  /** Items of one request, where the server takes fewer than the driver would send. */
  readonly maxItems?: number | undefined
  /** All of them or, when it fails, perhaps none. */
  readonly upsert: (items: ReadonlyArray<Ready>) => Effect.Effect<void, Reason>
  /** Hits of each query, the nearest first. */
  readonly search: (queries: ReadonlyArray<Asked>) => Effect.Effect<ReadonlyArray<ReadonlyArray<Hit>>, Reason>
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<void, Reason>
  readonly removeWhere: (filter: Condition) => Effect.Effect<void, Reason>
  /** In any order. */
  readonly get: (ids: ReadonlyArray<string>, withVectors: boolean) => Effect.Effect<ReadonlyArray<Stored>, Reason>
  readonly count: (filter: Condition | undefined) => Effect.Effect<number, Reason>
  readonly page: (page: PageOf) => Effect.Effect<Page, Reason>
}

/** What one request has at most. */
export interface Limits {
  readonly items: number
  readonly bytes: number
  readonly queries: number
  readonly ids: number
  /** Requests of one call at a time. */
  readonly concurrency: number
}

export interface Driver {
  /** The name in errors and spans, e.g. `"qdrant"`. */
  readonly provider: string
  readonly collection: string
  readonly metric: Metric
  readonly fields: Fields
  readonly dimensions: number | undefined
  readonly limits: Limits
  /** Opens the collection, or makes it for vectors of this length; `undefined` where there is none yet and no length. */
  readonly open: (dimensions: number | undefined) => Effect.Effect<Collection | undefined, Reason>
}
