/**
 * The errors of the `openai` package, by its names and with its members; each keeps ours as its `cause`.
 *
 * OpenAIError
 *   APIError                      the server told an error; `status` is absent where it told it inside a stream
 *     BadRequestError             400
 *     AuthenticationError         401
 *     PermissionDeniedError       403
 *     NotFoundError               404
 *     ConflictError               409
 *     UnprocessableEntityError    422
 *     RateLimitError              429
 *     InternalServerError         500 and above
 *     APIConnectionError          no answer: not reached, connection lost, stream cut, refused by a policy
 *       APIConnectionTimeoutError a time was over
 *     APIUserAbortError           the caller's signal
 *   LengthFinishReasonError       what was to be parsed ended at its length
 *   ContentFilterFinishReasonError
 */

/** What all errors of this door have in common. */
export class OpenAIError extends Error {}

interface Fields {
  readonly [name: string]: unknown
}

const fieldsOf = (error: object | undefined): Fields => ({ ...error })

/** What an error tells: its own message, all that it says, or what else is known. */
const wordsOf = (error: object | undefined, message: string | undefined): string | undefined => {
  if (error === undefined) return message
  const said = fieldsOf(error).message
  if (!said) return JSON.stringify(error)
  return typeof said === "string" ? said : JSON.stringify(said)
}

const messageOf = (status: number | undefined, error: object | undefined, message: string | undefined): string => {
  const words = wordsOf(error, message)
  if (status === undefined) return words || "(no status code or body)"
  return words ? `${status} ${words}` : `${status} status code (no body)`
}

/** An answer with an error status, or a failure without one. */
export class APIError<
  TStatus extends number | undefined = number | undefined,
  THeaders extends Headers | undefined = Headers | undefined,
  TError extends object | undefined = object | undefined
> extends OpenAIError {
  /** The HTTP status. Absent where there was none. */
  readonly status: TStatus
  /** The headers of the answer. */
  readonly headers: THeaders
  /** The server's error as it came. */
  readonly error: TError
  /** The server's own code, e.g. `"insufficient_quota"`; a compatible server may send a number. */
  declare readonly code: string | null | undefined
  /** The parameter that is wrong. */
  declare readonly param: string | null | undefined
  declare readonly type: string | undefined
  /** The provider's name for the request, for its support. */
  readonly requestID: string | null | undefined

  constructor(status: TStatus, error: TError, message: string | undefined, headers: THeaders) {
    super(messageOf(status, error, message))
    this.status = status
    this.headers = headers
    this.requestID = headers?.get("x-request-id")
    this.error = error
    // As they came: what the types say of them is the server's word.
    const { code, param, type } = fieldsOf(error)
    Object.assign(this, { code, param, type })
  }

  /** The error of a status, as the package makes it: what `errorResponse` has as its `error` is told. */
  static generate(
    status: number | undefined,
    errorResponse: object | undefined,
    message: string | undefined,
    headers: Headers | undefined
  ): APIError {
    if (status === undefined || status === 0 || headers === undefined) {
      return new APIConnectionError({ message, cause: errorResponse instanceof Error ? errorResponse : undefined })
    }
    const { error } = fieldsOf(errorResponse)
    const told = typeof error === "object" && error !== null ? error : undefined
    const said = told === undefined && typeof error === "string" ? JSON.stringify(error) : message
    return ofStatus(status, told, said, headers)
  }
}

const ofStatus = (
  status: number,
  error: object | undefined,
  message: string | undefined,
  headers: Headers
): APIError => {
  switch (status) {
    case 400:
      return new BadRequestError(status, error, message, headers)
    case 401:
      return new AuthenticationError(status, error, message, headers)
    case 403:
      return new PermissionDeniedError(status, error, message, headers)
    case 404:
      return new NotFoundError(status, error, message, headers)
    case 409:
      return new ConflictError(status, error, message, headers)
    case 422:
      return new UnprocessableEntityError(status, error, message, headers)
    case 429:
      return new RateLimitError(status, error, message, headers)
    default:
      return status >= 500
        ? new InternalServerError(status, error, message, headers)
        : new APIError(status, error, message, headers)
  }
}

/** The caller's signal was aborted; its reason is the `cause`. */
export class APIUserAbortError extends APIError<undefined, undefined, undefined> {
  constructor({ cause, message }: { readonly message?: string | undefined; readonly cause?: unknown } = {}) {
    super(undefined, undefined, message || "Request was aborted.", undefined)
    if (cause !== undefined) causedBy(this, cause)
  }
}

/** There is no answer: nobody was reached, or what came broke off. */
export class APIConnectionError extends APIError<undefined, undefined, undefined> {
  constructor({ cause, message }: { readonly message?: string | undefined; readonly cause?: unknown }) {
    super(undefined, undefined, message || "Connection error.", undefined)
    if (cause !== undefined) causedBy(this, cause)
  }
}

/** A time was over before the answer was here. */
export class APIConnectionTimeoutError extends APIConnectionError {
  constructor({ cause, message }: { readonly message?: string | undefined; readonly cause?: unknown } = {}) {
    super({ message: message ?? "Request timed out.", cause })
  }
}

/** The request is wrong (400). */
export class BadRequestError extends APIError<400, Headers> {}
/** The key is missing or wrong (401). */
export class AuthenticationError extends APIError<401, Headers> {}
/** The key may not do this (403). */
export class PermissionDeniedError extends APIError<403, Headers> {}
/** There is no such model or path (404). */
export class NotFoundError extends APIError<404, Headers> {}
/** Somebody else changed it (409). */
export class ConflictError extends APIError<409, Headers> {}
/** The request cannot be processed (422). */
export class UnprocessableEntityError extends APIError<422, Headers> {}
/** Too many requests, or no quota left (429). */
export class RateLimitError extends APIError<429, Headers> {}
/** The server failed (500 and above). */
export class InternalServerError extends APIError<number, Headers> {}

/** What was to be parsed ended at its length. */
export class LengthFinishReasonError extends OpenAIError {
  constructor() {
    super("Could not parse response content as the length limit was reached")
  }
}

/** What was to be parsed was stopped by a filter. */
export class ContentFilterFinishReasonError extends OpenAIError {
  constructor() {
    super("Could not parse response content as the request was rejected by the content filter")
  }
}

/** The error with what it came from; printed with it, not enumerated. */
export const causedBy = <E extends Error>(error: E, cause: unknown): E => {
  Object.defineProperty(error, "cause", { value: cause, writable: true, configurable: true })
  return error
}
