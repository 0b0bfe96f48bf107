/** How an error prints in a terminal: what happened and what to do, then where, then why. */
export const inspectError = (error: Error & { readonly code: string }): string => {
  const frames = (error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "))
  const cause = error.cause instanceof Error ? [`  [cause]: ${error.cause.name}: ${error.cause.message}`] : []
  return [`${error.name} [${error.code}]: ${error.message}`, ...frames, ...cause].join("\n")
}
