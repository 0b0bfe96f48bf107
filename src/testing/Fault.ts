/**
 * Faults by seed: what a busy provider and a bad network do to a program, on purpose and repeatably.
 *
 * A plan decides, request by request, which ones fail and how; `ReplayServer` plays it on a real socket and `httpClient`
 * in memory. The same seed and the same order of requests give the same faults.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Random from "effect/Random"

/**
 * What goes wrong.
 *
 * - `rateLimited`: 429 with a short `Retry-After`.
 * - `unavailable`: 503.
 * - `reset`: the connection is reset before the headers.
 * - `stall`: headers and a part of the body, then nothing but keep-alives.
 * - `cut`: headers and a part of the body, then the connection breaks.
 */
export type Kind = "rateLimited" | "unavailable" | "reset" | "stall" | "cut"

/** All kinds, in the order in which tables show them. */
export const kinds: ReadonlyArray<Kind> = ["rateLimited", "unavailable", "reset", "stall", "cut"]

export interface Options {
  /** Default: `1`. */
  readonly seed?: number | undefined
  /** The least share of all requests that fail, 0 to 1. Default: `0.3`. */
  readonly rate?: number | undefined
  /** Which faults are dealt; each as often as the others. Default: all. */
  readonly kinds?: ReadonlyArray<Kind> | undefined
  /** The most faults in a row for one call. Default: `2`, the retries of a default policy. */
  readonly maxInARow?: number | undefined
}

/** What a plan has done so far. */
export interface Tally {
  readonly requests: number
  /** Requests that failed on purpose, by kind. */
  readonly injected: Readonly<Record<Kind, number>>
  /** Of those, the ones whose call was answered in full later. */
  readonly survived: Readonly<Record<Kind, number>>
}

/** Deals faults, and remembers them: make one for each run. */
export interface Plan {
  /** What happens to this request of the logical call `key`. Default: nothing. */
  readonly dealUnsafe: (key: string) => Kind | undefined
  /** Notes that the call `key` has been answered in full. */
  readonly answeredUnsafe: (key: string) => void
  readonly tally: Effect.Effect<Tally>
}

/**
 * Makes a plan.
 *
 * Kinds are dealt from a shuffled deck that holds each once, so `n` faults have each of the five at least
 * `floor(n / 5) - 1` times. A request fails when the share of failed ones would otherwise fall below `rate`, and sometimes
 * by chance, so that the seed moves the faults to other calls. A call never gets one kind twice in a row, because after
 * a timeout a policy re-sends only once.
 */
export const plan = (options: Options = {}): Effect.Effect<Plan> =>
  Effect.map(Random.withSeed(Random.Random, options.seed ?? 1), (random) => new SeededPlan(options, random))

const none = (): Record<Kind, number> => ({ rateLimited: 0, unavailable: 0, reset: 0, stall: 0, cut: 0 })

class SeededPlan implements Plan {
  private readonly options: Options
  private readonly random: Random.Random
  private readonly pending = new Map<string, Array<Kind>>()
  private readonly injected = none()
  private readonly survived = none()
  private requests = 0
  private total = 0
  private deck: Array<Kind> = []

  constructor(options: Options, random: Random.Random) {
    this.options = options
    this.random = random
  }

  dealUnsafe(key: string): Kind | undefined {
    const { maxInARow = 2, rate = 0.3 } = this.options
    const before = this.pending.get(key) ?? []
    this.requests++
    const isDue = this.total < rate * this.requests
    // Drawn for each request, due or not, so that the seed alone decides the sequence.
    const isUnlucky = this.random.nextDoubleUnsafe() < rate / 2
    if (rate <= 0 || before.length >= maxInARow || !(isDue || isUnlucky)) return undefined
    const kind = this.draw(before)
    if (kind === undefined) return undefined
    this.pending.set(key, [...before, kind])
    this.injected[kind]++
    this.total++
    return kind
  }

  answeredUnsafe(key: string): void {
    for (const kind of this.pending.get(key) ?? []) this.survived[kind]++
    this.pending.delete(key)
  }

  readonly tally: Effect.Effect<Tally> = Effect.sync(() => ({
    requests: this.requests,
    injected: { ...this.injected },
    survived: { ...this.survived }
  }))

  /** Takes the first card of a kind that the call has not had; the deck is made anew when it has none. */
  private draw(before: ReadonlyArray<Kind>): Kind | undefined {
    const index = this.deck.findIndex((kind) => !before.includes(kind))
    if (index >= 0) return this.deck.splice(index, 1)[0]
    const fresh = (this.options.kinds ?? kinds).filter((kind) => !before.includes(kind))
    if (fresh.length === 0) return undefined
    this.deck.push(...this.shuffled(this.options.kinds ?? kinds))
    return this.draw(before)
  }

  private shuffled(cards: ReadonlyArray<Kind>): Array<Kind> {
    return cards
      .map((card) => ({ card, order: this.random.nextDoubleUnsafe() }))
      .sort((a, b) => a.order - b.order)
      .map(({ card }) => card)
  }
}

/**
 * Plays a plan on any `HttpClient`, in memory. A logical call is the same method, URL and body; a fault that is not a
 * whole answer of its own (`stall`, `cut`) spoils the real one. Works under virtual time: nothing here waits.
 */
export const httpClient =
  (plan: Plan) =>
  (client: HttpClient.HttpClient): HttpClient.HttpClient =>
    HttpClient.transform(client, (send, request) => {
      const key = callKey(request)
      const kind = plan.dealUnsafe(key)
      switch (kind) {
        case undefined:
          return Effect.tap(send, () => Effect.sync(() => plan.answeredUnsafe(key)))
        case "rateLimited":
          return Effect.succeed(refusal(request, 429, "rate_limit_exceeded", { "retry-after-ms": "30" }))
        case "unavailable":
          return Effect.succeed(refusal(request, 503, "overloaded", {}))
        case "reset":
          return Effect.fail(resetError(request))
        case "stall":
        case "cut":
          return Effect.flatMap(send, (response) => spoil(kind, request, response))
      }
    })

const callKey = ({ body, method, url }: HttpClientRequest.HttpClientRequest): string =>
  `${method} ${url} ${bodyKey(body)}`

const bodyKey = (body: HttpBody.HttpBody): string => {
  if (body._tag === "Uint8Array") return new TextDecoder().decode(body.body)
  return body._tag === "Raw" && typeof body.body === "string" ? body.body : body._tag
}

const refusal = (
  request: HttpClientRequest.HttpClientRequest,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>>
): HttpClientResponse.HttpClientResponse =>
  HttpClientResponse.fromWeb(
    request,
    new Response(JSON.stringify({ error: { message: `injected fault: ${code}`, type: code, param: null, code } }), {
      status,
      headers: { "content-type": "application/json", ...headers }
    })
  )

const resetError = (request: HttpClientRequest.HttpClientRequest): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({
      request,
      description: "injected fault: the connection was reset",
      cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
    })
  })

const spoil = (
  kind: "stall" | "cut",
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> =>
  Effect.map(response.arrayBuffer, (bytes) => {
    const half = new Uint8Array(bytes.slice(0, Math.ceil(bytes.byteLength / 2)))
    let isSent = false
    const body = new ReadableStream<Uint8Array>({
      // The break comes at the second pull: an error right behind the bytes would discard them.
      pull: (controller) => {
        if (!isSent) controller.enqueue(half)
        else if (kind === "cut") controller.error(new Cause.UnknownError(undefined, "injected fault: cut"))
        else return new Promise(() => undefined)
        isSent = true
        return undefined
      }
    })
    return HttpClientResponse.fromWeb(
      request,
      new Response(body, { status: response.status, headers: response.headers })
    )
  })
