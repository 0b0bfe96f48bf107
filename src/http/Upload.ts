/**
 * Request bodies that are made while they are sent: multipart forms whose files stream from wherever they are, and
 * progress by the byte. `multipart/form-data`: RFC 7578, names escaped as browsers do (HTML, "multipart-form-data").
 */
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"

/** What a file's bytes come from. A Stream is run anew when the request is sent again. */
export type Content = Uint8Array | Blob | Stream.Stream<Uint8Array, unknown>

/** A file of a form. */
export interface File {
  readonly filename: string
  readonly content: Content
  /** Default: the Blob's own type, or `"application/octet-stream"`. */
  readonly contentType?: string | undefined
  /** Bytes of a Stream, if known: with every size known the form is sent with its `content-length`. */
  readonly sizeBytes?: number | undefined
}

/** A field's name and what it holds; a name may come more than once. */
export type Part = readonly [name: string, value: string | File]

/** How far a body has come. */
export interface Progress {
  readonly sentBytes: number
  /** Absent when the body's length is not known. */
  readonly totalBytes: number | undefined
}

interface Piece {
  readonly stream: Stream.Stream<Uint8Array, unknown>
  readonly bytes: number | undefined
}

const encoder = new TextEncoder()

const text = (value: string): Piece => {
  const bytes = encoder.encode(value)
  return { stream: Stream.succeed(bytes), bytes: bytes.length }
}

const escaped = (name: string): string => name.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22")

/** A media type has no line breaks; one that has would begin a header of its own. */
const oneLine = (value: string): string => value.replaceAll(/[\r\n]/g, " ")

const contentOf = ({ content, sizeBytes }: File): Piece => {
  if (content instanceof Uint8Array) return { stream: Stream.succeed(content), bytes: content.length }
  if (!(content instanceof Blob)) return { stream: content, bytes: sizeBytes }
  const stream = Stream.fromReadableStream<Uint8Array, unknown>({
    evaluate: () => content.stream(),
    onError: (error) => error
  })
  return { stream, bytes: content.size }
}

const typeOf = ({ content, contentType }: File): string => {
  const own = content instanceof Blob ? content.type : ""
  return oneLine(contentType ?? (own === "" ? "application/octet-stream" : own))
}

const piecesOf = ([name, value]: Part, boundary: string): ReadonlyArray<Piece> => {
  const disposition = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(name)}"`
  if (typeof value === "string") return [text(`${disposition}\r\n\r\n${value}\r\n`)]
  const head = `${disposition}; filename="${escaped(value.filename)}"\r\nContent-Type: ${typeOf(value)}\r\n\r\n`
  return [text(head), contentOf(value), text("\r\n")]
}

const token = Effect.map(Random.nextIntBetween(0, 2 ** 32), (n) => n.toString(36).padStart(7, "0"))

/** A multipart form as a body; nothing of a file is read before it is sent. */
export const multipart = (parts: Iterable<Part>): Effect.Effect<HttpBody.Stream> =>
  Effect.gen(function* () {
    const boundary = `holdfast-${yield* token}${yield* token}${yield* token}`
    const pieces = [...Array.from(parts, (part) => piecesOf(part, boundary)).flat(), text(`--${boundary}--\r\n`)]
    const stream = pieces.reduce<Piece["stream"]>((all, piece) => Stream.concat(all, piece.stream), Stream.empty)
    const bytes = pieces.reduce<number | undefined>(
      (sum, piece) => (sum === undefined || piece.bytes === undefined ? undefined : sum + piece.bytes),
      0
    )
    return HttpBody.stream(stream, `multipart/form-data; boundary=${boundary}`, bytes)
  })

/**
 * The same body, telling how far it has come each time the connection takes a piece. A body that is sent again begins
 * anew, from nothing.
 */
export const withProgress = (
  body: HttpBody.Stream,
  onProgress: (progress: Progress) => Effect.Effect<void>
): HttpBody.Stream => {
  const counted = Stream.suspend(() => {
    let sentBytes = 0
    return Stream.tap(body.stream, (chunk) => {
      sentBytes += chunk.length
      return onProgress({ sentBytes, totalBytes: body.contentLength })
    })
  })
  return HttpBody.stream(counted, body.contentType, body.contentLength)
}
