/** Numbers as the page writes them. Each function is whole in itself: the page's own script has them too. */

/** `12,431`. */
export const count = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 0 })

/** `340 ms`, `4.25 s`, `12 min 39 s`, `3 h 05 min`, `2 d 03 h`. */
export const duration = (millis: number): string => {
  const two = (value: number): string => String(value).padStart(2, "0")
  if (millis < 999.5) return `${Math.round(millis)} ms`
  if (millis < 9_995) return `${(millis / 1000).toFixed(2)} s`
  if (millis < 59_950) return `${(millis / 1000).toFixed(1)} s`
  const seconds = Math.round(millis / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
  const hours = Math.round(minutes / 60)
  return `${Math.floor(hours / 24).toLocaleString("en-US")} d ${two(hours % 24)} h`
}

/** An edge of a histogram, which is a round number: `110 ms`, `1.2 s`, `2 min 00 s`, `1.08 h`. */
export const edge = (millis: number): string => {
  const seconds = millis / 1000
  if (millis < 1000) return `${millis} ms`
  if (seconds < 60) return `${seconds} s`
  if (seconds >= 3600) return `${Number((seconds / 3600).toFixed(2))} h`
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`
}

/** US dollars: `$1,204.50`, and small sums with three digits that say something: `$0.00184`. */
export const money = (dollars: number): string => {
  const isSmall = dollars > 0 && dollars < 0.995
  const digits = isSmall ? { maximumSignificantDigits: 3 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 }
  return `$${dollars.toLocaleString("en-US", digits)}`
}

/** A moment of the charts' axes, as short as its steps allow: `0.5 s`, `12 s`, `1:30`, `2:05:00`. */
export const clock = (millis: number, stepMillis: number): string => {
  const two = (value: number): string => String(value).padStart(2, "0")
  if (millis < 60_000 && stepMillis < 60_000) return `${Number((millis / 1000).toFixed(3))} s`
  const seconds = Math.round(millis / 1000)
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  return hours === 0 ? `${minutes}:${two(seconds % 60)}` : `${hours}:${two(minutes)}:${two(seconds % 60)}`
}

/** A long number on an axis: `950`, `12k`, `1.5M`. */
export const short = (value: number): string =>
  value.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 2 }).replace("K", "k")

/** A share as per cent, and never 100 % or 0 % where something is missing or there: `99.9 %`. */
export const percent = (part: number, whole: number): string => {
  if (whole === 0) return "0 %"
  const share = (100 * part) / whole
  const bounded = part === whole || part === 0 ? share : Math.min(99.9, Math.max(0.1, share))
  return `${bounded.toLocaleString("en-US", { maximumFractionDigits: 1 })} %`
}
