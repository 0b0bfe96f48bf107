/** Lines of a UTF-8 byte stream, ended by LF, CRLF or a lone CR, however the chunks are cut. */

const bom = "\uFEFF"

export class LineDecoder {
  readonly maxLength: number
  // A byte order mark is only one at the very start, so that the decoder must not look for it at each chunk.
  private readonly utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
  private tail = ""
  private endsWithCr = false
  private isFirst = true

  constructor(maxLength: number) {
    this.maxLength = maxLength
  }

  /** Hands over the lines that this chunk completes. `false` when an unfinished line is over the limit. */
  push(chunk: Uint8Array, onLine: (line: string) => void): boolean {
    let text = this.utf8.decode(chunk, { stream: true })
    if (this.isFirst && text !== "") {
      this.isFirst = false
      if (text.startsWith(bom)) text = text.slice(1)
    }
    if (this.endsWithCr && text !== "") {
      this.endsWithCr = false
      if (text.startsWith("\n")) text = text.slice(1)
    }
    const hasCr = text.includes("\r")
    // An unfinished line only grows: it is not searched again.
    if (!hasCr && !text.includes("\n")) this.tail += text
    else if (hasCr) this.tail = this.splitAny(this.tail + text, onLine)
    else this.tail = splitLf(this.tail + text, onLine)
    return this.tail.length <= this.maxLength
  }

  /** Hands over what is left when the bytes have ended: a last line without its end. */
  end(onLine: (line: string) => void): void {
    const rest = this.tail + this.utf8.decode()
    this.tail = ""
    if (rest !== "") onLine(rest)
  }

  private splitAny(text: string, onLine: (line: string) => void): string {
    let from = 0
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code !== 10 && code !== 13) continue
      onLine(text.slice(from, at))
      if (code === 13) {
        // The LF of a CRLF may come with the next chunk.
        if (at + 1 === text.length) this.endsWithCr = true
        else if (text.charCodeAt(at + 1) === 10) at++
      }
      from = at + 1
    }
    return text.slice(from)
  }
}

/** The common case: nothing but LF. Returns what follows the last one. */
const splitLf = (text: string, onLine: (line: string) => void): string => {
  let from = 0
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", from)) {
    onLine(text.slice(from, at))
    from = at + 1
  }
  return from === 0 ? text : text.slice(from)
}
