/** Filters in PostgreSQL's SQL, over metadata in a column of jsonb. */
import type { Value } from "../MetadataFilter.ts"
import type { Condition, Leaf } from "./filters.ts"

/** Parameters by their numbers. */
export class Params {
  readonly values: Array<unknown> = []

  /** The placeholder of a value. */
  add(value: unknown): string {
    this.values.push(value)
    return `$${this.values.length}`
  }
}

const orders = { gt: ">", gte: ">=", lt: "<", lte: "<=" } as const

/** Containment knows the kinds of values, is false where there is no such field, and is what a GIN index finds. */
const equals = (field: string, value: Value, params: Params): string =>
  `metadata @> ${params.add(JSON.stringify({ [field]: value }))}::text::jsonb`

const among = (field: string, values: ReadonlyArray<Value>, params: Params): string => {
  const all = params.add(JSON.stringify(values))
  return `coalesce(metadata -> ${params.add(field)}::text IN (SELECT jsonb_array_elements(${all}::text::jsonb)), false)`
}

const leafOf = (leaf: Leaf, params: Params): string => {
  switch (leaf.op) {
    case "eq":
      return equals(leaf.field, leaf.value, params)
    case "ne":
      return `NOT ${equals(leaf.field, leaf.value, params)}`
    case "in":
      return among(leaf.field, leaf.values, params)
    case "nin":
      return `NOT ${among(leaf.field, leaf.values, params)}`
    default: {
      // A path compares numbers with numbers alone; a cast in SQL might come before the look at the kind.
      const path = `$.${JSON.stringify(leaf.field)} ? (@ ${orders[leaf.op]} $bound)`
      const bound = params.add(JSON.stringify({ bound: leaf.value }))
      return `jsonb_path_exists(metadata, ${params.add(path)}::text::jsonpath, ${bound}::text::jsonb)`
    }
  }
}

/** What stands behind WHERE. */
export const whereOf = (condition: Condition, params: Params): string =>
  "parts" in condition
    ? `(${condition.parts.map((part) => whereOf(part, params)).join(condition.op === "and" ? " AND " : " OR ")})`
    : leafOf(condition, params)
