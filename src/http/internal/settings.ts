/**
 * Settings by the names of variables, from the `ConfigProvider` in context: the environment, unless a program says
 * otherwise. A variable that is set to nothing is not set.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

const loaded = Effect.promise(() => import("./variables.ts"))

/** The text of a variable, where it is set. */
export const text = (name: string): Effect.Effect<string | undefined, ConfigError> =>
  Effect.flatMap(loaded, ({ read }) =>
    Effect.map(read(name), (found) => (found === undefined || found.trim() === "" ? undefined : found))
  )

/** The secret in a variable, where it is set. */
export const secret = (name: string): Effect.Effect<Redacted.Redacted<string> | undefined, ConfigError> =>
  Effect.map(text(name), (found) => (found === undefined ? undefined : Redacted.make(found)))

/** Fails with what has to be set. */
export const missing = (message: string): Effect.Effect<never, ConfigError> =>
  Effect.flatMap(loaded, (variables) => variables.missing(message))
