/** How a call holds: retries, deadlines and limits as values. Works on any Effect and does no I/O. */
export * as Attempt from "./Attempt.ts"
export * as Concurrency from "./Concurrency.ts"
export * as Deadline from "./Deadline.ts"
export * as Policy from "./Policy.ts"
export * as PolicyError from "./PolicyError.ts"
export * as Retry from "./Retry.ts"
export * as Retryable from "./Retryable.ts"
export * as Timeout from "./Timeout.ts"
