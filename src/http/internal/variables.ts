/**
 * Variables as `ConfigProvider` has them. `settings.ts` loads this file when a layer asks for a variable.
 *
 * It names what it uses of Effect: of a module that is itself loaded late a bundler keeps everything, and the whole of
 * `Config` is 20 kB of Schema. It is not `Config.Redacted` either, which is a Schema, and reads the same.
 */
import { ConfigError } from "effect/Config"
import { ConfigProvider, fromEnv, layer, SourceError } from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"

/** The text of a variable, where it is set. */
export const read = (name: string): Effect.Effect<string | undefined, ConfigError> =>
  Effect.flatMap(ConfigProvider, (provider) =>
    Effect.mapBoth(provider.load([name]), {
      onFailure: (error) => new ConfigError(error),
      onSuccess: (node) => node?.value
    })
  )

/** Fails with what has to be set. */
export const missing = (message: string): Effect.Effect<never, ConfigError> =>
  Effect.fail(new ConfigError(new SourceError({ message })))

/** The environment as it is now: Effect's own provider keeps that of the process's first look. */
export const environment = (): Layer.Layer<never> => layer(fromEnv())
