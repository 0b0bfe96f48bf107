/** Filters in SQLite's SQL, over metadata in a column of JSON. */
import type { Value } from "../MetadataFilter.ts"
import type { Condition, Leaf } from "./filters.ts"

export interface Sql {
  readonly text: string
  readonly params: ReadonlyArray<string>
}

const orders = { gt: ">", gte: ">=", lt: "<", lte: "<=" } as const

/** In JSON, `true` and `1` are two values, and `json_extract` makes one of them. */
const typesOf = { string: "('text')", number: "('integer', 'real')", boolean: "('true', 'false')" } as const

/** Numbers go through SQLite's own reading on both sides, so that equal texts are equal numbers. */
const anyOf = (path: string, values: ReadonlyArray<Value>): Sql => {
  const kinds = [...new Set(values.map((value) => typeof value))]
  const parts = kinds.map((kind): Sql => {
    const types = kind === "string" || kind === "number" || kind === "boolean" ? typesOf[kind] : "()"
    const own = JSON.stringify(values.filter((value) => typeof value === kind))
    return {
      text: `(json_type(metadata, ?) IN ${types} AND json_extract(metadata, ?) IN (SELECT value FROM json_each(?)))`,
      params: [path, path, own]
    }
  })
  return { text: `(${parts.map(({ text }) => text).join(" OR ")})`, params: parts.flatMap(({ params }) => params) }
}

const not = ({ params, text }: Sql): Sql => ({ text: `coalesce(${text}, 0) = 0`, params })

const leafOf = (leaf: Leaf): Sql => {
  const path = `$.${JSON.stringify(leaf.field)}`
  switch (leaf.op) {
    case "eq":
      return anyOf(path, [leaf.value])
    case "ne":
      return not(anyOf(path, [leaf.value]))
    case "in":
      return anyOf(path, leaf.values)
    case "nin":
      return not(anyOf(path, leaf.values))
    default:
      return {
        text: `(json_type(metadata, ?) IN ${typesOf.number} AND json_extract(metadata, ?) ${orders[leaf.op]} json_extract(?, '$'))`,
        params: [path, path, JSON.stringify(leaf.value)]
      }
  }
}

/** What stands behind WHERE. */
export const whereOf = (condition: Condition): Sql => {
  if (!("parts" in condition)) return leafOf(condition)
  const parts = condition.parts.map(whereOf)
  const word = condition.op === "and" ? " AND " : " OR "
  return { text: `(${parts.map(({ text }) => text).join(word)})`, params: parts.flatMap(({ params }) => params) }
}
