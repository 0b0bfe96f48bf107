/**
 * `VectorStore` in the memory of this process: exact, without a server or a file, and gone with the layer.
 *
 * A query looks at every vector: 10 000 of 128 numbers take 1.5 ms, 100 000 of 1536 some 150 ms, during which nothing else
 * runs. Vectors take 4 bytes for each number.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { passes } from "./internal/filters.ts"
import { Flat } from "./internal/flat.ts"
import type { Asked, Ready } from "./internal/inputs.ts"
import type { Collection, Driver, Hit, Page, PageOf } from "./internal/driver.ts"
import * as Store from "./internal/store.ts"
import { type Metadata, type Options, type Stored, VectorStore } from "./VectorStore.ts"

export type { Options } from "./VectorStore.ts"

/** What an item has beside its vector. */
interface Entry {
  readonly id: string
  readonly text: string | undefined
  readonly metadata: Metadata
}

class MemoryCollection {
  private readonly flat: Flat
  private readonly entries: Array<Entry | undefined> = []
  private readonly slots = new Map<string, number>()

  constructor(flat: Flat) {
    this.flat = flat
  }

  upsert(items: ReadonlyArray<Ready>): void {
    for (const { id, metadata, text, vector } of items) {
      const known = this.slots.get(id)
      const slot = known ?? this.flat.add(vector)
      if (known !== undefined) this.flat.put(known, vector)
      this.slots.set(id, slot)
      this.entries[slot] = { id, text, metadata: Object.freeze({ ...metadata }) }
    }
  }

  search({ filter, limit, vector, withVectors }: Asked): ReadonlyArray<Hit> {
    const isWanted =
      filter === undefined ? undefined : (slot: number) => passes(filter, this.entries[slot]?.metadata ?? {})
    return this.flat.search(vector, limit, isWanted).flatMap(({ distance, slot }) => {
      const stored = this.stored(slot, withVectors)
      return stored === undefined ? [] : [{ ...stored, distance }]
    })
  }

  remove(ids: Iterable<string>): void {
    for (const id of ids) {
      const slot = this.slots.get(id)
      if (slot === undefined) continue
      this.flat.remove(slot)
      this.slots.delete(id)
      this.entries[slot] = undefined
    }
  }

  get(ids: ReadonlyArray<string>, withVectors: boolean): ReadonlyArray<Stored> {
    return ids.flatMap((id) => {
      const slot = this.slots.get(id)
      return (slot === undefined ? undefined : this.stored(slot, withVectors)) ?? []
    })
  }

  entriesOf(filter: Asked["filter"]): ReadonlyArray<Entry> {
    return this.entries.flatMap((entry) =>
      entry !== undefined && (filter === undefined || passes(filter, entry.metadata)) ? [entry] : []
    )
  }

  /** The cursor is a slot: an item keeps its own as long as it is there. */
  page({ cursor, filter, size, withVectors }: PageOf): Page {
    const items: Array<Stored> = []
    let slot = Number(cursor ?? 0)
    for (; slot < this.entries.length && items.length < size; slot++) {
      const entry = this.entries[slot]
      if (entry === undefined || (filter !== undefined && !passes(filter, entry.metadata))) continue
      const stored = this.stored(slot, withVectors)
      if (stored !== undefined) items.push(stored)
    }
    return { items, next: slot < this.entries.length ? slot : undefined }
  }

  private stored(slot: number, withVectors: boolean): Stored | undefined {
    const entry = this.entries[slot]
    return entry && { ...entry, vector: withVectors ? this.flat.vector(slot) : undefined }
  }
}

const collectionOf = (kept: MemoryCollection, dimensions: number): Collection => ({
  dimensions,
  upsert: (items) => Effect.sync(() => kept.upsert(items)),
  search: (queries) => Effect.sync(() => queries.map((query) => kept.search(query))),
  remove: (ids) => Effect.sync(() => kept.remove(ids)),
  removeWhere: (filter) => Effect.sync(() => kept.remove(kept.entriesOf(filter).map(({ id }) => id))),
  get: (ids, withVectors) => Effect.sync(() => kept.get(ids, withVectors)),
  count: (filter) => Effect.sync(() => kept.entriesOf(filter).length),
  page: (page) => Effect.sync(() => kept.page(page))
})

const driverOf = ({ dimensions, fields, metric = "cosine" }: Options): Driver => ({
  provider: "memory",
  collection: "memory",
  metric,
  fields,
  dimensions,
  limits: { items: Infinity, bytes: Infinity, queries: Infinity, ids: Infinity, concurrency: 1 },
  open: (length) =>
    Effect.sync(() =>
      length === undefined ? undefined : collectionOf(new MemoryCollection(new Flat(length, metric)), length)
    )
})

/** Makes the service, empty. */
export const make = (options: Options = {}): Effect.Effect<VectorStore["Service"]> =>
  Effect.sync(() => Store.make(driverOf(options)))

/** `VectorStore` in memory. Each `layer(options)` is a store of its own: keep it in a constant. */
export const layer = (options: Options = {}): Layer.Layer<VectorStore> => Layer.effect(VectorStore, make(options))
