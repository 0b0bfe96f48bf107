/**
 * Filters as stores are told them: checked, without `not`, and with what is always true or never true taken out. A store
 * that can compare a field, and put comparisons together, can do all of it.
 */
import type { Comparison, Filter, Kind, Value } from "../MetadataFilter.ts"
import type { Metadata } from "../VectorStore.ts"
import { InvalidFilter } from "../VectorError.ts"

/** One comparison. */
export type Leaf =
  | { readonly op: "eq" | "ne"; readonly field: string; readonly value: Value }
  | { readonly op: Order; readonly field: string; readonly value: number }
  | { readonly op: "in" | "nin"; readonly field: string; readonly values: ReadonlyArray<Value> }

export interface Group {
  readonly op: "and" | "or"
  /** At least two. */
  readonly parts: ReadonlyArray<Condition>
}

/** What depends on the item. */
export type Condition = Leaf | Group

/** A filter that was checked; `true` where all items pass, `false` where none does. */
export type Checked = Condition | boolean

export type Order = "gt" | "gte" | "lt" | "lte"

export type Fields = Readonly<Record<string, Kind>> | undefined

/** Of a nested filter, and of its parts together: databases have limits for the expressions that they are given. */
const maxDepth = 16
const maxParts = 500
const maxValues = 10_000

/** What every store can have as a name: some read more into dots, brackets, `$` and `#`, and Chroma keeps `chroma:` to itself. */
const namePattern = /^[\p{L}\p{N}_][\p{L}\p{N}_ ./@:-]{0,127}$/u

/** What is wrong with the name of a field. */
export const refusedName = (name: string): string | undefined => {
  if (name.startsWith("chroma:")) return "begins with `chroma:`, which Chroma keeps to itself"
  if (namePattern.test(name)) return undefined
  return "is no name of a field: 1 to 128 letters, digits and _ . - / @ : or blanks, with a letter, a digit or _ first"
}

/** What is wrong with a value. */
export const refusedValue = (value: unknown): string | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : `is ${value}, which no store keeps`
  if (typeof value === "boolean") return undefined
  if (typeof value !== "string") return `is ${nameOf(value)}; give a text, a number or a boolean`
  return value.includes("\u0000") ? "has a character U+0000, which PostgreSQL does not keep" : undefined
}

export const nameOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "a list" : value === undefined ? "undefined" : `a ${typeof value}`

const orders: ReadonlyArray<Order> = ["gt", "gte", "lt", "lte"]
const operators = ["eq", "ne", ...orders, "in", "nin"]
const opposites = { eq: "ne", ne: "eq", gt: "lte", gte: "lt", lt: "gte", lte: "gt", in: "nin", nin: "in" } as const

/** One check of one filter. Its methods throw `InvalidFilter`, which `check` catches. */
class Reader {
  private readonly fields: Fields
  private parts = 0

  constructor(fields: Fields) {
    this.fields = fields
  }

  read(filter: Filter, where: string, isOpposite: boolean, depth = 0): Checked {
    if (++this.parts > maxParts || depth > maxDepth)
      throw this.refuse(where, `is too large: at most ${maxParts} parts, ${maxDepth} deep; use \`in\` for many values`)
    if (typeof filter !== "object" || filter === null) throw this.refuse(where, `is ${nameOf(filter)}, not a filter`)
    if ("and" in filter) return this.group(filter.and, filter, "and", where, isOpposite, depth)
    if ("or" in filter) return this.group(filter.or, filter, "or", where, isOpposite, depth)
    if ("not" in filter) {
      this.only(filter, ["not"], where)
      return this.read(filter.not, `${where}.not`, !isOpposite, depth + 1)
    }
    return this.comparison(filter, where, isOpposite)
  }

  private group(
    filters: ReadonlyArray<Filter>,
    whole: Filter,
    op: "and" | "or",
    where: string,
    isOpposite: boolean,
    depth: number
  ): Checked {
    this.only(whole, [op], where)
    if (!Array.isArray(filters)) throw this.refuse(`${where}.${op}`, "is no list of filters")
    const read = filters.map((filter: Filter, at) => this.read(filter, `${where}.${op}[${at}]`, isOpposite, depth + 1))
    return joined(isOpposite === (op === "and") ? "or" : "and", read)
  }

  private comparison(comparison: Comparison, where: string, isOpposite: boolean): Checked {
    const { field } = comparison
    this.only(comparison, ["field", ...operators], where)
    if (typeof field !== "string") throw this.refuse(where, "has no `field`, `and`, `or` or `not`")
    const refused = refusedName(field)
    if (refused !== undefined) throw this.refuse(`${where}.field`, `${JSON.stringify(field)} ${refused}`)
    const kind = this.kindOf(field, where)
    const leaves = [...this.leaves(comparison, kind, where)]
    if (leaves.length === 0) throw this.refuse(where, `compares nothing: give one of ${operators.join(", ")}`)
    return joined(isOpposite ? "or" : "and", isOpposite ? leaves.map(opposite) : leaves)
  }

  private kindOf(field: string, where: string): Kind | undefined {
    if (this.fields === undefined) return undefined
    if (Object.hasOwn(this.fields, field)) return this.fields[field]
    const known = Object.keys(this.fields).join(", ")
    throw this.refuse(`${where}.field`, `${JSON.stringify(field)} is not a field of this store; there are ${known}`)
  }

  private *leaves(comparison: Comparison, kind: Kind | undefined, where: string): Iterable<Checked> {
    const { field } = comparison
    for (const op of ["eq", "ne"] as const) {
      const value = comparison[op]
      if (value !== undefined) yield { op, field, value: this.value(value, kind, `${where}.${op}`) }
    }
    for (const op of orders) {
      const value = comparison[op]
      if (value === undefined) continue
      if (typeof value !== "number")
        throw this.refuse(`${where}.${op}`, `is ${nameOf(value)}; only numbers have an order`)
      this.value(value, kind, `${where}.${op}`)
      yield { op, field, value }
    }
    for (const op of ["in", "nin"] as const) {
      const values = comparison[op]
      if (values !== undefined) yield this.listed(op, field, values, kind, `${where}.${op}`)
    }
  }

  private listed(
    op: "in" | "nin",
    field: string,
    values: ReadonlyArray<Value>,
    kind: Kind | undefined,
    where: string
  ): Checked {
    if (!Array.isArray(values)) throw this.refuse(where, "is no list of values")
    if (values.length > maxValues) throw this.refuse(where, `has ${values.length} values; at most ${maxValues}`)
    const checked = [...new Set(values.map((value: Value, at) => this.value(value, kind, `${where}[${at}]`)))]
    // Stores refuse empty lists.
    return checked.length === 0 ? op === "nin" : { op, field, values: checked }
  }

  private value(value: Value, kind: Kind | undefined, where: string): Value {
    const refused = refusedValue(value)
    if (refused !== undefined) throw this.refuse(where, refused)
    if (kind !== undefined && typeof value !== kind)
      throw this.refuse(where, `is a ${typeof value}; the field is a ${kind}`)
    return typeof value === "string" ? value.toWellFormed() : value
  }

  private only(filter: Filter, names: ReadonlyArray<string>, where: string): void {
    for (const name of Object.keys(filter))
      if (!names.includes(name)) throw this.refuse(where, `has \`${name}\`; there are ${names.join(", ")}`)
  }

  private refuse(where: string, description: string): InvalidFilter {
    return new InvalidFilter({ where, description })
  }
}

const opposite = (leaf: Checked): Checked => {
  if (typeof leaf === "boolean") return !leaf
  if ("parts" in leaf) return leaf
  switch (leaf.op) {
    case "eq":
    case "ne":
      return { ...leaf, op: opposites[leaf.op] }
    case "in":
    case "nin":
      return { ...leaf, op: opposites[leaf.op] }
    default:
      return { ...leaf, op: opposites[leaf.op] }
  }
}

const joined = (op: "and" | "or", read: ReadonlyArray<Checked>): Checked => {
  const decides = op === "or"
  if (read.includes(decides)) return decides
  const parts = read
    .filter((part) => typeof part !== "boolean")
    .flatMap((part): ReadonlyArray<Condition> => (part.op === op && "parts" in part ? part.parts : [part]))
  const [only] = parts
  if (only === undefined) return !decides
  return parts.length === 1 ? only : { op, parts }
}

/** The filter as stores are told it. */
export const check = (filter: Filter | undefined, fields: Fields): Checked | InvalidFilter => {
  if (filter === undefined) return true
  try {
    return new Reader(fields).read(filter, "filter", false)
  } catch (error) {
    if (error instanceof InvalidFilter) return error
    throw error
  }
}

/** Whether an item's metadata pass. */
export const passes = (condition: Condition, metadata: Metadata): boolean => {
  if ("parts" in condition) {
    const { op, parts } = condition
    return op === "and" ? parts.every((part) => passes(part, metadata)) : parts.some((part) => passes(part, metadata))
  }
  const value = Object.hasOwn(metadata, condition.field) ? metadata[condition.field] : undefined
  switch (condition.op) {
    case "eq":
      return value === condition.value
    case "ne":
      return value !== condition.value
    case "in":
      return value !== undefined && condition.values.includes(value)
    case "nin":
      return value === undefined || !condition.values.includes(value)
    default:
      return typeof value === "number" && compares(condition.op, value, condition.value)
  }
}

const compares = (op: Order, left: number, right: number): boolean => {
  switch (op) {
    case "gt":
      return left > right
    case "gte":
      return left >= right
    case "lt":
      return left < right
    case "lte":
      return left <= right
  }
}
