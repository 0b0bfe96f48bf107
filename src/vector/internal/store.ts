/**
 * The service over a driver: it checks what is given, opens the collection once, splits a call into requests, and tells
 * what a failure has left behind.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Carried from "../../http/internal/carried.ts"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import type { Filter } from "../MetadataFilter.ts"
import { DimensionMismatch, InvalidFilter, type Reason, type VectorError } from "../VectorError.ts"
import { type Item, type Match, type Query, type Scan, type Stored, VectorStore } from "../VectorStore.ts"
import { batchesOf, chunksOf } from "./batches.ts"
import type { Collection, Driver, Hit } from "./driver.ts"
import { type Asked, isRefusal, type Ready, readFilter, readIds, readItems, readQuery, type Rules } from "./inputs.ts"
import { scoreOf } from "./metrics.ts"
import * as Opening from "./opening.ts"

type Service = VectorStore["Service"]

/** What a call of `upsertMany` has come to. */
class Progress {
  private readonly ready: ReadonlyArray<Ready>
  private readonly stored = new Set<Ready>()

  constructor(ready: ReadonlyArray<Ready>) {
    this.ready = ready
  }

  add(batch: ReadonlyArray<Ready>): void {
    for (const item of batch) this.stored.add(item)
  }

  get told(): ReturnType<Opening.Blame> {
    const unfinished = this.ready.filter((item) => !this.stored.has(item)).map(({ id }) => id)
    return { items: this.ready.length, finished: this.stored.size, unfinished }
  }
}

const maxPage = 10_000

class Store {
  private readonly driver: Driver
  private readonly opening: Opening.Opening

  constructor(driver: Driver) {
    this.driver = driver
    this.opening = new Opening.Opening(driver)
  }

  readonly upsert: Service["upsert"] = (item) => this.store("upsert", [item], true)

  readonly upsertMany: Service["upsertMany"] = (items) => this.store("upsertMany", items, false)

  readonly search: Service["search"] = (query) =>
    Effect.map(this.find("search", [query], true), ([matches = []]) => matches)

  readonly searchMany: Service["searchMany"] = (queries) => this.find("searchMany", queries, false)

  readonly remove: Service["remove"] = (which) => {
    if (typeof which === "string") return this.removeIds([which])
    return isList(which) ? this.removeIds(which) : this.removeWhere(which)
  }

  readonly get: Service["get"] = (ids, options) =>
    this.opening.call("get", ids.length, (opened) =>
      Effect.gen({ self: this }, function* () {
        const wanted = yield* read(readIds(ids))
        const collection = yield* opened(undefined)
        if (collection === undefined || wanted.length === 0) return []
        const { limits } = this.driver
        const found = yield* Effect.forEach(
          chunksOf(wanted, limits.ids),
          (some) => collection.get(some, options?.withVectors ?? false),
          { concurrency: limits.concurrency }
        )
        const byId = new Map(found.flat().map((item) => [item.id, item]))
        return wanted.flatMap((id) => byId.get(id) ?? [])
      })
    )

  readonly count: Service["count"] = (filter) =>
    this.opening.call("count", undefined, (opened) =>
      Effect.gen({ self: this }, function* () {
        const checked = yield* this.filter(filter)
        const collection = yield* opened(undefined)
        if (checked === false || collection === undefined) return 0
        return yield* collection.count(checked === true ? undefined : checked)
      })
    )

  stream(query: Query): Stream.Stream<Match, VectorError>
  stream(scan?: Scan): Stream.Stream<Stored, VectorError>
  stream(asked: Query | Scan = {}): Stream.Stream<Match | Stored, VectorError> {
    if ("vector" in asked) return Stream.unwrap(Effect.map(this.search(asked), (found) => Stream.fromIterable(found)))
    return Stream.suspend(() =>
      Stream.paginate<string | number | undefined, Stored, VectorError>(undefined, (cursor) => this.page(asked, cursor))
    )
  }

  private page(scan: Scan, cursor: string | number | undefined) {
    const { pageSize: size = 1000, withVectors = false } = scan
    return this.opening.call("stream", undefined, (opened) =>
      Effect.gen({ self: this }, function* () {
        if (!Number.isInteger(size) || size < 1 || size > maxPage)
          return yield* Effect.fail(
            new InvalidRequest({ description: `pageSize is ${String(size)}; give a whole number from 1 to ${maxPage}` })
          )
        const checked = yield* this.filter(scan.filter)
        const collection = yield* opened(undefined)
        if (checked === false || collection === undefined) return [[], Option.none()] as const
        const filter = checked === true ? undefined : checked
        const { items, next } = yield* collection.page({ cursor, size, filter, withVectors })
        return [items, next === undefined ? Option.none() : Option.some(next)] as const
      })
    )
  }

  private filter(filter: Filter | undefined) {
    return Effect.suspend(() => {
      const checked = readFilter(filter, this.driver.fields)
      return checked instanceof InvalidFilter ? Effect.fail(checked) : Effect.succeed(checked)
    })
  }

  private get rules(): Rules {
    const { dimensions = this.opening.dimensions, fields, limits, metric } = this.driver
    return { dimensions, fields, metric, maxBytes: limits.bytes }
  }

  private store(name: string, items: ReadonlyArray<Item>, single: boolean): Effect.Effect<void, VectorError> {
    // Each run of the effect has a progress of its own.
    return Effect.suspend(() => {
      let blame: Opening.Blame = () => ({ items: items.length })
      const stored = (opened: Opening.Open): Effect.Effect<void, Reason> =>
        Effect.gen({ self: this }, function* () {
          const ready = yield* read(readItems(items, this.rules, single))
          const length = ready[0]?.vector.length
          if (length === undefined) return
          const progress = new Progress(ready)
          blame = () => progress.told
          const collection = yield* opened(length)
          if (collection === undefined) return
          yield* fits(collection, length, single ? "item.vector" : "items[0].vector")
          const { bytes, concurrency, items: most } = this.driver.limits
          yield* Effect.forEach(
            batchesOf(ready, { bytes, items: Math.min(most, collection.maxItems ?? most) }),
            (batch, at) =>
              Effect.tap(Carried.nth(at)(collection.upsert(batch)), () => Effect.sync(() => progress.add(batch))),
            { concurrency, discard: true }
          )
        })
      return this.opening.call(name, items.length, stored, () => blame())
    })
  }

  private find(name: string, queries: ReadonlyArray<Query>, single: boolean) {
    return this.opening.call(name, queries.length, (opened) =>
      Effect.gen({ self: this }, function* () {
        const asked = yield* this.readQueries(queries, single)
        const possible = asked.filter((query) => query !== undefined)
        const [first] = possible
        const collection = first === undefined ? undefined : yield* opened(undefined)
        if (first === undefined || collection === undefined) return asked.map((): ReadonlyArray<Match> => [])
        // A length that was not known until now; all queries have been held against the first one before.
        for (const [at, query] of asked.entries())
          if (query !== undefined) yield* fits(collection, query.vector.length, nameOf(at, single))
        const { limits } = this.driver
        const found = yield* Effect.forEach(chunksOf(possible, limits.queries), collection.search, {
          concurrency: limits.concurrency
        })
        const hits = found.flat()
        let at = 0
        return asked.map((query) => (query === undefined ? [] : this.matches(hits[at++] ?? [], query)))
      })
    )
  }

  private readQueries(queries: ReadonlyArray<Query>, single: boolean) {
    return Effect.suspend((): Effect.Effect<ReadonlyArray<Asked | undefined>, Reason> => {
      if (!Array.isArray(queries))
        return Effect.fail(new InvalidRequest({ description: "queries is no list of queries" }))
      const read: Array<Asked | undefined> = []
      for (const [at, query] of queries.entries()) {
        const one = readQuery(query, single ? "query" : `queries[${at}]`, this.rules)
        if (one !== undefined && isRefusal(one)) return Effect.fail(one)
        read.push(one)
      }
      return Effect.succeed(read)
    })
  }

  private matches(hits: ReadonlyArray<Hit>, { limit, minScore }: Asked): ReadonlyArray<Match> {
    const matches: Array<Match> = []
    for (const hit of hits) {
      const score = scoreOf(this.driver.metric, hit.distance)
      if (score >= minScore && matches.length < limit) matches.push({ ...hit, score })
    }
    return matches
  }

  private removeIds(ids: ReadonlyArray<string>): Effect.Effect<void, VectorError> {
    return this.opening.call("remove", ids.length, (opened) =>
      Effect.gen({ self: this }, function* () {
        const wanted = yield* read(readIds(ids))
        const collection = yield* opened(undefined)
        if (collection === undefined) return
        const { concurrency, ids: size } = this.driver.limits
        const removed = (some: ReadonlyArray<string>, at: number) => Carried.nth(at)(collection.remove(some))
        yield* Effect.forEach(chunksOf(wanted, size), removed, { concurrency, discard: true })
      })
    )
  }

  private removeWhere(which: Filter): Effect.Effect<void, VectorError> {
    return this.opening.call("remove", undefined, (opened) =>
      Effect.gen({ self: this }, function* () {
        const checked = yield* this.filter(which)
        if (checked === true)
          return yield* Effect.fail(
            new InvalidFilter({
              where: "filter",
              description: "passes every item; remove them by their ids, or the collection itself"
            })
          )
        const collection = yield* opened(undefined)
        if (checked !== false && collection !== undefined) yield* collection.removeWhere(checked)
      })
    )
  }
}

const isList = (which: ReadonlyArray<string> | Filter): which is ReadonlyArray<string> => Array.isArray(which)

const nameOf = (at: number, single: boolean): string => (single ? "query.vector" : `queries[${at}].vector`)

const read = <A extends object>(value: A | Reason): Effect.Effect<A, Reason> =>
  isReason(value) ? Effect.fail(value) : Effect.succeed(value)

const isReason = <A extends object>(value: A | Reason): value is Reason => "_tag" in value

/** Whether vectors of this length can be held against those of the collection. */
const fits = ({ dimensions }: Collection, length: number, where: string): Effect.Effect<void, DimensionMismatch> =>
  dimensions === undefined || dimensions === length
    ? Effect.void
    : Effect.fail(new DimensionMismatch({ where, expected: dimensions, actual: length }))

/** The service over a driver. */
export const make = (driver: Driver): Service => {
  const store = new Store(driver)
  const { count, get, remove, search, searchMany, upsert, upsertMany } = store
  const stream: Service["stream"] = store.stream.bind(store)
  return VectorStore.of({ count, get, remove, search, searchMany, stream, upsert, upsertMany })
}
