/** Vectors as they come over the wire, and whether they are what was asked for. */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { Vector } from "../Embedder.ts"
import { InvalidResponse } from "../LlmError.ts"

const bytesPerNumber = 4

/** A list of numbers, or base64 of little-endian 32-bit floats; `undefined` for anything else. */
export const vectorOf = (value: unknown): Vector | undefined => {
  const numbers = typeof value === "string" ? unpacked(value) : Array.isArray(value) ? listed(value) : undefined
  return numbers === undefined || numbers.length === 0 ? undefined : numbers
}

/**
 * Models compute in 32 bits at most. Written in decimals and read in 64 bits, a number would differ from itself in base64,
 * and a text from itself behind a server that answers now in this form, now in that.
 */
const listed = (values: ReadonlyArray<unknown>): Vector | undefined => {
  const numbers: Array<number> = []
  for (const value of values) {
    const number = typeof value === "number" ? Math.fround(value) : NaN
    if (!Number.isFinite(number)) return undefined
    numbers.push(number)
  }
  return numbers
}

const unpacked = (text: string): Vector | undefined => {
  const decoded = Base64.decode(text)
  if (Result.isFailure(decoded)) return undefined
  const { buffer, byteLength, byteOffset } = decoded.success
  if (byteLength % bytesPerNumber !== 0) return undefined
  const view = new DataView(buffer, byteOffset, byteLength)
  const numbers: Array<number> = []
  for (let at = 0; at < byteLength; at += bytesPerNumber) {
    const number = view.getFloat32(at, true)
    if (!Number.isFinite(number)) return undefined
    numbers.push(number)
  }
  return numbers
}

/** One vector as an answer has it. */
export interface Item {
  /** The place of its input; absent where the server counts on their order. */
  readonly index: number | undefined
  readonly value: unknown
}

const invalid = (description: string): InvalidResponse => new InvalidResponse({ description })

/** The vectors by the places of their inputs: one for each, all of one length. */
export const placed = (items: ReadonlyArray<Item>, inputs: number): ReadonlyArray<Vector> | InvalidResponse => {
  if (items.length !== inputs) return invalid(`${items.length} vectors for ${inputs} inputs`)
  const vectors: Array<Vector | undefined> = Array.from({ length: inputs })
  let length: number | undefined
  for (const [position, { index = position, value }] of items.entries()) {
    if (!Number.isInteger(index) || index < 0 || index >= inputs)
      return invalid(`a vector for input ${index} of ${inputs}`)
    if (vectors[index] !== undefined) return invalid(`two vectors for input ${index}`)
    const vector = vectorOf(value)
    if (vector === undefined) return invalid(`no list of numbers for input ${index}`)
    length ??= vector.length
    if (vector.length !== length) return differing(length, vector.length)
    vectors[index] = vector
  }
  // As many as there are inputs and none of them twice: none is missing.
  return vectors.filter((vector) => vector !== undefined)
}

/** Vectors of one model that cannot be compared. */
export const differing = (length: number, other: number): InvalidResponse =>
  invalid(`vectors of ${length} and of ${other} numbers in one answer`)
