/** What callers give, checked before anything is sent: a call that is wrong in one place changes nothing. */
import type { Filter } from "../MetadataFilter.ts"
import { DimensionMismatch, InvalidItem, InvalidVector, type InvalidFilter } from "../VectorError.ts"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import type { Item, Metadata, Metric, Query, Vector } from "../VectorStore.ts"
import { check, type Checked, type Condition, type Fields, nameOf, refusedName, refusedValue } from "./filters.ts"

/** An item that can be stored. */
export interface Ready {
  readonly id: string
  readonly vector: Vector
  readonly text: string | undefined
  readonly metadata: Metadata
  /** About as large as its JSON, or larger. */
  readonly bytes: number
}

/** A query that can be asked. */
export interface Asked {
  readonly vector: Vector
  readonly limit: number
  /** `undefined` where all items pass. */
  readonly filter: Condition | undefined
  readonly minScore: number
  readonly withVectors: boolean
}

export type Refusal = DimensionMismatch | InvalidVector | InvalidItem | InvalidFilter | InvalidRequest

/** What a collection asks of what is given to it. */
export interface Rules {
  readonly metric: Metric
  readonly fields: Fields
  readonly dimensions: number | undefined
  /** Of one item. */
  readonly maxBytes: number
}

const maxIdCharacters = 512
/** pgvector stores 16 000 at most, Qdrant 65 536. */
const maxDimensions = 65_536
const maxLimit = 10_000
/** A float32 written as a double has up to 19 digits, a sign, a point and a comma. */
const bytesPerNumber = 22
/** Names and brackets around an item. */
const bytesAround = 64

/** Beyond it is no number of 32 bits. */
const maxNumber = 3.4028234663852886e38

/** What is wrong with a vector. */
export const refusedVector = (
  vector: Vector,
  where: string,
  { dimensions, metric }: Pick<Rules, "dimensions" | "metric">
): DimensionMismatch | InvalidVector | undefined => {
  const invalid = (description: string): InvalidVector => new InvalidVector({ where, description })
  if (!Array.isArray(vector) && !(vector instanceof Float32Array))
    return invalid(`is ${nameOf(vector)}; give a list of numbers`)
  const { length } = vector
  if (length === 0) return invalid("has no numbers; give the vector of an embedder")
  if (length > maxDimensions) return invalid(`has ${length} numbers; at most ${maxDimensions}`)
  if (dimensions !== undefined && length !== dimensions)
    return new DimensionMismatch({ where, expected: dimensions, actual: length })
  let squares = 0
  for (let at = 0; at < length; at++) {
    const number: unknown = vector[at]
    if (typeof number !== "number" || !(Math.abs(number) <= maxNumber))
      return invalid(
        `has ${typeof number === "number" ? number : nameOf(number)} at place ${at}; give numbers of 32 bits`
      )
    const narrow = Math.fround(number)
    squares += narrow * narrow
  }
  if (metric !== "cosine" || (squares > 0 && Number.isFinite(squares))) return undefined
  return invalid("has no direction, since all its numbers are 0 or their squares are none; the metric is cosine")
}

const encoder = new TextEncoder()
const bytesOf = (text: string): number => encoder.encode(text).length

const refusedMetadata = (metadata: Metadata, fields: Fields, where: string): InvalidItem | undefined => {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
    return new InvalidItem({ where, description: `is ${nameOf(metadata)}; give an object` })
  for (const [name, value] of Object.entries(metadata)) {
    const at = `${where}[${JSON.stringify(name)}]`
    const refused = refusedName(name) ?? refusedValue(value) ?? refusedKind(name, value, fields)
    if (refused !== undefined) return new InvalidItem({ where: at, description: refused })
  }
  return undefined
}

const refusedKind = (name: string, value: unknown, fields: Fields): string | undefined => {
  if (fields === undefined) return undefined
  if (!Object.hasOwn(fields, name)) return `is not a field of this store; there are ${Object.keys(fields).join(", ")}`
  return typeof value === fields[name] ? undefined : `is a ${typeof value}; the field is a ${fields[name]}`
}

const refusedText = (text: unknown): string | undefined => {
  if (text === undefined) return undefined
  if (typeof text !== "string") return `is ${nameOf(text)}, not a text`
  return text.includes("\u0000") ? "has a character U+0000, which PostgreSQL does not keep" : undefined
}

const refusedId = (id: unknown): string | undefined => {
  if (typeof id !== "string") return `is ${nameOf(id)}, not a text`
  if (id === "") return "is empty; give each item a name of its own"
  if (id.length > maxIdCharacters) return `has ${id.length} characters; at most ${maxIdCharacters}`
  if (!id.isWellFormed()) return "ends or begins in the middle of a character"
  return id.includes("\u0000") ? "has a character U+0000, which PostgreSQL does not keep" : undefined
}

/** A text that was cut through an emoji has half a character at its end, which no server takes: it becomes U+FFFD. */
const wellFormed = (metadata: Metadata): Metadata =>
  Object.values(metadata).every((value) => typeof value !== "string" || value.isWellFormed())
    ? metadata
    : Object.fromEntries(
        Object.entries(metadata).map(([name, value]) => [
          name,
          typeof value === "string" ? value.toWellFormed() : value
        ])
      )

/** One item. `where` names it. */
const readItem = (item: Item, where: string, rules: Rules): Ready | Refusal => {
  if (typeof item !== "object" || item === null) return new InvalidItem({ where, description: `is ${nameOf(item)}` })
  const { id, metadata: given = {}, text, vector } = item
  const invalid = (name: string, description: string): InvalidItem =>
    new InvalidItem({ where: `${where}.${name}`, description })
  const wrongId = refusedId(id)
  if (wrongId !== undefined) return invalid("id", wrongId)
  const wrongText = refusedText(text)
  if (wrongText !== undefined) return invalid("text", wrongText)
  const wrong =
    refusedMetadata(given, rules.fields, `${where}.metadata`) ?? refusedVector(vector, `${where}.vector`, rules)
  if (wrong !== undefined) return wrong
  const metadata = wellFormed(given)
  const words = bytesOf(id) + bytesOf(text ?? "") + bytesOf(JSON.stringify(metadata))
  const bytes = words + vector.length * bytesPerNumber + bytesAround
  if (bytes <= rules.maxBytes)
    return { id, vector, text: text === "" ? undefined : text?.toWellFormed(), metadata, bytes }
  return new InvalidItem({ where, description: `has about ${bytes} bytes; a request has ${rules.maxBytes} at most` })
}

export const isRefusal = <A extends object>(read: A | Refusal): read is Refusal => "_tag" in read

/** The items of one call, or the first thing that is wrong with them. */
export const readItems = (
  items: ReadonlyArray<Item>,
  rules: Rules,
  single: boolean
): ReadonlyArray<Ready> | Refusal => {
  if (!Array.isArray(items)) return new InvalidItem({ where: "items", description: `is ${nameOf(items)}; give a list` })
  const ready: Array<Ready> = []
  const places = new Map<string, number>()
  let { dimensions } = rules
  for (const [at, item] of items.entries()) {
    const where = single ? "item" : `items[${at}]`
    const read = readItem(item, where, { ...rules, dimensions })
    if (isRefusal(read)) return read
    const before = places.get(read.id)
    if (before !== undefined) {
      const description = `${JSON.stringify(read.id)} is the id of items[${before}] too; nobody could say which of them is meant`
      return new InvalidItem({ where: `${where}.id`, description })
    }
    places.set(read.id, at)
    dimensions ??= read.vector.length
    ready.push(read)
  }
  return ready
}

const refusedQuery = ({ limit = 10, minScore = 0 }: Query, where: string): InvalidRequest | undefined => {
  const invalid = (description: string): InvalidRequest =>
    new InvalidRequest({ description: `${where}.${description}` })
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit)
    return invalid(`limit is ${String(limit)}; give a whole number from 1 to ${maxLimit}`)
  return typeof minScore === "number" && !Number.isNaN(minScore) ? undefined : invalid("minScore is no number")
}

/** A query; `undefined` where no item can pass its filter. */
export const readQuery = (query: Query, where: string, rules: Rules): Asked | undefined | Refusal => {
  if (typeof query !== "object" || query === null)
    return new InvalidRequest({ description: `${where} is ${nameOf(query)}; give { vector }` })
  const wrong = refusedQuery(query, where) ?? refusedVector(query.vector, `${where}.vector`, rules)
  if (wrong !== undefined) return wrong
  const filter = readFilter(query.filter, rules.fields)
  if (typeof filter === "object" && isRefusal(filter)) return filter
  if (filter === false) return undefined
  const { limit = 10, minScore = -Infinity, vector, withVectors = false } = query
  return { vector, limit, filter: filter === true ? undefined : filter, minScore, withVectors }
}

export const readFilter = (filter: Filter | undefined, fields: Fields): Checked | InvalidFilter => check(filter, fields)

/** Ids that were given, each once. */
export const readIds = (ids: ReadonlyArray<string>): ReadonlyArray<string> | InvalidItem => {
  if (!Array.isArray(ids)) return new InvalidItem({ where: "ids", description: `is ${nameOf(ids)}; give a list` })
  for (const [at, id] of ids.entries()) {
    const wrong = refusedId(id)
    if (wrong !== undefined) return new InvalidItem({ where: `ids[${at}]`, description: wrong })
  }
  return [...new Set(ids)]
}
