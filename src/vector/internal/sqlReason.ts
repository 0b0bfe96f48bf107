/** What PostgreSQL said, as a reason. */
import type { SqlError } from "effect/sql/SqlError"
import { ConnectionLost, InvalidRequest, Unauthorized, Unreachable } from "../../http/ServiceReason.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import { CollectionNotFound, DimensionMismatch, type Reason, StorageFailed } from "../VectorError.ts"
import { member } from "./json.ts"

/** The server's own error is somewhere below the driver's. */
const within = (error: unknown, name: string, depth = 0): string | undefined => {
  const own = member(error, name)
  if (typeof own === "string" && own !== "") return own
  return depth > 4 || typeof error !== "object" || error === null || !("cause" in error)
    ? undefined
    : within(error.cause, name, depth + 1)
}

const isState = /^[0-9A-Z]{5}$/

/** https://www.postgresql.org/docs/18/errcodes-appendix.html */
const stateOf = (error: SqlError): string | undefined => {
  const code = within(error.reason, "code")
  return code !== undefined && isState.test(code) ? code : undefined
}

const wordsOf = (error: SqlError): string => {
  let said: unknown = error.reason
  for (let depth = 0; depth < 4; depth++) {
    const { cause }: { readonly cause?: unknown } = said instanceof Error ? said : {}
    if (!(cause instanceof Error)) break
    said = cause
  }
  return oneLine(said instanceof Error && said.message !== "" ? said.message : error.message)
}

const failed = (why: StorageFailed["why"], description: string, cause: unknown): StorageFailed =>
  new StorageFailed({ why, description: `PostgreSQL: ${description}`, cause })

/** `different vector dimensions 2 and 3`, `expected 2 dimensions, not 3` */
const dimensions = /dimensions (\d+) and (\d+)|expected (\d+) dimensions, not (\d+)/

const ofState = (state: string, words: string, collection: string, cause: unknown): Reason | undefined => {
  if (state === "42P01") return new CollectionNotFound({ collection, description: words })
  if (state === "53100") return failed("full", `the disk is full; nothing of this batch was stored (${words})`, cause)
  if (state === "25006") return failed("readOnly", words, cause)
  // Too many connections, about to start or to stop.
  if (/^(53300|57P0[123])$/.test(state)) return failed("busy", words, cause)
  if (state === "0A000" || state === "58P01") {
    const description = `${words}; install pgvector on the server: https://github.com/pgvector/pgvector`
    return new InvalidRequest({ description })
  }
  const [, left, right, expected = left, actual = right] = dimensions.exec(words) ?? []
  if (!state.startsWith("22") || expected === undefined || actual === undefined) return undefined
  return new DimensionMismatch({ where: "a vector", expected: Number(expected), actual: Number(actual) })
}

export const reasonOfSql = (error: SqlError, collection: string): Reason => {
  const { reason } = error
  const [state, words] = [stateOf(error), wordsOf(error)]
  const known = state === undefined ? undefined : ofState(state, words, collection, error)
  if (known !== undefined) return known
  switch (reason._tag) {
    case "ConnectionError":
      return /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENOENT|connect/i.test(words)
        ? new Unreachable({ description: words, cause: error })
        : new ConnectionLost({ description: words, cause: error })
    case "AuthenticationError":
    case "AuthorizationError":
      return new Unauthorized({ description: words })
    case "DeadlockError":
    case "SerializationError":
    case "LockTimeoutError":
      return failed("busy", words, error)
    case "SqlSyntaxError":
    case "ConstraintError":
    case "UniqueViolation":
      return new InvalidRequest({ description: words })
    case "StatementTimeoutError":
    case "UnknownError":
      return failed("other", words, error)
  }
}
