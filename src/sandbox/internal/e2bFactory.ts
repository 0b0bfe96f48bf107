/**
 * Makes and ends sandboxes of E2B so that none is left over. Each is made under a tag of its own in its metadata: what a
 * lost answer, a second send or an interruption leaves behind is found by the tag and killed.
 */
import * as Crypto from "node:crypto"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Attempt } from "../../policy/Attempt.ts"
import * as Release from "../../policy/Release.ts"
import { type SandboxError, SessionLost, Unavailable } from "../SandboxError.ts"
import { type Api, type CreateRequest, type Listed, type Made, seconds } from "./e2bApi.ts"
import { refuse, toError } from "./e2bError.ts"
import { Machine } from "./e2bMachine.ts"

/** Names the making of a sandbox, in its metadata. */
export const tagName = "holdfast.create"

/** Names who made it, where `reapOrphans` says so. */
export const ownerName = "holdfast.owner"

/** A sandbox that is being made is not listed yet, so who looks for it looks again: for half a minute in all. */
const looks: ReadonlyArray<Duration.Input> = [0, "1 second", "2 seconds", "4 seconds", "8 seconds", "16 seconds"]

/** Lets a part of an uninterrupted region be interrupted. */
export type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export type Request = Omit<CreateRequest, "metadata">

const mayExist = ({ outcome, phase }: Attempt): boolean =>
  outcome === "interrupted" || phase === "maybeSent" || phase === "answered"

export class Factory {
  private readonly api: Api
  private readonly metadata: Readonly<Record<string, string>>
  /** The layer's: what is looked for here outlives its session, and nothing else. */
  private readonly scope: Scope.Scope
  /** Tags of sandboxes that may be somewhere. */
  private readonly open = new Set<string>()

  constructor(api: Api, metadata: Readonly<Record<string, string>>, scope: Scope.Scope) {
    this.api = api
    this.metadata = metadata
    this.scope = scope
  }

  /** Kills what carries this metadata, but for one; gives how many there were. */
  private sweep(metadata: Readonly<Record<string, string>>, but?: string): Effect.Effect<number, SandboxError> {
    return Effect.flatMap(this.api.list(metadata), (found) => {
      // Read again here: a server that does not know the filter lists everybody's.
      const isMeant = (one: Listed): boolean =>
        one.id !== but && Object.entries(metadata).every(([name, value]) => one.metadata[name] === value)
      const others = found.filter(isMeant)
      return Effect.as(
        Effect.forEach(others, ({ id }) => this.api.kill(id), { concurrency: 8, discard: true }),
        others.length
      )
    })
  }

  /** Looks for what may have been made under a tag, in the background. */
  private reap(tag: string, but?: string): Effect.Effect<void> {
    const { open } = this
    open.add(tag)
    const look = Effect.gen({ self: this }, function* () {
      for (const wait of looks) {
        yield* Effect.sleep(wait)
        // What it leaves over ends with its lifetime.
        yield* Effect.ignore(Release.run(this.sweep({ [tagName]: tag }, but)))
      }
      open.delete(tag)
    })
    return Effect.asVoid(Effect.forkIn(Effect.interruptible(look), this.scope))
  }

  /** The last look, when the layer closes and nobody will look again. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach([...this.open], (tag) => Effect.ignore(Release.run(this.sweep({ [tagName]: tag }))), {
      concurrency: 8,
      discard: true
    })
  )

  /** Kills what earlier programs of this owner have left. */
  orphans(owner: string): Effect.Effect<void, SandboxError> {
    return Effect.asVoid(this.sweep({ [ownerName]: owner }))
  }

  /**
   * Makes a sandbox, in a region that is not interrupted but where `restore` says so, so that it is either here or
   * looked for.
   */
  make(request: Request, within: Duration.Duration, restore: Restore): Effect.Effect<Machine, SandboxError> {
    return Effect.gen({ self: this }, function* () {
      const tag = Crypto.randomUUID()
      const metadata = { ...this.metadata, [tagName]: tag }
      const description = `no sandbox within ${Duration.format(within)}; raise \`createTimeout\`, or try later`
      const asked = Effect.timeoutOrElse(Effect.mapError(this.api.create({ ...request, metadata }), toError), {
        duration: within,
        orElse: () => Effect.fail(refuse(new Unavailable({ description, transient: true })))
      })
      const now = yield* Clock.currentTimeMillis
      const { made } = yield* Effect.onExit(restore(asked), (exit) => this.afterwards(tag, exit))
      return new Machine(this.api, made, now + seconds(request.lifetime) * 1000)
    })
  }

  private afterwards(
    tag: string,
    exit: Exit.Exit<{ readonly made: Made; readonly sends: number }, SandboxError>
  ): Effect.Effect<void> {
    if (Exit.isSuccess(exit)) {
      const { made, sends } = exit.value
      return sends > 1 ? this.reap(tag, made.id) : Effect.void
    }
    const failed = exit.cause.reasons.find((reason) => reason._tag === "Fail")
    const attempts = failed?.error.attempts
    // It was refused each time, so there is nothing.
    return attempts !== undefined && !attempts.some(mayExist) ? Effect.void : this.reap(tag)
  }

  /** Kills a sandbox. What cannot be killed now is tried again in the background; its lifetime ends it at the latest. */
  kill(machine: Machine): Effect.Effect<void> {
    machine.lose(new SessionLost({ why: "closed", description: "its session was closed or reset" }))
    const killed = Release.run(this.api.kill(machine.id))
    const later = Effect.gen(function* () {
      for (const wait of looks.slice(1)) {
        yield* Effect.sleep(wait)
        const again = yield* Effect.result(killed)
        if (again._tag === "Success") return
      }
    })
    return Effect.catch(Effect.asVoid(killed), () =>
      Effect.asVoid(Effect.forkIn(Effect.interruptible(later), this.scope))
    )
  }
}
