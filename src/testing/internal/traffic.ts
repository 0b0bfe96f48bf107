/**
 * The real HTTP requests of this process that are under way, as undici tells them (its own and Node's `fetch`):
 * https://github.com/nodejs/undici/blob/main/docs/docs/api/DiagnosticsChannel.md
 */
import { hasProperty } from "effect/Predicate"
import { subscribe } from "node:diagnostics_channel"

/** What is under way, and how many steps it has made: begun, sent, headers, ended. */
export interface Traffic {
  readonly inFlight: () => number
  readonly steps: () => number
}

let listening: Traffic | undefined

/** Listens from now on. There is one listener in a process, however often this is called. */
export const listen = (): Traffic => (listening ??= start())

const start = (): Traffic => {
  // Bounded by what the process has open: each request ends by trailers or by an error, an abort among them.
  const open = new Set<unknown>()
  let steps = 0
  const on = (event: string, note: (request: unknown) => void): void =>
    subscribe(`undici:request:${event}`, (message) => {
      steps++
      note(hasProperty(message, "request") ? message.request : undefined)
    })
  on("create", (request) => void open.add(request))
  // Pieces of a body are no step: keep-alives are pieces too, and a stalled stream would stop time for ever.
  for (const event of ["bodySent", "headers"]) on(event, () => undefined)
  for (const event of ["trailers", "error"]) on(event, (request) => void open.delete(request))
  return { inFlight: () => open.size, steps: () => steps }
}
