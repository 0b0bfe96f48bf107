/** Closes a client when the process is asked to end, as `Shutdown.run` does it for programs on Effect. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { exitCodes, type Host, listen, processHost, type Signal } from "../policy/internal/signals.ts"
import { defaultClock } from "../policy/Timer.ts"
import type { CloseReport } from "./Client.ts"
import { type Closes, type Serving, serving } from "./internal/serving.ts"
import { type Time, toDuration } from "./Time.ts"

/** What ended the process, and what its client saw. */
export interface ClosedBySignal {
  readonly signal: Signal
  /** 130 after SIGINT, 143 after SIGTERM. */
  readonly exitCode: number
  /** Absent when closing took longer than the grace. */
  readonly report: CloseReport | undefined
}

export interface SignalOptions {
  /** From the signal to the end of the process. Default: `"8 seconds"`: Docker kills after 10, Kubernetes after 30. */
  readonly grace?: Time | undefined
  /** A signal that comes sooner than this after the first is the same one. Default: `"200ms"`: npm sends Ctrl-C on. */
  readonly samePress?: Time | undefined
  /**
   * A server of `node:http`, whose answers the client's calls become: from the signal on it takes no new connections, and
   * its connections are closed when the answers under way are sent, within the grace. Default: none.
   */
  readonly server?: Serving | undefined
  /** Runs when the client has closed, within the grace: the place to put away what is done. Default: nothing. */
  readonly onClosed?: ((closed: ClosedBySignal) => void | Promise<void>) | undefined
  /** Where signals come from. Default: Node's process. */
  readonly host?: Host | undefined
}

/** Closes, then tells the hook. */
const windDown = async (client: Closes, signal: Signal, graceMillis: number, options: SignalOptions): Promise<void> => {
  // The last quarter, at most 5 seconds, belongs to what is interrupted and to the hook.
  const drainMillis = graceMillis - Math.min(graceMillis / 4, 5000)
  // Called in this very turn: the next call is refused.
  const closing = client.close({ grace: drainMillis })
  const closed = await Effect.runPromise(
    Effect.timeoutOption(
      Effect.promise(() => closing),
      (graceMillis + drainMillis) / 2
    )
  )
  const report = closed._tag === "Some" ? closed.value : undefined
  await options.onClosed?.({ signal, exitCode: exitCodes[signal], report })
  // What finished last still has its result to put away, in steps that no client sees.
  if (report !== undefined && report.finished > 0) await Effect.runPromise(Effect.sleep("1 second"))
}

/**
 * Closes the client at the first SIGINT or SIGTERM: no new calls, those under way finish within the grace, the rest
 * rejects with `Draining`; then the process exits with 130 or 143. A second signal exits at once, and a close or a hook
 * that hangs ends with the grace. Disposing of what is returned stops listening.
 */
export const closeOnSignals = (client: Closes, options: SignalOptions = {}): Disposable => {
  const graceMillis = Duration.toMillis(toDuration(options.grace ?? "8 seconds", "closeOnSignals.grace"))
  const host = options.host ?? processHost
  const { server } = options
  const served = server === undefined ? undefined : serving(client, server)
  let exitCode = 1
  const onFirst = (signal: Signal): void => {
    exitCode = exitCodes[signal]
    const done = Effect.tryPromise(() => windDown(served ?? client, signal, graceMillis, options))
    Effect.runFork(Effect.ignore(Effect.timeoutOption(done, graceMillis))).addObserver(() => host.exit(exitCode))
  }
  const unlisten = listen(host, {
    nowMillis: () => defaultClock.currentTimeMillisUnsafe(),
    samePressMillis: Duration.toMillis(toDuration(options.samePress ?? 200, "closeOnSignals.samePress")),
    onFirst,
    onSecond: () => host.exit(exitCode)
  })
  return {
    [Symbol.dispose]: () => {
      unlisten()
      served?.[Symbol.dispose]()
    }
  }
}
