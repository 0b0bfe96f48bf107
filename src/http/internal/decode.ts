/** Compressed bodies as they arrive (RFC 9110 §8.4): zlib's streams between a socket and its reader. */
import type { Transform } from "node:stream"
import * as zlib from "node:zlib"

/** Where decoded bytes go. */
export interface Target {
  readonly onBytes: (chunk: Buffer) => void
  readonly onEnd: () => void
  readonly onError: (cause: Error) => void
}

// "deflate" is the zlib format, but some servers send it without its header: the low half of a header's first byte is 8.
const inflate = (first: Buffer): Transform =>
  ((first[0] ?? 0) & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw()

const decoders: Readonly<Record<string, (first: Buffer) => Transform>> = {
  gzip: () => zlib.createGunzip(),
  "x-gzip": () => zlib.createGunzip(),
  deflate: inflate,
  br: () => zlib.createBrotliDecompress(),
  zstd: () => zlib.createZstdDecompress()
}

/** What this client can undo, most welcome first. */
export const acceptEncoding = "gzip, deflate, br, zstd"

/** A decoder of one body. Nothing is made before the first byte: an answer to HEAD has the header and no body. */
export class Decoder {
  private readonly make: (first: Buffer) => Transform
  private readonly target: Target
  private readonly onDrain: () => void
  private transform: Transform | undefined
  private isPaused = false

  constructor(make: (first: Buffer) => Transform, target: Target, onDrain: () => void) {
    this.make = make
    this.target = target
    this.onDrain = onDrain
  }

  /** Takes a chunk; `false` asks for no more before `onDrain`. */
  write(chunk: Buffer): boolean {
    this.transform ??= this.begin(chunk)
    return this.transform.write(chunk)
  }

  private begin(first: Buffer): Transform {
    const transform = this.make(first)
    transform.on("data", this.target.onBytes)
    transform.once("end", this.target.onEnd)
    transform.once("error", this.target.onError)
    transform.on("drain", this.onDrain)
    if (this.isPaused) transform.pause()
    return transform
  }

  end(): void {
    if (this.transform === undefined) this.target.onEnd()
    else this.transform.end()
  }
  pause(): void {
    this.isPaused = true
    this.transform?.pause()
  }
  resume(): void {
    this.isPaused = false
    this.transform?.resume()
  }
  destroy(): void {
    this.transform?.removeListener("data", this.target.onBytes)
    this.transform?.destroy()
  }
}

/** How to undo this `content-encoding`; `undefined` leaves the body as it is, as for an encoding that nobody knows. */
export const decoderFor = (encoding: string | Array<string>): ((first: Buffer) => Transform) | undefined =>
  typeof encoding === "string" ? decoders[encoding.trim().toLowerCase()] : undefined
