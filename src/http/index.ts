/** How bytes travel: Effect's own HttpClient with a fast transport and policies, and event streams. */
export * as ConnectionFailure from "./ConnectionFailure.ts"
export * as EventStream from "./EventStream.ts"
export * as RateLimitHeaders from "./RateLimitHeaders.ts"
export * as ResilientHttpClient from "./ResilientHttpClient.ts"
export * as RetryAfter from "./RetryAfter.ts"
export * as UndiciHttpClient from "./UndiciHttpClient.ts"
