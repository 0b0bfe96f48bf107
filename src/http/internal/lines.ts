/**
 * Lines of a UTF-8 byte stream, ended by LF, CRLF or a lone CR, however the chunks are cut.
 *
 * Bytes are kept until a line end has come: what is decoded ends at a line end, so no character is cut, and a whole
 * socket read is decoded in one step.
 */

const bom = "\uFEFF"

const lf = 10
const cr = 13

/** Where the last line end of these bytes is, or -1. */
const lastEnd = (bytes: Uint8Array): number => Math.max(bytes.lastIndexOf(lf), bytes.lastIndexOf(cr))

const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  let length = 0
  for (const part of parts) length += part.length
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

export class LineDecoder {
  private readonly utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
  private parts: Array<Uint8Array> = []
  private hasEnd = false
  private endedWithCr = false
  private isFirst = true
  /** Bytes that wait for the end of their line. */
  waitingBytes = 0

  /** Keeps a chunk; `drain` hands its lines over. */
  push(chunk: Uint8Array): void {
    this.parts.push(chunk)
    this.waitingBytes += chunk.length
    this.hasEnd ||= lastEnd(chunk) !== -1
  }

  /** Hands over the lines that are complete. */
  drain(onLine: (line: string) => void): void {
    if (!this.hasEnd) return
    const bytes = joined(this.parts)
    const end = lastEnd(bytes) + 1
    // A copy, so that a few bytes do not keep a whole read alive.
    const rest = end === bytes.length ? undefined : bytes.slice(end)
    this.parts = rest === undefined ? [] : [rest]
    this.waitingBytes = rest === undefined ? 0 : rest.length
    this.hasEnd = false
    this.split(this.utf8.decode(end === bytes.length ? bytes : bytes.subarray(0, end)), onLine)
  }

  /** Hands over what is left when the bytes have ended: a last line without its end. */
  end(onLine: (line: string) => void): void {
    this.drain(onLine)
    if (this.waitingBytes === 0) return
    const rest = this.utf8.decode(joined(this.parts))
    this.parts = []
    this.waitingBytes = 0
    this.split(`${rest}\n`, onLine)
  }

  private split(decoded: string, onLine: (line: string) => void): void {
    let text = decoded
    if (this.isFirst) {
      this.isFirst = false
      if (text.startsWith(bom)) text = text.slice(1)
    }
    // The LF of a CRLF may come with the next chunk.
    let from = this.endedWithCr && text.startsWith("\n") ? 1 : 0
    this.endedWithCr = text.endsWith("\r")
    if (text.includes("\r")) return splitAny(text, from, onLine)
    for (let at = text.indexOf("\n", from); at !== -1; at = text.indexOf("\n", from)) {
      onLine(text.slice(from, at))
      from = at + 1
    }
  }
}

const splitAny = (text: string, start: number, onLine: (line: string) => void): void => {
  let from = start
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== lf && code !== cr) continue
    onLine(text.slice(from, at))
    if (code === cr && text.charCodeAt(at + 1) === lf) at++
    from = at + 1
  }
}
