/** Places for sessions: the next ones wait, by their priority and in turns of their tenants, and too many are refused. */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Concurrency from "../../policy/Concurrency.ts"
import { Override } from "../../policy/Policy.ts"
import { LimitExceeded, SandboxError } from "../SandboxError.ts"

/** All sessions are in one line. */
const key = "sessions"

/** Who waits moves up one class: it is in the highest one before the 30 seconds are over that a session may take to come. */
const ageing = "10 seconds"

export class Places {
  private readonly provider: string
  private readonly line: Concurrency.Concurrency

  constructor(provider: string, max: number, maxQueue = 32) {
    this.provider = provider
    this.line = Concurrency.makeUnsafe({ maxConcurrency: max, maxQueue, ageing })
  }

  /** Takes a place where one is free and nobody waits for it. */
  takeIfAvailable(): boolean {
    return this.line.takeUnsafe(key)
  }

  release(): void {
    this.line.releaseUnsafe(key)
  }

  /** Takes a place, in its turn; closing the scope gives it back. What `Policy.Override` sets around says whose turn it is. */
  takeIn(scope: Scope.Scope): Effect.Effect<void, SandboxError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const { priority, tenant } = fiber.getRef(Override) ?? {}
        const claimed = this.line.acquire(key, Infinity, restore, { priority, tenant })
        const taken = Effect.mapError(claimed, ({ waiting }) => this.full(waiting))
        const given = Effect.sync(() => this.release())
        return Effect.andThen(taken, Scope.addFinalizer(scope, given))
      })
    )
  }

  private full(waiting: number): SandboxError {
    const description = `${this.line.inFlight(key) + waiting} sessions are open or waiting already`
    return new SandboxError({ provider: this.provider, reason: new LimitExceeded({ limit: "queue", description }) })
  }
}
