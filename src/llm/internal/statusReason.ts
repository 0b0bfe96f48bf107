/** What an error status means, whatever the provider: its own codes are read before by its wire format. */
import * as ServiceReason from "../../http/internal/serviceReason.ts"
import type { Hint } from "../../http/RetryAfter.ts"
import { ContentFiltered, ContextLengthExceeded, type Reason } from "../LlmError.ts"

/** What the provider's own words say beyond the status. */
export interface Said extends ServiceReason.Said {
  readonly isLength?: boolean | undefined
  readonly isFiltered?: boolean | undefined
}

/** Statuses that say who may not ask, whatever their words say of what was asked. */
const refusals = new Set([401, 402, 403])

/** The reason of a status that is no success. `description` is one line without secrets. */
export const reasonOfStatus = (status: number, description: string, hint: Hint, said: Said): Reason => {
  if (status >= 400 && status < 500 && said.isQuota !== true && !refusals.has(status)) {
    if (said.isLength === true) return new ContextLengthExceeded({ description, status })
    if (said.isFiltered === true) return new ContentFiltered({ description, status })
  }
  return ServiceReason.reasonOfStatus(status, description, hint, said)
}
