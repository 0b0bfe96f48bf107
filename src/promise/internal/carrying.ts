/** What a call has its requests carry to a sandbox or a store. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Carried from "../../http/internal/carried.ts"
import type { RequestOptions } from "../Options.ts"

const carriedOf = ({ headers, idempotencyKey }: RequestOptions): Carried.Carried | undefined =>
  headers === undefined && idempotencyKey === undefined ? undefined : { headers, idempotencyKey }

/** An effect whose requests carry it. */
export const carrying = <A, E, R>(self: Effect.Effect<A, E, R>, options: RequestOptions): Effect.Effect<A, E, R> => {
  const carried = carriedOf(options)
  return carried === undefined ? self : Effect.provideService(self, Carried.Current, carried)
}

/** The same for a stream. */
export const streamCarrying = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  options: RequestOptions
): Stream.Stream<A, E, R> => {
  const carried = carriedOf(options)
  return carried === undefined ? self : Stream.provideService(self, Carried.Current, carried)
}
