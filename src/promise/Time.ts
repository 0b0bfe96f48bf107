/** How plain programs say how long and how many: milliseconds, `"10 seconds"` or `"10s"`; and what is said wrong. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

type Unit = "ms" | "s" | "m" | "h"
type LongUnit = "millis" | "second" | "seconds" | "minute" | "minutes" | "hour" | "hours"

/** A number is milliseconds; a string has its unit. */
export type Time = number | `${number}${Unit}` | `${number} ${LongUnit}` | "Infinity"

const units: Readonly<Record<string, string>> = { ms: "millis", s: "seconds", m: "minutes", h: "hours" }

/** Reads a time, or says which option holds none. */
export const toDuration = (time: Time, option: string): Duration.Duration => {
  const short = typeof time === "string" ? /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(time) : null
  const long = short === null ? time : `${short[1]} ${units[short[2] ?? ""]}`
  const duration = Duration.fromInput(isInput(long) ? long : "Infinity")
  if (!isInput(long) || Option.isNone(duration) || Duration.isNegative(duration.value)) {
    throw new TypeError(
      `${option}: ${JSON.stringify(time)} is not a time; give milliseconds, "10 seconds" or "10s", not negative`
    )
  }
  return duration.value
}

const isInput = (time: unknown): time is Duration.Input =>
  (typeof time === "number" && !Number.isNaN(time)) || (typeof time === "string" && /^(?:\d|Infinity$)/.test(time))

/** Reads the times among `options` that are given, by their names. */
export const durations = (
  options: Readonly<Record<string, Time | undefined>>,
  names: ReadonlyArray<string>,
  where: string
): Record<string, Duration.Duration> => {
  const read: Record<string, Duration.Duration> = {}
  for (const name of names) {
    const time = options[name]
    if (time !== undefined) read[name] = toDuration(time, `${where}.${name}`)
  }
  return read
}

/** Refuses a number that is none, or is too small. */
export const atLeast = (value: unknown, least: number, option: string): void => {
  if (value === undefined || (typeof value === "number" && value >= least)) return
  throw new TypeError(`${option}: ${JSON.stringify(value) ?? typeof value} is not a number of at least ${least}`)
}

/** Refuses an option that does not exist: a misspelt one would be left out in silence. */
export const onlyKnown = (options: object, names: ReadonlyArray<string>, where: string): void => {
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    throw new TypeError(`${where}.${name}: there is no such option; there are ${names.join(", ")}`)
  }
}

/** Refuses what is none of these values. */
export const oneOf = (value: unknown, allowed: ReadonlyArray<unknown>, option: string): void => {
  if (value === undefined || allowed.includes(value)) return
  const known = allowed.map((one) => JSON.stringify(one)).join(", ")
  throw new TypeError(`${option}: ${JSON.stringify(value) ?? typeof value} is not one of ${known}`)
}

/** Refuses what is no address of a server. */
export const httpUrl = (value: unknown, option: string): void => {
  if (value === undefined) return
  if (typeof value === "string" && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return
  throw new TypeError(
    `${option}: ${JSON.stringify(value) ?? typeof value} is not an http(s) URL; give one like "http://127.0.0.1:4010/v1"`
  )
}
