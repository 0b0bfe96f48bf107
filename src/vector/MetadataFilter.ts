/**
 * Which items of a vector store are meant, by their metadata. Plain data, and no more than every store can do:
 *
 * - `{ field: "year", gte: 2020, lt: 2030 }`: the comparisons of one field, all of which must hold
 * - `{ and: […] }`, `{ or: […] }`, `{ not: … }`: other filters put together
 *
 * A value equals a value of its own kind: `1`, `"1"` and `true` are three. `gt`, `gte`, `lt` and `lte` compare numbers. An
 * item without the field, or with another kind of value in it, is found by `ne` and `nin` alone. `not` turns each comparison
 * inside into its opposite: `eq` into `ne`, `gt` into `lte`, `in` into `nin`, `and` into `or`, and back.
 */

/** One value in the metadata of an item. */
export type Value = string | number | boolean

/** Comparisons of one field. At least one; all of them must hold. */
export interface Comparison {
  readonly field: string
  readonly eq?: Value | undefined
  readonly ne?: Value | undefined
  readonly gt?: number | undefined
  readonly gte?: number | undefined
  readonly lt?: number | undefined
  readonly lte?: number | undefined
  /** Equals one of these. */
  readonly in?: ReadonlyArray<Value> | undefined
  /** Equals none of these. */
  readonly nin?: ReadonlyArray<Value> | undefined
}

/** All of them. None is a filter that every item passes. */
export interface And {
  readonly and: ReadonlyArray<Filter>
}

/** One of them at least. None is a filter that no item passes. */
export interface Or {
  readonly or: ReadonlyArray<Filter>
}

/** The opposite. */
export interface Not {
  readonly not: Filter
}

export type Filter = Comparison | And | Or | Not

/** The kind of a field's values, where a store is told of its fields. */
export type Kind = "string" | "number" | "boolean"
