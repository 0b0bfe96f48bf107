/**
 * Sandboxes on a server: each is made under a key of its own, belongs to a session or to nobody, and is deleted in every
 * case. What was asked for and not waited for any longer is deleted when its answer comes.
 */
import * as Crypto from "node:crypto"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Deadline from "../../policy/Deadline.ts"
import * as Release from "../../policy/Release.ts"
import { type Reason, SandboxError, SessionLost, Unavailable } from "../SandboxError.ts"
import type { RestApi } from "./restApi.ts"
import type { Made } from "./restDecode.ts"

/** How much longer than anybody waits for it a create may take, so that what it makes is deleted. */
const maxLate = Duration.seconds(30)

/** A sandbox on the server, as long as it is a session's. */
export class Machine {
  readonly made: Made
  /** Why it is no longer there. */
  loss: SandboxError | undefined
  /** Fails with it. */
  readonly lost: Deferred.Deferred<never, SandboxError> = Deferred.makeUnsafe()
  /** Ends when the server has deleted it, or could not be told to. */
  removal: Fiber.Fiber<void> | undefined

  constructor(made: Made) {
    this.made = made
  }
}

export class Machines {
  readonly provider: string
  readonly api: RestApi
  private readonly pending = new Set<Fiber.Fiber<unknown, unknown>>()

  private constructor(provider: string, api: RestApi) {
    this.provider = provider
    this.api = api
  }

  /** The scope's close waits for what is still being made or deleted, as long as a release may take. */
  static make(provider: string, api: RestApi): Effect.Effect<Machines, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new Machines(provider, api)),
      (machines) => machines.close
    )
  }

  fail(reason: Reason): SandboxError {
    return new SandboxError({ provider: this.provider, reason })
  }

  /** Makes a sandbox and hands it over, uninterruptibly; interrupted before, it is deleted as soon as it is there. */
  create<A>(
    body: unknown,
    total: Duration.Duration,
    own: (machine: Machine) => Effect.Effect<A>
  ): Effect.Effect<A, SandboxError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        // Under no deadline but its own: who has no time left must not leave a sandbox that nobody knows.
        const asked = this.api.create(body, Crypto.randomUUID(), Duration.sum(total, maxLate))
        const making = yield* this.background(Deadline.none(asked))
        const waiting = restore(Effect.timeoutOption(Fiber.await(making), total))
        const exit = yield* Effect.onInterrupt(waiting, () => this.giveUp(making))
        if (exit._tag === "None") return yield* Effect.andThen(this.giveUp(making), Effect.fail(this.late(total)))
        return yield* Effect.flatMap(exit.value, (made) => own(new Machine(made)))
      })
    )
  }

  private giveUp(making: Fiber.Fiber<Made, SandboxError>): Effect.Effect<void> {
    const removed = Effect.flatMap(Fiber.await(making), (exit) =>
      Exit.isSuccess(exit) ? this.api.remove(exit.value.id) : Effect.void
    )
    return Effect.asVoid(this.background(removed))
  }

  private late(total: Duration.Duration): SandboxError {
    const description = `no session within ${Duration.format(total)}: raise \`createTimeout\``
    return this.fail(new Unavailable({ description, transient: true }))
  }

  /** The machine is gone: every use of it fails so from now on. Deleted in the background. */
  lose(machine: Machine, why: SessionLost["why"], description: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      machine.loss ??= this.fail(new SessionLost({ why, description }))
      Deferred.doneUnsafe(machine.lost, Effect.fail(machine.loss))
      if (machine.removal !== undefined) return Effect.void
      return Effect.map(this.background(this.api.remove(machine.made.id)), (fiber) => {
        machine.removal = fiber
      })
    })
  }

  /** The same, and waits until the server has done it. */
  remove(machine: Machine): Effect.Effect<void> {
    return Effect.andThen(
      this.lose(machine, "closed", "its session was closed"),
      Effect.suspend(() => (machine.removal === undefined ? Effect.void : Fiber.await(machine.removal)))
    )
  }

  private background<A, E>(self: Effect.Effect<A, E>): Effect.Effect<Fiber.Fiber<A, E>> {
    return Effect.map(Effect.forkDetach(self, { startImmediately: true }), (fiber) => {
      this.pending.add(fiber)
      fiber.addObserver(() => this.pending.delete(fiber))
      return fiber
    })
  }

  private readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      // What is made now is deleted next, and that is pending only then.
      Effect.ignore(Release.run(Effect.whileLoop({ while: () => this.pending.size > 0, body: this.settled, step }))),
      Effect.suspend(() => Fiber.interruptAll(this.pending))
    )
  )

  private readonly settled = (): Effect.Effect<unknown> => Fiber.awaitAll([...this.pending])
}

const step = (): void => undefined
