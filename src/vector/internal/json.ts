/** Reading what servers answer: only what is used is looked at. */
import * as Result from "effect/Result"
import type { Metadata } from "../VectorStore.ts"

export type Fields = Readonly<Record<string, unknown>>

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A member of an object, or of what is none. */
export const member = (value: unknown, name: string): unknown => (isFields(value) ? value[name] : undefined)

export const listOf = (value: unknown): ReadonlyArray<unknown> | undefined => (Array.isArray(value) ? value : undefined)

export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

/** The values that can be filtered by; what others have written beside them is left out. */
export const metadataOf = (value: unknown): Metadata => {
  if (!isFields(value)) return {}
  const metadata: Record<string, string | number | boolean> = {}
  for (const [name, one] of Object.entries(value))
    if (typeof one === "string" || typeof one === "number" || typeof one === "boolean") metadata[name] = one
  return metadata
}

export const numbersOf = (value: unknown): ReadonlyArray<number> | undefined => {
  if (!Array.isArray(value)) return undefined
  return value.every((one): one is number => typeof one === "number") ? value : undefined
}

/** Anything at all. */
export const ignored = (): Result.Result<undefined, string> => Result.succeed(undefined)
