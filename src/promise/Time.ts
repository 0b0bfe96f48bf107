/** How plain programs say how long: milliseconds, `"10 seconds"` or `"10s"`. */
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
