/** The time of calls to a sandbox, which knows no deadline itself: they are interrupted at the end. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import { SandboxError } from "../../sandbox/SandboxError.ts"

const lateAfter = (totalMillis: number) => (): SandboxError => {
  const reason = new DeadlineExceeded({ key: "sandbox", totalMillis, phase: "maybeSent" })
  return new SandboxError({ provider: "sandbox", reason })
}

/** When the calls of one caller are over, and when one of them is. */
export class SandboxTime {
  /** In milliseconds since the epoch; `Infinity` for none. */
  private readonly deadlineAt: number

  constructor(deadlineAt: number) {
    this.deadlineAt = deadlineAt
  }

  private left(fiber: Fiber.Fiber<unknown, unknown>): number {
    return Math.max(0, this.deadlineAt - fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())
  }

  /** Interrupts a call at its end, and fails it with `DeadlineExceeded`. Default of its own time: none. */
  within<A, E, R>(
    self: Effect.Effect<A, E, R>,
    own: Duration.Duration = Duration.infinity
  ): Effect.Effect<A, E | SandboxError, R> {
    const ownMillis = Duration.toMillis(own)
    if (this.deadlineAt === Infinity && ownMillis === Infinity) return self
    return Effect.withFiber((fiber) => {
      const totalMillis = Math.min(ownMillis, this.left(fiber))
      return Timer.within(self, totalMillis, lateAfter(totalMillis))
    })
  }

  /** The same for a stream, from its first pull on. */
  stream<A, E, R>(
    self: Stream.Stream<A, E, R>,
    own: Duration.Duration = Duration.infinity
  ): Stream.Stream<A, E | SandboxError, R> {
    const ownMillis = Duration.toMillis(own)
    if (this.deadlineAt === Infinity && ownMillis === Infinity) return self
    return Stream.unwrap(
      Effect.withFiber((fiber) => {
        const totalMillis = Math.min(ownMillis, this.left(fiber))
        const over = Effect.andThen(Effect.sleep(totalMillis), Effect.fail(lateAfter(totalMillis)()))
        return Effect.succeed(Stream.interruptWhen(self, over))
      })
    )
  }
}
