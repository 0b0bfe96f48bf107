/** The calls that a client has under way, and what it is told when they end. */
import * as Effect from "effect/Effect"

/** The calls that one client has under way. */
export class Calls {
  private readonly running = new Set<Call>()
  private readonly onIdle: Array<() => void> = []
  /** What the caller opened and has not closed: the client closes it. */
  readonly resources = new Set<() => Promise<void>>()
  isClosing = false
  /** The grace has ended. */
  isOver = false

  begin(call: Call): void {
    this.running.add(call)
  }

  end(call: Call): void {
    if (!this.running.delete(call) || this.running.size > 0) return
    for (const idle of this.onIdle.splice(0)) idle()
  }

  get size(): number {
    return this.running.size
  }

  /** Whether a call may begin; what was answered may be read until the grace ends. */
  isOpen(isAnswered: boolean): boolean {
    return !this.isClosing || (isAnswered && !this.isOver)
  }

  /** Waits until nothing runs, and nobody who was answered last has gone on to read the body. */
  readonly idle: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    while (this.running.size > 0) {
      yield* Effect.callback<void>((resume) => {
        this.onIdle.push(() => resume(Effect.void))
      })
      yield* Effect.yieldNow
    }
  })

  interruptAll(): void {
    this.isOver = true
    for (const call of this.running) call.interruptUnsafe()
  }
}

/** What is under way: a promise's fiber, or a stream from its first `next` to its end. */
export interface Call {
  readonly interruptUnsafe: () => void
}
