/**
 * What became of one item of a batch: one line of its output, JSON. The output alone tells the whole story of a run, after
 * any number of resumptions, too.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const count = Schema.Number
const optionalCount = Schema.optional(count)
const phase = Schema.Literals(["notSent", "rejected", "maybeSent", "answered"])

/** One send: `Attempt` of `holdfast/policy`. Whoever is not asked for them through a policy may leave the last three out. */
const Attempt = Schema.Struct({
  endpoint: Schema.String,
  startMillis: count,
  durationMillis: count,
  outcome: Schema.String,
  phase: Schema.optional(phase),
  waitMillis: optionalCount,
  waitCause: Schema.optional(Schema.Literals(["none", "backoff", "retryAfter", "hedge"])),
  queuedMillis: optionalCount
})

const Usage = Schema.Struct({
  inputTokens: count,
  outputTokens: count,
  cachedInputTokens: optionalCount,
  cacheWriteInputTokens: optionalCount,
  reasoningTokens: optionalCount,
  isEstimate: Schema.optional(Schema.Boolean)
})

const Failure = Schema.Struct({
  /** The tag of the reason, e.g. `"RateLimited"`. */
  code: Schema.String,
  message: Schema.String,
  isRetryable: Schema.Boolean,
  phase: Schema.optional(phase),
  /** The HTTP status, where there was one. */
  status: optionalCount,
  /** The provider's name for the request, for its support. */
  requestId: Schema.optional(Schema.String)
})

const everyRecord = {
  /** The place in the input, starting at 0; blank lines do not count. */
  index: Schema.Int,
  /** The item's own name, where it has one. */
  id: Schema.optional(Schema.String),
  /** One for each send, in order; none for what was not sent. */
  attempts: Schema.Array(Attempt),
  /** Tokens of all sends together, where they are known. */
  usage: Schema.optional(Usage),
  /** US dollars, where the price is known. */
  cost: optionalCount,
  /** When the work on the item began, milliseconds since the epoch. */
  startMillis: count,
  /** From there to its end, in milliseconds. */
  durationMillis: count,
  /** The earlier, equal item whose result this is: nothing was asked, nothing was spent. */
  duplicateOf: Schema.optional(Schema.Int)
}

const Done = Schema.Struct({ ...everyRecord, outcome: Schema.Literal("done"), value: Schema.Unknown })
const Failed = Schema.Struct({ ...everyRecord, outcome: Schema.Literal("failed"), error: Failure })

/** An item whose work succeeded, with its result as JSON. */
export type Done = typeof Done.Type
/** An item whose work failed for good, with the reason. */
export type Failed = typeof Failed.Type
export type Attempt = typeof Attempt.Type
export type Usage = typeof Usage.Type
export type Failure = typeof Failure.Type

/** One line of the output. */
export type BatchRecord = Done | Failed
export const BatchRecord: Schema.Codec<BatchRecord> = Schema.Union([Done, Failed])

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(BatchRecord))

/** Reads a line; the failure says in one line what is wrong with it. */
export const parse = (line: string): Result.Result<BatchRecord, string> =>
  Result.mapError(decode(line), ({ message }) => message.replace(/\s*\n\s*/g, " "))

/** Writes a line, without its end. */
export const print = (record: BatchRecord): string => JSON.stringify(record)
