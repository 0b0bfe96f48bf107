/**
 * What the calls of one caller to a sandbox have around them: their time, which a sandbox does not keep itself, so that
 * they are interrupted at its end, their class in every line, and what their requests carry.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import { SandboxError } from "../../sandbox/SandboxError.ts"
import type { CallOptions, RequestOptions } from "../Options.ts"
import { carrying, streamCarrying } from "./carrying.ts"
import { over } from "./over.ts"
import { streamUnder, under } from "./whole.ts"

const lateAfter = (totalMillis: number) => (): SandboxError => {
  const reason = new DeadlineExceeded({ key: "sandbox", totalMillis, phase: "maybeSent" })
  return new SandboxError({ provider: "sandbox", reason })
}

/** What says where a call stands in a line. */
type Standing = Pick<CallOptions, "priority" | "tenant">

const standing = ({ priority, tenant }: Standing): Standing => ({ priority, tenant })

export class SandboxCalls {
  /** In milliseconds since the epoch; `Infinity` for none. */
  private readonly deadlineAt: number
  private readonly defaults: Standing

  constructor(deadlineAt: number, defaults: Standing) {
    this.deadlineAt = deadlineAt
    this.defaults = standing(defaults)
  }

  private left(fiber: Fiber.Fiber<unknown, unknown>): number {
    return Math.max(0, this.deadlineAt - fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())
  }

  /**
   * Interrupts a call at its end, and fails it with `DeadlineExceeded`. Default of its own time: none. Throws a
   * `TypeError` that names the option that is wrong.
   */
  within<A, E, R>(
    call: Effect.Effect<A, E, R>,
    options: RequestOptions,
    own: Duration.Duration = Duration.infinity
  ): Effect.Effect<A, E | SandboxError, R> {
    const self = carrying(under(call, over(this.defaults, standing(options))), options)
    const ownMillis = Duration.toMillis(own)
    if (this.deadlineAt === Infinity && ownMillis === Infinity) return self
    return Effect.withFiber((fiber) => {
      const totalMillis = Math.min(ownMillis, this.left(fiber))
      return Timer.within(self, totalMillis, lateAfter(totalMillis))
    })
  }

  /** The same for a stream, from its first pull on, which fails where an option is wrong. */
  stream<A, E, R>(
    call: Stream.Stream<A, E, R>,
    options: RequestOptions,
    own: Duration.Duration = Duration.infinity
  ): Stream.Stream<A, E | SandboxError, R> {
    const self = streamCarrying(streamUnder(call, over(this.defaults, standing(options))), options)
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
