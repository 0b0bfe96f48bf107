/** Numbers and times as rate-limit headers write them. */

/** A number that is not negative. */
export const positive = (text: string | undefined): number | undefined => {
  if (text === undefined || text.trim() === "") return undefined
  const value = Number(text)
  return Number.isFinite(value) && value >= 0 ? value : undefined
}

const unitMillis: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Durations as Go prints them: `12ms`, `1.5s`, `6m0s`. */
export const fromGoDuration = (text: string): number | undefined => {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    total += Number(amount) * (unitMillis[unit ?? ""] ?? 0)
  }
  return total
}

// Numbers this large are a point in time, in seconds (2001 and later) or in milliseconds, not a duration.
const epochSeconds = 1_000_000_000
const epochMillis = 1_000_000_000_000

/** Milliseconds from now until a reset that is written as a duration or as a point in time; may be negative. */
export const fromReset = (text: string, nowMillis: number): number | undefined => {
  const value = positive(text)
  if (value !== undefined) {
    if (value >= epochMillis) return value - nowMillis
    return value >= epochSeconds ? value * 1000 - nowMillis : value * 1000
  }
  const go = fromGoDuration(text.trim())
  if (go !== undefined) return go
  const at = /^\d{4}-\d\d-\d\dT/.test(text) ? globalThis.Date.parse(text) : Number.NaN // RFC 3339 (Anthropic)
  return Number.isNaN(at) ? undefined : at - nowMillis
}
