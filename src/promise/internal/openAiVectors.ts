/** Vectors in the form that was asked for: a list of numbers, or base64 of little-endian 32-bit floats. */

const bytesPerNumber = 4

const isNumbers = (value: unknown): value is Array<number> =>
  Array.isArray(value) && value.every((one) => typeof one === "number")

/** The numbers, from either form; `undefined` where it is neither. */
export const vectorOf = (value: unknown): Array<number> | undefined => {
  if (isNumbers(value)) return value
  if (typeof value !== "string") return undefined
  const bytes = bytesOf(value)
  if (bytes === undefined || bytes.length % bytesPerNumber !== 0) return undefined
  const view = new DataView(bytes.buffer)
  return Array.from({ length: bytes.length / bytesPerNumber }, (_, at) => view.getFloat32(at * bytesPerNumber, true))
}

/** The base64, from either form; `undefined` where it is neither. */
export const textOf = (value: unknown): string | undefined => {
  if (typeof value === "string") return value
  if (!isNumbers(value)) return undefined
  const view = new DataView(new ArrayBuffer(value.length * bytesPerNumber))
  for (const [at, one] of value.entries()) view.setFloat32(at * bytesPerNumber, one, true)
  return btoa(Array.from(new Uint8Array(view.buffer), (byte) => String.fromCharCode(byte)).join(""))
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}
