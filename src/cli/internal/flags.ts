/** Flags that several commands have. */
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { providers } from "./floors.ts"

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Reads `10s`, `1.5m`, `500ms`, and a bare number as seconds. */
export const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h)?$/.exec(text.trim())
  const millis = match === null ? 0 : Number(match[1]) * (units[match[2] ?? "s"] ?? 0)
  return millis > 0 ? Option.some(Duration.millis(millis)) : Option.none()
}

/** A flag that takes a length of time. */
export const duration = (name: string): Flag.Flag<Duration.Duration> =>
  Flag.String(name).pipe(
    Flag.withMetavar("duration"),
    Flag.filterMap(
      parseDuration,
      (text) => `Expected a duration such as 10s, 1.5m or 500ms, got ${JSON.stringify(text)}`
    )
  )

/** A flag that takes a whole number of at least `least`. */
export const count = (name: string, least: number): Flag.Flag<number> =>
  Flag.Int(name).pipe(
    Flag.filter(
      (n) => n >= least,
      (n) => `Expected a whole number of at least ${least}, got ${n}`
    )
  )

/** Which model is asked, and where. */
export const endpoint = {
  provider: Flag.Literals("provider", providers).pipe(
    Flag.withDescription("Whose protocol is spoken; openai is any compatible server (default: by the key that is set)"),
    Flag.optional
  ),
  baseUrl: Flag.String("base-url").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("The API's address, e.g. http://127.0.0.1:11434/v1 (default: the provider's own)"),
    Flag.optional
  ),
  model: Flag.String("model").pipe(Flag.withMetavar("name"), Flag.withDescription("The model to ask"), Flag.optional),
  apiKeyEnv: Flag.String("api-key-env").pipe(
    Flag.withMetavar("variable"),
    Flag.withDescription("The environment variable with the key (default: the provider's own, e.g. OPENAI_API_KEY)"),
    Flag.optional
  )
}
