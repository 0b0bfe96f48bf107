/**
 * `VectorStore` in a Qdrant server, over its REST API: approximate (HNSW), with filters inside the search.
 *
 * https://api.qdrant.tech (2026-11). A point's id is a UUID made of the item's id, and its payload is `{ id, text, metadata }`.
 * Where the metric is cosine, Qdrant keeps vectors at length 1.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Ask } from "../http/internal/ask.ts"
import { Exchange } from "../http/internal/exchange.ts"
import type { Refusal } from "../http/internal/refusal.ts"
import * as Policy from "../policy/Policy.ts"
import type { Collection, Driver } from "./internal/driver.ts"
import * as Environment from "./internal/environment.ts"
import { ignored } from "./internal/json.ts"
import * as Wire from "./internal/qdrant.ts"
import * as Store from "./internal/store.ts"
import { told } from "./internal/told.ts"
import { CollectionMismatch, CollectionNotFound, DimensionMismatch, type Reason } from "./VectorError.ts"
import { type Options as StoreOptions, VectorStore } from "./VectorStore.ts"

export interface Options extends StoreOptions {
  /** Default: `"http://localhost:6333"`, Qdrant's own. */
  readonly baseUrl?: string | undefined
  /** Sent as `api-key`. Default: none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Default: `"vectors"`. */
  readonly collection?: string | undefined
  /** Whether a collection that is not there is made, by the first item, with an index for each of `fields`. Default: `true`. */
  readonly create?: boolean | undefined
  /** How a collection that is made is indexed, and how far a search looks. Default: the server's own. */
  readonly index?:
    | {
        readonly m?: number | undefined
        readonly efConstruction?: number | undefined
        readonly efSearch?: number | undefined
      }
    | undefined
  /** The most items of one request. Default: `1000`. */
  readonly maxItems?: number | undefined
  /** The most bytes of one request, about. Default: 8 MiB; the server takes 32 MiB. */
  readonly maxBytes?: number | undefined
  /** Requests of one call at a time. Default: `4`. */
  readonly concurrency?: number | undefined
  /** How requests hold. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

type Own = CollectionNotFound | DimensionMismatch

/** `Vector dimension error: expected dim: 4, got 3` */
const dimensions = /expected dim: (\d+), got (\d+)/

const reasonOf =
  (collection: string) =>
  ({ ask, description, status }: Refusal): Own | undefined => {
    if (status === 404) return new CollectionNotFound({ collection, description })
    const [, expected, actual] = (status === 400 && dimensions.exec(description)) || []
    if (expected === undefined || actual === undefined) return undefined
    const where = ask.method === "PUT" ? "an item's vector" : "the query's vector"
    return new DimensionMismatch({ where, expected: Number(expected), actual: Number(actual) })
  }

class QdrantDriver implements Driver {
  readonly provider = "qdrant"
  readonly collection: string
  readonly metric: Driver["metric"]
  readonly fields: Driver["fields"]
  readonly dimensions: number | undefined
  readonly limits: Driver["limits"]
  private readonly options: Options
  private readonly exchange: Exchange<Own>
  private readonly root: string

  constructor(options: Options, http: HttpClient.HttpClient, held: Policy.Held) {
    const { apiKey, baseUrl: url = "http://localhost:6333", collection = "vectors", headers } = options
    const { concurrency = 4, maxBytes = 8 * 2 ** 20, maxItems = 1000 } = options
    const baseUrl = url.replace(/\/+$/, "")
    this.options = options
    this.collection = collection
    this.metric = options.metric ?? "cosine"
    this.fields = options.fields
    this.dimensions = options.dimensions
    this.limits = { items: maxItems, bytes: maxBytes, queries: 100, ids: 1000, concurrency }
    this.root = `/collections/${encodeURIComponent(collection)}`
    this.exchange = new Exchange<Own>({
      provider: this.provider,
      key: `qdrant ${UrlParams.redactUrl(baseUrl)}`,
      held,
      http,
      baseUrl,
      headers: { "api-key": apiKey, ...headers },
      reasonOf: reasonOf(collection)
    })
  }

  open = (length: number | undefined): Effect.Effect<Collection | undefined, Reason> =>
    Effect.gen({ self: this }, function* () {
      const { options } = this
      if (options.create === false) return yield* this.there(yield* this.describe({}))
      const found = yield* this.describe({ accept: [404] })
      if (found !== undefined) return yield* this.there(found)
      if (length === undefined) return undefined
      yield* this.create(length)
      return yield* this.there(yield* this.describe({}))
    })

  private describe(ask: Pick<Ask, "accept">): Effect.Effect<Wire.Description | undefined, Reason> {
    return told(this.exchange.json({ method: "GET", path: this.root, ...ask }, Wire.readDescription))
  }

  private there(found: Wire.Description | undefined): Effect.Effect<Collection, Reason> {
    const { collection, metric } = this
    const mismatch = (description: string): Effect.Effect<never, Reason> =>
      Effect.fail(new CollectionMismatch({ collection, description }))
    if (found?.size === undefined) return mismatch("has vectors with names, or none at all")
    if (found.distance !== Wire.distances[metric])
      return mismatch(
        `was made with the distance ${found.distance}, and the metric ${metric} is ${Wire.distances[metric]}`
      )
    if (this.dimensions !== undefined && this.dimensions !== found.size)
      return mismatch(`has vectors of ${found.size} numbers, not ${this.dimensions}`)
    return Effect.succeed(this.opened(found.size))
  }

  /** Somebody else may make it at the same moment: it is there then, too. */
  private create(size: number): Effect.Effect<void, Reason> {
    const { efConstruction, m } = this.options.index ?? {}
    const hnsw = {
      ...(m === undefined ? undefined : { m }),
      ...(efConstruction === undefined ? undefined : { ef_construct: efConstruction })
    }
    const json = { vectors: { size, distance: Wire.distances[this.metric] }, hnsw_config: hnsw }
    const made = this.exchange.json({ method: "PUT", path: this.root, json, accept: [409] }, ignored)
    const indexed = Effect.forEach(
      Object.entries(this.fields ?? {}),
      ([field, kind]) => {
        const json = { field_name: Wire.keyOf(field), field_schema: Wire.schemas[kind] }
        return told(
          this.exchange.json({ method: "PUT", path: `${this.root}/index`, query: { wait: true }, json }, ignored)
        )
      },
      { discard: true }
    )
    return Effect.andThen(told(made), indexed)
  }

  private opened(size: number): Collection {
    const { metric, options } = this
    const efSearch = options.index?.efSearch
    return {
      dimensions: size,
      upsert: (items) => this.write("PUT", "/points", Wire.upsertOf(items)),
      search: (queries) =>
        this.ask("/points/query/batch", Wire.searchesOf(queries, efSearch), Wire.readHits(metric, queries.length)),
      remove: (ids) => this.write("POST", "/points/delete", Wire.removeOf(ids)),
      removeWhere: (filter) => this.write("POST", "/points/delete", { filter: Wire.filterOf(filter) }),
      get: (ids, withVectors) => this.ask("/points", Wire.getOf(ids, withVectors), Wire.readItems),
      count: (filter) => this.ask("/points/count", Wire.countOf(filter), Wire.readCount),
      page: (page) => this.ask("/points/scroll", Wire.scrollOf(page), Wire.readPage)
    }
  }

  /** Waits until it is seen by the next search. */
  private write(method: "PUT" | "POST", path: string, json: object): Effect.Effect<void, Reason> {
    const query = { wait: true }
    const ask: Ask = { method, path: `${this.root}${path}`, query, json, safety: "idempotent", keyed: true }
    return told(this.exchange.json(ask, ignored))
  }

  private ask<A>(
    path: string,
    json: object,
    decode: (value: unknown) => Result.Result<A, string>
  ): Effect.Effect<A, Reason> {
    return told(this.exchange.json({ method: "POST", path: `${this.root}${path}`, json, safety: "idempotent" }, decode))
  }
}

/** Makes the service over the `HttpClient` in context. The collection is opened by the first call. */
export const make = (
  options: Options = {}
): Effect.Effect<VectorStore["Service"], never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* HttpClient.HttpClient
    const held = yield* Policy.hold(options.policy ?? Policy.defaults)
    return Store.make(new QdrantDriver(options, http, held))
  })

/** `VectorStore` in a Qdrant server, over the `HttpClient` in context. */
export const layer = (options: Options = {}): Layer.Layer<VectorStore, never, HttpClient.HttpClient> =>
  Layer.effect(VectorStore, make(options))

/** The same with the address and the key from `QDRANT_URL` and `QDRANT_API_KEY`, where the options name no address. */
export const layerConfig = (options: Options = {}): Layer.Layer<VectorStore, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(
    VectorStore,
    Effect.flatMap(Environment.access(options, { url: "QDRANT_URL", key: "QDRANT_API_KEY" }), make)
  )
