/** What one call has its requests carry to a service that is no model: set around the call, read where it sends. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Ask, HeaderValues } from "./ask.ts"

export interface Carried {
  /** Of each request, over those of the service and under those of its protocol. Default: none. */
  readonly headers?: HeaderValues | undefined
  /** Sent as `idempotency-key` with each request that is `keyed`. Default: none. */
  readonly idempotencyKey?: string | undefined
}

const nothing: Carried = {}

export const Current: Context.Reference<Carried> = Context.Reference<Carried>("holdfast/http/Carried", {
  defaultValue: () => nothing
})

/** The same call as one of several that are made of it, whose requests are not each other's: its key tells which. */
export const nth =
  (index: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    index === 0
      ? self
      : Effect.updateService(self, Current, ({ headers, idempotencyKey }) => ({
          headers,
          idempotencyKey: idempotencyKey === undefined ? undefined : `${idempotencyKey}-${index + 1}`
        }))

/** What is done beside what was asked for, such as a check before it: a key of its own would be another's. */
export const keyless = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateService(self, Current, ({ headers }) => ({ headers }))

/** They say what the body is, which is no caller's to say: a call may send several, each of its own kind. */
const ofBody = new Set(["content-type", "content-length"])

const lower = (headers: HeaderValues | undefined): HeaderValues =>
  Object.fromEntries(
    Object.entries(headers ?? {})
      .map(([name, value]) => [name.toLowerCase(), value] as const)
      .filter(([name]) => !ofBody.has(name))
  )

/** What is asked, with what the call around has it carry. */
export const over = (ask: Ask, context: Context.Context<never>): Ask => {
  const { headers, idempotencyKey } = Context.get(context, Current)
  const key = ask.keyed === true ? idempotencyKey : undefined
  if (headers === undefined && key === undefined) return ask
  const keyed = key === undefined ? undefined : { "idempotency-key": key }
  return { ...ask, headers: { ...lower(headers), ...ask.headers, ...keyed } }
}

/** The same, for who is in no call of the exchange. */
export const asked = (ask: Ask): Effect.Effect<Ask> =>
  Effect.contextWith((context: Context.Context<never>) => Effect.succeed(over(ask, context)))
