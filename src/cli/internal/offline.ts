/** The offline model: known answers behind a real socket, with faults on purpose. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Policy from "../../policy/Policy.ts"
import * as Fault from "../../testing/Fault.ts"
import * as ReplayServer from "../../testing/ReplayServer.ts"
import type { Endpoint } from "./floors.ts"

export interface Offline {
  readonly endpoint: Endpoint
  readonly tally: Effect.Effect<Fault.Tally>
}

/** Starts the replay server; without a seed it injects no faults. */
export const start = Effect.fnUntraced(function* (
  answer: ReplayServer.Options["answer"],
  seed: number | undefined
): Effect.fn.Return<Offline, never, Scope.Scope> {
  const faults = yield* Fault.plan(seed === undefined ? { rate: 0 } : { seed })
  const server = yield* ReplayServer.make({ answer, faults })
  const apiKey = Redacted.make("offline")
  const endpoint = { provider: "openai", baseUrl: server.url, model: "replay", apiKey, secret: undefined } as const
  return { endpoint, tally: faults.tally }
})

/**
 * How calls hold against the replay server. It answers within milliseconds, so that a second of silence is a stall; one
 * retry more than the faults in a row, in case a busy machine is slow once too.
 */
export const policy: Policy.Options = {
  retry: { retries: 3, base: "50 millis", maxDelay: "500 millis" },
  timeout: { attempt: "3 seconds", firstContent: "3 seconds", idleContent: "1500 millis" }
}
