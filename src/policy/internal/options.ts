/** The options of a policy as they are read from Config: durations such as `"20 seconds"`, and whole numbers. */
import * as Config from "effect/Config"
import * as Schema from "effect/Schema"
import type { Options } from "../Policy.ts"

const wholeNumber = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const positive = Schema.Int.check(Schema.isGreaterThan(0))

/** The value of a name where it is set, and else what the program says. */
const or = <A>(config: Config.Config<A>, otherwise: A | undefined): Config.Config<A | undefined> =>
  Config.withDefault(config, otherwise)

export const read = (prefix: string, defaults: Options): Config.Config<Options> => {
  const { rateLimit, retry, timeout } = defaults
  const duration = <A>(name: string, otherwise: A) =>
    Config.withDefault(Config.Duration(`${prefix}_${name}`), otherwise)
  const count = (name: string, otherwise: number | undefined, codec = positive) =>
    or(Config.schema(codec, `${prefix}_${name}`), otherwise)
  return Config.map(
    Config.all({
      retries: count("RETRIES", retry?.retries, wholeNumber),
      base: duration("RETRY_BASE", retry?.base),
      maxDelay: duration("RETRY_MAX_DELAY", retry?.maxDelay),
      maxRetryAfter: duration("MAX_RETRY_AFTER", retry?.maxRetryAfter),
      connect: duration("CONNECT_TIMEOUT", timeout?.connect),
      attempt: duration("ATTEMPT_TIMEOUT", timeout?.attempt),
      firstContent: duration("FIRST_CONTENT_TIMEOUT", timeout?.firstContent),
      idleContent: duration("IDLE_CONTENT_TIMEOUT", timeout?.idleContent),
      total: duration("TOTAL_TIMEOUT", timeout?.total),
      maxConcurrency: count("MAX_CONCURRENCY", defaults.maxConcurrency),
      maxQueue: count("MAX_QUEUE", defaults.maxQueue, wholeNumber),
      maxWait: duration("MAX_WAIT", defaults.maxWait),
      requestsPerMinute: count("REQUESTS_PER_MINUTE", rateLimit?.requestsPerMinute),
      tokensPerMinute: count("TOKENS_PER_MINUTE", rateLimit?.tokensPerMinute)
    }),
    (set): Options => {
      const { base, maxDelay, maxRetryAfter, retries } = set
      const { attempt, connect, firstContent, idleContent, total } = set
      const { maxConcurrency, maxQueue, maxWait, requestsPerMinute, tokensPerMinute } = set
      const isLimited = rateLimit !== undefined || requestsPerMinute !== undefined || tokensPerMinute !== undefined
      return {
        ...defaults,
        retry: { ...retry, base, maxDelay, maxRetryAfter, retries },
        timeout: { ...timeout, attempt, connect, firstContent, idleContent, total },
        maxConcurrency,
        maxQueue,
        maxWait,
        rateLimit: isLimited ? { ...rateLimit, requestsPerMinute, tokensPerMinute } : undefined
      }
    }
  )
}
