/**
 * Short-lived tokens: fetched when a call first needs one, replaced before they end, once for all who wait.
 *
 * `make` keeps the tokens of any source; `evolution` is the IAM of Cloud.ru, `POST {keyId, secret}` for a token of an
 * hour (cloud.ru/docs and github.com/cloud-ru-tech/evolution-openai-python 1.0.4, 2026-11).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { Draining } from "../policy/PolicyError.ts"
import * as Timer from "../policy/Timer.ts"
import * as Iam from "./internal/iam.ts"
import { InvalidResponse, type Reason, Unreachable } from "./LlmError.ts"

/** Where a layer gets its tokens from. */
export interface TokenAuth {
  /** A token that is valid now; fetched when there is none, once for all who wait. */
  readonly token: Effect.Effect<Redacted.Redacted<string>, Reason>
  /** Forgets this token, which a server has refused; one that has replaced it already stays. */
  readonly invalidate: (refused: Redacted.Redacted<string>) => Effect.Effect<void>
  /**
   * Takes the tokens that were handed out lately out of what a server says: some repeat them in their errors. Default:
   * nothing is taken out; what `make` makes has it.
   */
  readonly redact?: ((text: string) => string) | undefined
}

/** A token as its source gives it. */
export interface Token {
  readonly value: Redacted.Redacted<string>
  /** How long it is valid, from when it was asked for. Default: `"1 hour"`, what Cloud.ru and most others give. */
  readonly expiresIn?: Duration.Input | undefined
}

export interface Options<R = never> {
  /** What the tokens are for, in errors, e.g. `"https://iam.example"`. */
  readonly name: string
  /**
   * Asks for a new token, and nothing else: its failure is the failure of the calls that wait for it, and their policy is
   * the one to try again. Runs in a fiber of the source's own: a caller that leaves takes nothing from the others.
   */
  readonly fetch: Effect.Effect<Token, Reason, R>
  /** The longest that a fetch may take; then it fails with `Unreachable`. Default: `"30 seconds"`, as Cloud.ru's client. */
  readonly timeout?: Duration.Input | undefined
  /**
   * A token this close to its end is replaced while it is still handed out. Default: `"30 seconds"`, as Cloud.ru's client;
   * half of its life at the most.
   */
  readonly refreshAhead?: Duration.Input | undefined
}

/** A token that is handed out. */
interface Kept {
  readonly value: Redacted.Redacted<string>
  readonly endsAt: number
  /** From here on it is replaced. */
  renewAt: number
}

/** Around a change two tokens are in use: the old one by calls that are under way. Twice that, for changes in a row. */
const maxRemembered = 4

/** A replacement that fails while the old token is valid is tried again with a call after this. Source: Cloud.ru's client. */
const renewalPauseMillis = 5_000

class Source<R> implements TokenAuth {
  private readonly options: Options<R>
  private readonly context: Context.Context<R>
  private readonly clock: Clock.Clock
  private readonly timeoutMillis: number
  private readonly aheadMillis: number
  private kept: Kept | undefined
  private flight: Fiber.Fiber<Kept, Reason> | undefined
  private remembered: ReadonlyArray<Redacted.Redacted<string>> = []
  private isClosed = false

  constructor(options: Options<R>, context: Context.Context<R>) {
    this.options = options
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.timeoutMillis = Duration.toMillis(options.timeout ?? "30 seconds")
    this.aheadMillis = Duration.toMillis(options.refreshAhead ?? "30 seconds")
  }

  readonly token = Effect.suspend((): Effect.Effect<Redacted.Redacted<string>, Reason> => {
    const now = this.clock.currentTimeMillisUnsafe()
    const { kept } = this
    if (kept !== undefined && now < kept.renewAt) return Effect.succeed(kept.value)
    return Effect.contextWith((caller: Context.Context<never>) => {
      if (this.isClosed) return this.closed
      const flight = this.flight ?? this.start(caller)
      return kept !== undefined && now < kept.endsAt ? Effect.succeed(kept.value) : this.awaited(flight)
    })
  })

  readonly invalidate = (refused: Redacted.Redacted<string>): Effect.Effect<void> =>
    Effect.sync(() => {
      // By its value: of many calls that were refused with one token only the first finds it here.
      if (this.kept !== undefined && Redacted.value(this.kept.value) === Redacted.value(refused)) this.kept = undefined
    })

  readonly redact = (text: string): string =>
    this.remembered.reduce((safe, token) => safe.replaceAll(Redacted.value(token), "<redacted>"), text)

  readonly close = Effect.suspend(() => {
    this.isClosed = true
    return this.flight === undefined ? Effect.void : Fiber.interrupt(this.flight)
  })

  private get closed(): Effect.Effect<never, Reason> {
    return Effect.fail(new Draining({ key: this.options.name }))
  }

  private awaited(flight: Fiber.Fiber<Kept, Reason>): Effect.Effect<Redacted.Redacted<string>, Reason> {
    return Effect.flatMap(Fiber.await(flight), (exit) =>
      // The source was closed: whoever waits was not interrupted itself.
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? this.closed : Effect.map(exit, ({ value }) => value)
    )
  }

  /** Begins to fetch, in one step, so that no interruption finds the fetch begun and unknown. */
  private start(caller: Context.Context<never>): Fiber.Fiber<Kept, Reason> {
    const flight = Effect.runForkWith(underSpanOf(caller, this.context))(this.fetched)
    if (flight.pollUnsafe() !== undefined) return flight
    this.flight = flight
    flight.addObserver(() => {
      this.flight = undefined
    })
    return flight
  }

  private readonly fetched = Effect.suspend(() => {
    const askedAt = this.clock.currentTimeMillisUnsafe()
    const { name, fetch } = this.options
    const { timeoutMillis } = this
    const late = (): Reason => new Unreachable({ description: `${name}: no token within ${timeoutMillis} ms` })
    const fetched = Effect.filterOrFail(
      Timer.within(fetch, timeoutMillis, late),
      ({ value }) => Redacted.value(value) !== "",
      (): Reason => new InvalidResponse({ description: `${name}: the token is empty` })
    )
    return Effect.matchEffect(fetched, {
      onFailure: (reason) => {
        this.pause()
        return Effect.fail(reason)
      },
      onSuccess: (token) => Effect.sync(() => this.keep(token, askedAt))
    })
  })

  /** Lives on the token that is there, if it is valid still. */
  private pause(): void {
    const { kept } = this
    if (kept === undefined) return
    kept.renewAt = Math.min(kept.endsAt, this.clock.currentTimeMillisUnsafe() + renewalPauseMillis)
  }

  private keep({ expiresIn = "1 hour", value }: Token, askedAt: number): Kept {
    const lifeMillis = Duration.toMillis(expiresIn)
    const endsAt = askedAt + lifeMillis
    const kept = { value, endsAt, renewAt: endsAt - Math.min(this.aheadMillis, lifeMillis / 2) }
    this.kept = kept
    this.remembered = [...this.remembered, value].slice(-maxRemembered)
    return kept
  }
}

/** The source's own context, so that no deadline of one caller ends what all wait for; in that caller's trace. */
const underSpanOf = <R>(caller: Context.Context<never>, own: Context.Context<R>): Context.Context<R> => {
  const span = Context.getOrUndefined(caller, Tracer.ParentSpan)
  if (span === undefined) return own
  return Context.add(Context.add(own, Tracer.ParentSpan, span), Tracer.Tracer, Context.get(caller, Tracer.Tracer))
}

/** Keeps the tokens of a source for as long as the scope is open. Nothing is fetched before the first call. */
export const make = <R = never>(options: Options<R>): Effect.Effect<TokenAuth, never, R | Scope.Scope> =>
  Effect.contextWith((context: Context.Context<R | Scope.Scope>) => {
    const source = new Source<R | Scope.Scope>(options, context)
    // Not the source itself: what is printed of a service has nothing to hide then.
    const { invalidate, redact, token } = source
    return Effect.as(
      Effect.addFinalizer(() => source.close),
      { token, invalidate, redact }
    )
  })

export interface EvolutionOptions {
  /** The key pair's public half. */
  readonly keyId: string
  /** The key pair's other half. */
  readonly secret: Redacted.Redacted<string>
  /** Where tokens are given. Default: `"https://iam.api.cloud.ru/api/v1/auth/token"`. */
  readonly url?: string | undefined
}

/** The tokens of a Cloud.ru key pair, over the `HttpClient` in context. */
export const evolution = (
  options: EvolutionOptions
): Effect.Effect<TokenAuth, never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.flatMap(HttpClient.HttpClient, (http) => {
    const endpoint = Iam.endpoint(options)
    return make({ name: endpoint.name, fetch: Iam.fetch(http, endpoint) })
  })
