/** The id of a point in Qdrant, which knows numbers and UUIDs alone. */
import { createHash } from "node:crypto"

/** Of ids that this package makes: a random one, drawn once. */
const namespace = Buffer.from("5d1f7b0ce3aa4e0c9d2f6a1bb7c40e95", "hex")

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/**
 * A UUID of version 5 (RFC 9562 §5.5: SHA-1 of a namespace and a name): the same for the same text, in any process. What is a
 * UUID already stays as it is, so that points of other clients are found.
 */
export const pointOf = (id: string): string => {
  if (uuid.test(id)) return id
  const bytes = createHash("sha1").update(namespace).update(id).digest().subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString("hex")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-")
}
