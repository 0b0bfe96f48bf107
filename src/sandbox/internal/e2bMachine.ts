/**
 * One sandbox of E2B: the ways to its services, what its time is, and whether it is still there. What finds it gone says
 * so from then on, without asking again.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Ask } from "../../http/internal/ask.ts"
import { Exchange, type Failed } from "../../http/internal/exchange.ts"
import type { ReasonOf } from "../../http/internal/refusal.ts"
import { SandboxError, SessionLost } from "../SandboxError.ts"
import * as Address from "./e2bAddress.ts"
import { type Api, type Made, seconds } from "./e2bApi.ts"
import { refuse, toError } from "./e2bError.ts"
import * as Reason from "./e2bReason.ts"
import * as Fields from "./fields.ts"

const parts = (version: string): ReadonlyArray<number> =>
  version.split(".").map((part) => Number.parseInt(part, 10) || 0)

/** How long the answer may take that tells whether a sandbox still runs, as in the official client. */
const health = { attempt: "5 seconds", total: "10 seconds" } as const

export class Machine {
  readonly made: Made
  readonly interpreter: Exchange<Reason.Own>
  private readonly api: Api
  private readonly key: string
  /** When its lifetime ends, by what was asked of the control plane: never later than there. */
  private endAt: number
  private loss: SessionLost | undefined

  constructor(api: Api, made: Made, endAt: number) {
    this.api = api
    this.made = made
    this.endAt = endAt
    const { held, http, place } = api.access
    this.key = `e2b sandboxes of ${place.sandboxUrl ?? made.domain ?? place.domain ?? Address.defaultDomain}`
    const address = Address.interpreter(place, made)
    this.interpreter = new Exchange({
      ...address,
      provider: "e2b",
      key: this.key,
      held,
      http,
      reasonOf: Reason.ofInterpreter
    })
  }

  get id(): string {
    return this.made.id
  }

  /** Whether its envd has this version or a later one. */
  hasVersion(version: string): boolean {
    const [own, wanted] = [parts(this.made.envdVersion), parts(version)]
    for (let i = 0; i < wanted.length; i++) {
      const difference = (own[i] ?? 0) - (wanted[i] ?? 0)
      if (difference !== 0) return difference > 0
    }
    return true
  }

  /** Its files and commands. */
  envd(reasonOf: ReasonOf<Reason.Own>): Exchange<Reason.Own> {
    const { held, http, place } = this.api.access
    return new Exchange({ ...Address.envd(place, this.made), provider: "e2b", key: this.key, held, http, reasonOf })
  }

  /** A call of envd that is answered whole. */
  rpc(
    path: string,
    message: unknown,
    reasonOf: ReasonOf<Reason.Own>,
    safety: Ask["safety"] = "idempotent"
  ): Effect.Effect<Fields.Fields, SandboxError> {
    const decode = (value: unknown) => Result.succeed(Fields.fields(value) ?? {})
    const json = { method: "POST", path, json: message, safety } as const
    return this.use(Effect.map(this.envd(reasonOf).json(json, decode), ({ value }) => value))
  }

  /** Uses the sandbox where it is not known to be lost. */
  use<A>(self: Effect.Effect<A, Failed<Reason.Own>>): Effect.Effect<A, SandboxError> {
    return Effect.andThen(
      this.alive,
      Effect.catch(self, (failed) => this.seen(toError(failed)))
    )
  }

  /** Fails where it is known to be lost. */
  readonly alive: Effect.Effect<void, SandboxError> = Effect.suspend(() =>
    this.loss === undefined ? Effect.void : Effect.fail(refuse(this.loss))
  )

  /** Says from now on that it is lost. */
  lose(loss: SessionLost): SessionLost {
    return (this.loss ??= loss)
  }

  /** Fails with an error, and notes what it tells of the sandbox. */
  seen(error: SandboxError): Effect.Effect<never, SandboxError> {
    return Effect.clockWith((clock) => {
      const { attempts, reason } = error
      if (reason._tag !== "SessionLost") return Effect.fail(error)
      const isOver = this.endAt <= clock.currentTimeMillisUnsafe()
      const description = "its lifetime is over; ask for a longer `lifetime`, or `extend` it in time"
      const loss = this.lose(isOver ? new SessionLost({ why: "expired", description }) : reason)
      return Effect.fail(new SandboxError({ provider: "e2b", reason: loss, attempts }))
    })
  }

  /** Asks whether it still runs, after a stream of it broke off; fails where it does not. */
  readonly check: Effect.Effect<void, SandboxError> = Effect.suspend(() =>
    this.use(this.envd(Reason.ofCommand).text({ method: "GET", path: "/health", timeout: health }))
  ).pipe(
    // What cannot be asked is not known.
    Effect.catch((error) => (error.code === "SessionLost" ? Effect.fail(error) : Effect.void))
  )

  /** Sets its lifetime anew. */
  extend(lifetime: Duration.Duration): Effect.Effect<void, SandboxError> {
    return Effect.gen({ self: this }, function* () {
      yield* this.alive
      const now = yield* Clock.currentTimeMillis
      yield* Effect.catch(this.api.setTimeout(this.id, lifetime), (error) => this.seen(error))
      this.endAt = now + seconds(lifetime) * 1000
    })
  }
}
