/** What is given to a sync client has to be sent to its thread: plain values cross, whatever does something does not. */

/** What `value` is, where it cannot cross. */
const refused = (value: unknown): string | undefined => {
  if (typeof value === "function") return "a function"
  if (typeof value === "symbol") return "a symbol"
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) return undefined
  if (value instanceof AbortSignal) return "an AbortSignal"
  // By the shape of its chain: a REPL may have an `Object` of its own.
  const prototype: object | null = Object.getPrototypeOf(value)
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return undefined
  return `an object of the class ${prototype.constructor.name}`
}

/** Throws a `TypeError` that names what cannot cross. */
export const checkPlain = (value: unknown, where: string, within: ReadonlyArray<object> = []): void => {
  const kind = refused(value)
  if (kind !== undefined) {
    throw new TypeError(
      `${where}: ${kind} cannot cross to the thread of a sync client; leave it out, or use createClient of holdfast/promise`
    )
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || within.includes(value)) return
  for (const [name, inner] of Object.entries(value)) {
    const at = Array.isArray(value) ? `${where}[${name}]` : where === "" ? name : `${where}.${name}`
    checkPlain(inner, at, [...within, value])
  }
}
