/** How long a retry waits, and whether it may be sent at all. */
import type { Retry, Safety } from "../Retry.ts"
import type { Retryable } from "../Retryable.ts"

/** The computed wait before retry `n` (from 0), with `random` from `[0, 1)`, in milliseconds. */
export const delayMillis = (retry: Retry, n: number, random: number, isThrottle = false): number => {
  const full = Math.min(retry.maxDelayMillis, retry.baseMillis * retry.factor ** n)
  const jitter = retry.jitter === "full" && isThrottle ? "equal" : retry.jitter
  const wait = jitter === "none" ? full : jitter === "full" ? full * random : full / 2 + (full / 2) * random
  return Math.max(retry.minDelayMillis, wait)
}

/** Whether a second send is allowed after this failure, whatever the number of retries. */
export const mayResend = (retry: Retry, safety: Safety, failure: Retryable, timeouts: number): boolean => {
  if (failure.phase === "notSent" || failure.phase === "rejected" || retry.resend === "always") return true
  if (safety === "unsafe") return false
  return safety === "idempotent" || timeouts <= 1
}
