/** What a service over HTTP is asked, and the request that is sent for it. */
import * as Context from "effect/Context"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Safety } from "../../policy/Retry.ts"
import type { Retryable } from "../../policy/Retryable.ts"
import type * as Timeout from "../../policy/Timeout.ts"
import * as SecretHeaders from "../SecretHeaders.ts"

/** Header values; what is `Redacted` is taken out of what the service says, whatever the header is called. */
export type HeaderValues = Readonly<Record<string, string | Redacted.Redacted<string> | undefined>>

/** Query parameters; a list is a parameter for each of its values, and `undefined` is none. */
export type Query = Readonly<Record<string, string | number | boolean | ReadonlyArray<string> | undefined>>

/** One request to a service. */
export interface Ask {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"
  /** After the base URL, with a slash at its beginning; what is not a slash in it must be encoded. */
  readonly path: string
  readonly query?: Query | undefined
  /** Over those of the service. */
  readonly headers?: HeaderValues | undefined
  /** A body of JSON. */
  readonly json?: unknown
  /** Any other body. */
  readonly body?: HttpBody.HttpBody | undefined
  /**
   * What a second send can do. Default: `"idempotent"` for the methods that are so (RFC 9110 §9.2.2) and for what has
   * an `idempotency-key`, else `"unsafe"`.
   */
  readonly safety?: Safety | undefined
  /** It makes or runs something: it carries the `idempotency-key` of the call around, where that has one. Default: `false`. */
  readonly keyed?: boolean | undefined
  /** Sent once and no more, whatever the policy: a body that may not give again what it has given. Default: `false`. */
  readonly once?: boolean | undefined
  /** Statuses beside 2xx that are answers, such as the 404 of a DELETE. Default: none. */
  readonly accept?: ReadonlyArray<number> | undefined
  /** Times of this call over those of the policy; the deadline around holds all the same. */
  readonly timeout?: Timeout.Options | undefined
  /** The largest body that is read whole, in bytes. Default: the service's. */
  readonly limitBytes?: number | undefined
  /** Told of each send when it begins: the call has its slot from then on. */
  readonly onSend?: (() => void) | undefined
  /** Told of each send that failed: what follows is a wait for the next one, or the call's end. */
  readonly onFail?: ((reason: Retryable) => void) | undefined
}

/** Where a service is and what it is shown. */
export interface Address {
  /** Without a slash at its end. */
  readonly baseUrl: string
  /** Headers of each request. */
  readonly headers?: HeaderValues | undefined
}

const plain = (values: HeaderValues): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Redacted.isRedacted(value) ? Redacted.value(value) : value]]
    )
  )

const paramsOf = (query: Query): UrlParams.UrlParams =>
  UrlParams.fromInput(
    Object.entries(query).flatMap(([name, value]) =>
      value === undefined
        ? []
        : typeof value === "object"
          ? value.map((one): [string, string] => [name, one])
          : [[name, String(value)] satisfies [string, string]]
    )
  )

/** The request of one send. */
export const requestOf = ({ baseUrl, headers }: Address, ask: Ask): HttpClientRequest.HttpClientRequest => {
  const body =
    ask.json === undefined
      ? (ask.body ?? HttpBody.empty)
      : HttpBody.raw(JSON.stringify(ask.json), { contentType: "application/json" })
  const type = body._tag === "Empty" ? undefined : body.contentType
  const all = {
    accept: "application/json",
    ...(type === undefined ? undefined : { "content-type": type }),
    ...plain(headers ?? {}),
    ...plain(ask.headers ?? {})
  }
  return HttpClientRequest.makeWith(
    ask.method,
    `${baseUrl}${ask.path}`,
    ask.query === undefined ? UrlParams.empty : paramsOf(ask.query),
    Option.none(),
    Headers.fromInput(all),
    body
  )
}

const idempotent = new Set<Ask["method"]>(["GET", "HEAD", "PUT", "DELETE"])

export const safetyOf = ({ headers, method, once, safety }: Ask): Safety => {
  // A hedge is a second send too.
  if (once === true) return "unsafe"
  if (safety !== undefined) return safety
  const isKeyed = Object.entries(headers ?? {}).some(
    ([name, value]) => value !== undefined && name.toLowerCase() === "idempotency-key"
  )
  return isKeyed || idempotent.has(method) ? "idempotent" : "unsafe"
}

/** Hides headers that are secrets by their values alone: in spans, and from other origins where a client goes there. */
export const hidden =
  ({ headers }: Address, ask: Ask) =>
  (context: Context.Context<never>): Context.Context<never> => {
    const own = Object.entries({ ...headers, ...ask.headers })
      .filter(([name, value]) => Redacted.isRedacted(value) && !SecretHeaders.isSecret(name))
      .map(([name]) => name.toLowerCase())
    if (own.length === 0) return context
    const around = Context.get(context, Headers.CurrentRedactedNames)
    return Context.add(context, Headers.CurrentRedactedNames, [...around, ...own])
  }

/** Credentials without the word before them. */
const secretOf = (name: string, value: HeaderValues[string]): string =>
  value === undefined
    ? ""
    : Redacted.isRedacted(value)
      ? bare(Redacted.value(value))
      : SecretHeaders.isSecret(name)
        ? bare(value)
        : ""

const bare = (value: string): string => value.replace(/^(Bearer|Basic|Token|Api-Key) /i, "")

/** Takes what was shown to the service out of what it says: some repeat the key in their errors. */
export const withoutSecrets = (text: string, { headers }: Address, ask: Ask): string =>
  [...Object.entries(headers ?? {}), ...Object.entries(ask.headers ?? {})]
    .map(([name, value]) => secretOf(name, value))
    .filter((secret) => secret !== "")
    .reduce((said, secret) => said.replaceAll(secret, "<redacted>"), text)
