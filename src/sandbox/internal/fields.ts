/** Reads lines of JSON by own properties only: nothing that a prototype holds, nothing of another type. */

/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>

const isFields = (u: unknown): u is Fields => typeof u === "object" && u !== null && !Array.isArray(u)

/** A line as an object; `undefined` when it is anything else. */
export const parse = (line: string): Fields | undefined => {
  try {
    return fields(JSON.parse(line))
  } catch {
    return undefined
  }
}

/** A value as an object; `undefined` when it is anything else. */
export const fields = (value: unknown): Fields | undefined => (isFields(value) ? value : undefined)

export const own = (from: Fields, key: string): unknown => (Object.hasOwn(from, key) ? from[key] : undefined)

export const text = (from: Fields, key: string): string | undefined => {
  const value = own(from, key)
  return typeof value === "string" ? value : undefined
}

export const integer = (from: Fields, key: string): number | undefined => {
  const value = own(from, key)
  return typeof value === "number" && Number.isSafeInteger(value) ? value : undefined
}

/** An integer that is not negative. */
export const count = (from: Fields, key: string): number | undefined => {
  const value = integer(from, key)
  return value !== undefined && value >= 0 ? value : undefined
}

export const flag = (from: Fields, key: string): boolean | undefined => {
  const value = own(from, key)
  return typeof value === "boolean" ? value : undefined
}

/** A record of strings, copied into an object without a prototype; `undefined` when it is anything else. */
export const strings = (value: unknown): Readonly<Record<string, string>> | undefined => {
  if (!isFields(value)) return undefined
  const copy: Record<string, string> = Object.create(null)
  for (const key of Object.keys(value)) {
    const item = value[key]
    if (typeof item !== "string") return undefined
    copy[key] = item
  }
  return copy
}
