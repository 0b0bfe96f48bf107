/**
 * `VectorStore` in a Chroma server, over its HTTP API v2: approximate (HNSW), and found by the name of a collection.
 *
 * https://docs.trychroma.com (server 1.x, 2026-11). Storing an item again replaces it in two requests, since Chroma alone
 * would keep what the old one had: who else writes the same item between them may leave some of its metadata.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Exchange } from "../http/internal/exchange.ts"
import type { Refusal } from "../http/internal/refusal.ts"
import * as Policy from "../policy/Policy.ts"
import * as Wire from "./internal/chroma.ts"
import type { Collection, Driver, Hit, PageOf } from "./internal/driver.ts"
import * as Environment from "./internal/environment.ts"
import type { Asked, Ready } from "./internal/inputs.ts"
import { ignored } from "./internal/json.ts"
import { grouped } from "./internal/batches.ts"
import * as Store from "./internal/store.ts"
import { told } from "./internal/told.ts"
import { CollectionMismatch, CollectionNotFound, DimensionMismatch, type Reason } from "./VectorError.ts"
import { type Options as StoreOptions, VectorStore } from "./VectorStore.ts"

export interface Options extends StoreOptions {
  /** Default: `"http://localhost:8000"`, Chroma's own. */
  readonly baseUrl?: string | undefined
  /** Sent as `x-chroma-token`. Default: none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Default: `"default_tenant"`. */
  readonly tenant?: string | undefined
  /** Default: `"default_database"`. */
  readonly database?: string | undefined
  /** 3 to 512 of `a-z A-Z 0-9 . _ -`. Default: `"vectors"`. */
  readonly collection?: string | undefined
  /** Whether a collection that is not there is made. Default: `true`. */
  readonly create?: boolean | undefined
  /** How a collection that is made is indexed. Default: the server's own, `{ m: 16, efConstruction: 100, efSearch: 100 }`. */
  readonly index?:
    | {
        readonly m?: number | undefined
        readonly efConstruction?: number | undefined
        readonly efSearch?: number | undefined
      }
    | undefined
  /** The most items of one request. Default: `1000`, or what the server takes if that is less. */
  readonly maxItems?: number | undefined
  /** The most bytes of one request, about. Default: 8 MiB; the server takes 40 MiB. */
  readonly maxBytes?: number | undefined
  /** Requests of one call at a time. Default: `4`. */
  readonly concurrency?: number | undefined
  /** How requests hold. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

type Own = CollectionNotFound | DimensionMismatch

/** `Collection expecting embedding with dimension of 2, got 3` */
const dimensions = /dimension of (\d+), got (\d+)/

const reasonOf =
  (collection: string) =>
  ({ ask, description, status }: Refusal): Own | undefined => {
    if (status === 404) return new CollectionNotFound({ collection, description })
    const [, expected, actual] = (status === 400 && dimensions.exec(description)) || []
    if (expected === undefined || actual === undefined) return undefined
    const where = ask.path.endsWith("/query") ? "the query's vector" : "an item's vector"
    return new DimensionMismatch({ where, expected: Number(expected), actual: Number(actual) })
  }

class ChromaDriver implements Driver {
  readonly provider = "chroma"
  readonly collection: string
  readonly metric: Driver["metric"]
  readonly fields: Driver["fields"]
  readonly dimensions: number | undefined
  readonly limits: Driver["limits"]
  private readonly options: Options
  private readonly exchange: Exchange<Own>
  private readonly root: string

  constructor(options: Options, http: HttpClient.HttpClient, held: Policy.Held) {
    const { apiKey, baseUrl: url = "http://localhost:8000", collection = "vectors", headers } = options
    const { concurrency = 4, maxBytes = 8 * 2 ** 20, maxItems = 1000 } = options
    const { database = "default_database", tenant = "default_tenant" } = options
    const baseUrl = url.replace(/\/+$/, "")
    this.options = options
    this.collection = collection
    this.metric = options.metric ?? "cosine"
    this.fields = options.fields
    this.dimensions = options.dimensions
    this.limits = { items: maxItems, bytes: maxBytes, queries: 100, ids: 1000, concurrency }
    this.root = `/api/v2/tenants/${encodeURIComponent(tenant)}/databases/${encodeURIComponent(database)}/collections`
    this.exchange = new Exchange<Own>({
      provider: this.provider,
      key: `chroma ${UrlParams.redactUrl(baseUrl)}`,
      held,
      http,
      baseUrl,
      headers: { "x-chroma-token": apiKey, ...headers },
      reasonOf: reasonOf(collection)
    })
  }

  open = (length: number | undefined): Effect.Effect<Collection | undefined, Reason> =>
    Effect.gen({ self: this }, function* () {
      const { collection, metric } = this
      const found = yield* this.describe
      const { id, space = Wire.spaces[metric] } = found
      if (space !== Wire.spaces[metric]) {
        const description = `was made with the space ${space}, and the metric ${metric} is ${Wire.spaces[metric]}`
        return yield* Effect.fail(new CollectionMismatch({ collection, description }))
      }
      if (this.dimensions !== undefined && found.dimensions !== undefined && this.dimensions !== found.dimensions) {
        const description = `has vectors of ${found.dimensions} numbers, not ${this.dimensions}`
        return yield* Effect.fail(new CollectionMismatch({ collection, description }))
      }
      const checks = yield* told(
        this.exchange.json({ method: "GET", path: "/api/v2/pre-flight-checks" }, Wire.readChecks)
      )
      return new ChromaCollection(this, `${this.root}/${id}`, checks, found.dimensions ?? length)
    })

  /** Sends to a collection. All of it may be done twice. */
  post<A>(
    path: string,
    json: object,
    decode: (value: unknown) => Result.Result<A, string>,
    keyed = false
  ): Effect.Effect<A, Reason> {
    return told(this.exchange.json({ method: "POST", path, json, safety: "idempotent", keyed }, decode))
  }

  /** The same, for what changes it. */
  write(path: string, json: object): Effect.Effect<void, Reason> {
    return this.post(path, json, ignored, true)
  }

  get<A>(path: string, decode: (value: unknown) => Result.Result<A, string>): Effect.Effect<A, Reason> {
    return told(this.exchange.json({ method: "GET", path }, decode))
  }

  private get describe(): Effect.Effect<Wire.Description, Reason> {
    const { collection, metric, options } = this
    if (options.create === false)
      return this.get(`${this.root}/${encodeURIComponent(collection)}`, Wire.readDescription)
    const { efConstruction, efSearch, m } = options.index ?? {}
    const hnsw = {
      space: Wire.spaces[metric],
      ...(efConstruction === undefined ? undefined : { ef_construction: efConstruction }),
      ...(efSearch === undefined ? undefined : { ef_search: efSearch }),
      ...(m === undefined ? undefined : { max_neighbors: m })
    }
    return this.post(
      this.root,
      { name: collection, get_or_create: true, configuration: { hnsw } },
      Wire.readDescription
    )
  }
}

/** Ids alone: what is counted or removed is not read. */
const nothingIncluded: ReadonlyArray<string> = []

/** Items of one page of a count by a filter, which Chroma itself does not do. */
const countPage = 5000

class ChromaCollection implements Collection {
  dimensions: number | undefined
  readonly maxItems: number | undefined
  private readonly driver: ChromaDriver
  private readonly path: string
  private readonly checks: Wire.Checks

  constructor(driver: ChromaDriver, path: string, checks: Wire.Checks, dimensions: number | undefined) {
    this.driver = driver
    this.path = path
    this.checks = checks
    this.maxItems = checks.maxItems
    this.dimensions = dimensions
  }

  upsert = (items: ReadonlyArray<Ready>): Effect.Effect<void, Reason> => {
    const ids = items.map(({ id }) => id)
    const known = this.driver.post(`${this.path}/get`, Wire.getOf(ids, false), Wire.readKnown)
    return Effect.flatMap(known, (known) => {
      const body = Wire.upsertOf(items, known, this.checks.supportsBase64)
      return Effect.map(this.driver.write(`${this.path}/upsert`, body), () => {
        this.dimensions ??= items[0]?.vector.length
      })
    })
  }

  /** One request for all queries that want the same of their matches. */
  search = (queries: ReadonlyArray<Asked>): Effect.Effect<ReadonlyArray<ReadonlyArray<Hit>>, Reason> => {
    const { limits, metric } = this.driver
    return grouped(queries, limits.concurrency, (some, first) => {
      const body = Wire.queryOf(
        some.map(({ vector }) => vector),
        first
      )
      return this.driver.post(`${this.path}/query`, body, Wire.readHits(metric, some.length))
    })
  }

  remove = (ids: ReadonlyArray<string>): Effect.Effect<void, Reason> =>
    this.driver.write(`${this.path}/delete`, { ids })

  removeWhere: Collection["removeWhere"] = (filter) =>
    this.driver.write(`${this.path}/delete`, { where: Wire.whereOf(filter) })

  get: Collection["get"] = (ids, withVectors) =>
    this.driver.post(`${this.path}/get`, Wire.getOf(ids, withVectors), Wire.readItems)

  count: Collection["count"] = (filter) => {
    if (filter === undefined) return this.driver.get(`${this.path}/count`, Wire.readCount)
    const from = (offset: number): Effect.Effect<number, Reason> => {
      const body = Wire.pageOf(filter, countPage, offset, nothingIncluded)
      return Effect.flatMap(this.driver.post(`${this.path}/get`, body, Wire.readItems), ({ length }) =>
        length < countPage ? Effect.succeed(offset + length) : from(offset + length)
      )
    }
    return from(0)
  }

  page: Collection["page"] = ({ cursor, filter, size, withVectors }: PageOf) => {
    const offset = Number(cursor ?? 0)
    const body = Wire.pageOf(filter, size, offset, Wire.columnsOf(withVectors))
    return Effect.map(this.driver.post(`${this.path}/get`, body, Wire.readItems), (items) => ({
      items,
      next: items.length < size ? undefined : offset + items.length
    }))
  }
}

/** Makes the service over the `HttpClient` in context. The collection is opened by the first call. */
export const make = (
  options: Options = {}
): Effect.Effect<VectorStore["Service"], never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* HttpClient.HttpClient
    const held = yield* Policy.hold(options.policy ?? Policy.defaults)
    return Store.make(new ChromaDriver(options, http, held))
  })

/** `VectorStore` in a Chroma server, over the `HttpClient` in context. */
export const layer = (options: Options = {}): Layer.Layer<VectorStore, never, HttpClient.HttpClient> =>
  Layer.effect(VectorStore, make(options))

/** The same with the address and the token from `CHROMA_URL` and `CHROMA_API_KEY`, where the options name no address. */
export const layerConfig = (options: Options = {}): Layer.Layer<VectorStore, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(
    VectorStore,
    Effect.flatMap(Environment.access(options, { url: "CHROMA_URL", key: "CHROMA_API_KEY" }), make)
  )
