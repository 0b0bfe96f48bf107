/** What the types of a vector store's options promise, checked for programs without types. */
import { atLeast, httpUrl, oneOf, onlyKnown } from "../Time.ts"
import type { VectorsOptions } from "../Vectors.ts"
import { checkHeaders, checkTexts } from "./checkLlm.ts"

const every = ["provider", "metric", "dimensions", "fields"]
const collected = [...every, "collection", "create"]
const remote = [...collected, "index", "maxItems", "maxBytes", "concurrency"]
const served = [...remote, "baseUrl", "apiKey", "headers"]

const names: Readonly<Record<VectorsOptions["provider"], ReadonlyArray<string>>> = {
  memory: every,
  sqlite: [...collected, "path", "maxMemoryBytes"],
  postgres: [...remote, "url", "schema", "maxConnections"],
  chroma: [...served, "tenant", "database"],
  qdrant: served
}

const texts = ["collection", "path", "url", "schema", "tenant", "database", "apiKey"]
const numbers = ["dimensions", "maxItems", "maxBytes", "concurrency", "maxConnections"]
const kinds = ["string", "number", "boolean"]

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const checkIndex = (index: unknown): void => {
  if (index === undefined) return
  if (!isObject(index)) throw new TypeError("vectors.index: give an object, such as { efSearch: 100 }")
  onlyKnown(index, ["m", "efConstruction", "efSearch"], "vectors.index")
  for (const [name, value] of Object.entries(index)) atLeast(value, 1, `vectors.index.${name}`)
}

const checkFields = (fields: unknown): void => {
  if (fields === undefined) return
  if (!isObject(fields)) throw new TypeError('vectors.fields: give an object, such as { year: "number" }')
  for (const [name, kind] of Object.entries(fields)) oneOf(kind ?? "nothing", kinds, `vectors.fields.${name}`)
}

/** Throws a `TypeError` that names what is wrong, without repeating a secret. */
export const checkVectors = (options: VectorsOptions): VectorsOptions => {
  if (!isObject(options)) throw new TypeError("vectors: give the options of a vector store, or leave it out")
  oneOf(options.provider ?? "nothing", Object.keys(names), "vectors.provider")
  onlyKnown(options, names[options.provider], "vectors")
  const given: Readonly<Record<string, unknown>> = { ...options }
  oneOf(options.metric, ["cosine", "dot", "euclidean"], "vectors.metric")
  oneOf(given["create"], [true, false], "vectors.create")
  checkTexts(options, texts, "vectors")
  for (const name of numbers) atLeast(given[name], 1, `vectors.${name}`)
  atLeast(given["maxMemoryBytes"], 0, "vectors.maxMemoryBytes")
  httpUrl(given["baseUrl"], "vectors.baseUrl")
  checkHeaders(given["headers"], "vectors.headers")
  checkIndex(given["index"])
  checkFields(options.fields)
  if (options.provider === "sqlite" && (options.path ?? "") === "")
    throw new TypeError('vectors.path: give the path of a file, or ":memory:"')
  return options
}
