/**
 * Connect RPC with JSON messages, as far as a client of one server needs it: the envelopes of a stream and the errors.
 *
 * An envelope is a byte of flags, a length of four bytes and the message (https://connectrpc.com/docs/protocol, 2026-11).
 */
import * as Result from "effect/Result"
import * as Fields from "./fields.ts"

const headBytes = 5
const compressed = 1
const endOfStream = 2

/** One message. */
export const encode = (message: unknown): Uint8Array => {
  const data = new TextEncoder().encode(JSON.stringify(message))
  const bytes = new Uint8Array(headBytes + data.length)
  new DataView(bytes.buffer).setUint32(1, data.length)
  bytes.set(data, headBytes)
  return bytes
}

/** What a server refuses or ends with. */
export interface Failure {
  /** E.g. `"not_found"`. */
  readonly code: string
  readonly message: string
}

/** An error in its JSON form; `undefined` for anything else. */
export const failureOf = (value: unknown): Failure | undefined => {
  const found = Fields.fields(value)
  const code = found === undefined ? undefined : Fields.text(found, "code")
  return found === undefined || code === undefined
    ? undefined
    : { code, message: Fields.text(found, "message") ?? code }
}

export type Envelope =
  | { readonly type: "message"; readonly message: Fields.Fields }
  /** The last one. */
  | { readonly type: "end"; readonly failure: Failure | undefined }

/** Envelopes of a byte stream, however it is cut. */
export class Decoder {
  private readonly limitBytes: number
  private readonly utf8 = new TextDecoder()
  private parts: Array<Uint8Array> = []
  private heldBytes = 0
  private neededBytes = headBytes
  isEnded = false

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  /** Adds the envelopes that a chunk completes; fails with what is wrong with the stream. */
  push(chunk: Uint8Array, out: Array<Envelope>): string | undefined {
    // What follows the last one is nobody's, and is not kept.
    if (this.isEnded) return undefined
    this.parts.push(chunk)
    this.heldBytes += chunk.length
    while (!this.isEnded && this.heldBytes >= this.neededBytes) {
      const bytes = this.joined()
      const dataBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1)
      if (dataBytes > this.limitBytes) return `a message of ${dataBytes} bytes`
      this.neededBytes = headBytes + dataBytes
      if (bytes.length < this.neededBytes) return undefined
      this.keep(bytes.subarray(this.neededBytes))
      const read = this.read(bytes[0] ?? 0, bytes.subarray(headBytes, headBytes + dataBytes))
      if (Result.isFailure(read)) return read.failure
      out.push(read.success)
    }
    return undefined
  }

  private keep(rest: Uint8Array): void {
    // A copy, so that a few bytes do not keep a whole read alive.
    this.parts = rest.length === 0 ? [] : [rest.slice()]
    this.heldBytes = rest.length
    this.neededBytes = headBytes
  }

  private joined(): Uint8Array {
    const [first] = this.parts
    if (first !== undefined && this.parts.length === 1) return first
    const bytes = new Uint8Array(this.heldBytes)
    let at = 0
    for (const part of this.parts) {
      bytes.set(part, at)
      at += part.length
    }
    this.parts = [bytes]
    return bytes
  }

  private read(flags: number, data: Uint8Array): Result.Result<Envelope, string> {
    if ((flags & compressed) !== 0) return Result.fail("a compressed message, which was not asked for")
    const message = Fields.parse(this.utf8.decode(data))
    if (message === undefined) return Result.fail("a message that is no JSON object")
    if ((flags & endOfStream) === 0) return Result.succeed({ type: "message", message })
    this.isEnded = true
    return Result.succeed({ type: "end", failure: failureOf(Fields.own(message, "error")) })
  }
}
