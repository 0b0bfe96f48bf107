/**
 * Redirects that keep secrets: Effect's `followRedirects`, which drops three headers on another origin, and here every
 * header that carries a credential (`SecretHeaders`). Once a call has left its origin it never gets them back, so that
 * nobody can send it back with a path of their own.
 *
 * A browser hides where a redirect leads (over `fetch` with `redirect: "manual"`). There a GET without a secret is left
 * to the browser, which follows at most 20; anything else fails with what to do.
 */
import * as Effect from "effect/Effect"
import type * as Cookies from "effect/http/Cookies"
import { RequestInit } from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Ref from "effect/Ref"
import { isHidden } from "./internal/hidden.ts"
import { discard } from "./internal/source.ts"
import * as SecretHeaders from "./SecretHeaders.ts"

export interface Options {
  /** Redirects of one call; the one after the last is returned as it is. Default: 10, as Effect's own. */
  readonly max?: number | undefined
  /**
   * Keeps cookies for this client, from hop to hop and from call to call; each is sent where it belongs. The last 50 of
   * a domain and 3000 in all are kept, what RFC 6265 §6.1 asks of a browser.
   * Default: none. Not for a client that calls in the name of several users.
   */
  readonly cookies?: Ref.Ref<ReadonlyArray<Cookies.Cookie>> | undefined
  /** Headers, in lower case, that stay with the first origin beside those with credentials. Default: none. */
  readonly stay?: ReadonlyArray<string> | undefined
}

/** One call on its way from hop to hop. */
interface Journey {
  readonly origin: string
  hasLeft: boolean
  /** The redirect that is followed by the next hop: its body is nobody's. */
  last: HttpClientResponse | undefined
}

const maxCookies = 3000
const maxCookiesOfDomain = 50

/** A server that names a cookie anew at each answer fills neither the memory nor the header of the next request. */
const newest = (jar: ReadonlyArray<Cookies.Cookie>): ReadonlyArray<Cookies.Cookie> => {
  if (jar.length <= maxCookiesOfDomain) return jar
  const counts = new Map<string | undefined, number>()
  const kept = jar.toReversed().filter(({ options }) => {
    const count = (counts.get(options?.domain) ?? 0) + 1
    counts.set(options?.domain, count)
    return count <= maxCookiesOfDomain
  })
  return kept.slice(0, maxCookies).toReversed()
}

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : url)

/** Whether a request may go wherever its redirects lead, with nobody looking at them. */
const isFree = (
  { headers, method }: HttpClientRequest.HttpClientRequest,
  stay: ReadonlyArray<string>,
  redactedNames: ReadonlyArray<string | RegExp>
): boolean =>
  (method === "GET" || method === "HEAD") &&
  Object.keys(headers).every((name) => !stay.includes(name) && !SecretHeaders.isSecret(name, redactedNames))

const unseen: globalThis.RequestInit = { redirect: "follow" }

const isRedirect = ({ headers, status }: HttpClientResponse): boolean =>
  status >= 300 && status < 400 && headers["location"] !== undefined

/** The client `self`, following redirects. Over `fetch`, which follows them itself, ask for `redirect: "manual"`. */
export const follow =
  (options: Options = {}) =>
  (self: HttpClient.HttpClient): HttpClient.HttpClient => {
    const { cookies, max = 10, stay = [] } = options
    // One hop: without the requests' preparation, which the first one has had, and with a jar that each hop opens.
    const bare = HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(self.postprocess, Effect.succeed)
    const hop =
      cookies === undefined
        ? bare
        : HttpClient.tap(HttpClient.withCookiesRef(bare, cookies), () => Ref.update(cookies, newest))
    const send = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<HttpClientResponse, HttpClientError> =>
      Effect.catchIf(hop.execute(request), isHidden, (error) =>
        Effect.withFiber((fiber) =>
          max > 0 && isFree(request, stay, fiber.getRef(Headers.CurrentRedactedNames))
            ? Effect.provideService(hop.execute(request), RequestInit, unseen)
            : Effect.fail(error)
        )
      )
    const step = (
      journey: Journey,
      request: HttpClientRequest.HttpClientRequest
    ): Effect.Effect<HttpClientResponse, HttpClientError> => {
      if (journey.last !== undefined) discard(journey.last)
      journey.last = undefined
      journey.hasLeft ||= originOf(request.url) !== journey.origin
      const sent = journey.hasLeft
        ? Effect.flatMap(SecretHeaders.remove(stay.reduce(HttpClientRequest.removeHeader, request)), send)
        : send(request)
      return Effect.tap(sent, (response) =>
        Effect.sync(() => {
          if (isRedirect(response)) journey.last = response
        })
      )
    }
    return HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(
      Effect.flatMap((request) => {
        const journey: Journey = { origin: originOf(request.url), hasLeft: false, last: undefined }
        const hops = HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(
          Effect.flatMap((request) => step(journey, request)),
          Effect.succeed
        )
        return HttpClient.followRedirects(hops, max).execute(request)
      }),
      self.preprocess
    )
  }
