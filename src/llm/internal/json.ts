/** Reading JSON leniently: what is not there, or not of the kind, is `undefined`. */

export type Json = Readonly<Record<string, unknown>>

export const isRecord = (u: unknown): u is Json => typeof u === "object" && u !== null && !Array.isArray(u)

export const record = (u: unknown): Json | undefined => (isRecord(u) ? u : undefined)

export const text = (u: unknown): string | undefined => (typeof u === "string" ? u : undefined)

/** How many: what is negative or endless is no count, and one such answer would spoil every sum. */
export const count = (u: unknown): number | undefined =>
  typeof u === "number" && u >= 0 && u < Infinity ? u : undefined

/** What a table says of a name that came over the wire, which may be one that every object has. */
export const lookup = <A>(table: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined

/** The items of an array that are records. */
export const records = (u: unknown): ReadonlyArray<Json> => (Array.isArray(u) ? u.filter(isRecord) : [])

/** The value of a JSON text; `undefined` when it is none. */
export const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
