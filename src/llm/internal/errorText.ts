/** What an error says of itself, whatever it is. */
export const messageOf = (error: unknown): string => {
  if (typeof error === "string") return error
  if (typeof error === "object" && error !== null) {
    if ("message" in error && typeof error.message === "string" && error.message !== "") return error.message
    // A tagged error without a message of its own.
    if ("_tag" in error && typeof error._tag === "string") return error._tag
  }
  return String(error)
}
