/**
 * Settings by the names of variables, from the `ConfigProvider` in context: the environment, unless a program says
 * otherwise. A variable that is set to nothing is not set.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

// Loaded when a layer asks for it: it brings all of Schema, which doubles the time of the first import.
const loaded = Effect.promise(() => Promise.all([import("effect/Config"), import("effect/ConfigProvider")]))

/** The secret in a variable, where it is set. */
export const secret = (name: string): Effect.Effect<Redacted.Redacted<string> | undefined, ConfigError> =>
  Effect.flatMap(loaded, ([Config]) =>
    Effect.map(Config.option(Config.Redacted(name)), (found) =>
      Option.getOrUndefined(Option.filter(found, (value) => Redacted.value(value).trim() !== ""))
    )
  )

/** The text of a variable, where it is set. */
export const text = (name: string): Effect.Effect<string | undefined, ConfigError> =>
  Effect.map(secret(name), (found) => (found === undefined ? undefined : Redacted.value(found)))

/** Fails with what has to be set. */
export const missing = (message: string): Effect.Effect<never, ConfigError> =>
  Effect.flatMap(loaded, ([Config, { SourceError }]) =>
    Effect.fail(new Config.ConfigError(new SourceError({ message })))
  )
