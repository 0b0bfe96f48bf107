/** Addresses that hold their bytes themselves (RFC 2397). */
import type { FilePart, ImagePart } from "../Message.ts"

/** Bytes in base64. */
export interface Bytes {
  readonly data: string
  /** Absent where the address does not say it. */
  readonly mediaType: string | undefined
}

/** What a `data:` URL in base64 holds, whatever its parameters; `undefined` for any other address. */
export const bytesOf = (url: string): Bytes | undefined => {
  const [, mediaType, data] = /^data:([^;,]+)?(?:;[^;,]+)*;base64,(.*)$/s.exec(url) ?? []
  return data === undefined ? undefined : { data, mediaType }
}

/** A part whose address holds its bytes as a part of these bytes; any other as it is. */
export const opened = (part: ImagePart | FilePart): ImagePart | FilePart => {
  const bytes = "url" in part ? bytesOf(part.url) : undefined
  if (bytes === undefined) return part
  const said = part.type === "file" ? part.mediaType : undefined
  const { data, mediaType = said ?? "text/plain" } = bytes
  return part.type === "image" ? { type: "image", data, mediaType } : { type: "file", data, mediaType }
}
