/** The tag that names a failure in stories and logs: its reason's, where it has one. Its message may repeat a prompt. */
export const outcomeOf = (error: unknown, otherwise = "failed"): string => {
  if (typeof error !== "object" || error === null) return otherwise
  if ("reason" in error && typeof error.reason === "object" && error.reason !== null) {
    return outcomeOf(error.reason, otherwise)
  }
  if ("_tag" in error && typeof error._tag === "string") return error._tag
  return error instanceof Error ? error.name : otherwise
}
