/** Reading JSON leniently: what is not there, or not of the kind, is `undefined`. */

export type Json = Readonly<Record<string, unknown>>

export const isRecord = (u: unknown): u is Json => typeof u === "object" && u !== null && !Array.isArray(u)

export const record = (u: unknown): Json | undefined => (isRecord(u) ? u : undefined)

export const text = (u: unknown): string | undefined => (typeof u === "string" ? u : undefined)

export const count = (u: unknown): number | undefined => (typeof u === "number" ? u : undefined)

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
