/** Signals that ask a program to end: where they come from, and which of them is a second one. */

/** What asks a program to end. `SIGPIPE` stands for a reader of its output that has gone. */
export type Signal = "SIGINT" | "SIGTERM" | "SIGPIPE"

/** What a shell reads for each: 128 + its number. */
export const exitCodes: Readonly<Record<Signal, number>> = { SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 }

/** The process around: what tells of signals, and what ends it. */
export interface Host {
  /** Calls back for each signal until the function that it returns is called. */
  readonly onSignal: (listener: (signal: Signal) => void) => () => void
  /** Ends the process at once. */
  readonly exit: (code: number) => void
}

/** Node's own process. Where there is none, as in a browser, no signal ever comes. */
export const processHost: Host = {
  onSignal: (listener) => {
    const { process } = globalThis
    if (process === undefined) return () => {}
    const onInterrupt = (): void => listener("SIGINT")
    const onTerminate = (): void => listener("SIGTERM")
    process.on("SIGINT", onInterrupt)
    process.on("SIGTERM", onTerminate)
    return () => {
      process.off("SIGINT", onInterrupt)
      process.off("SIGTERM", onTerminate)
    }
  },
  exit: (code) => globalThis.process?.exit(code)
}

/** What is told of the signals of a host. */
export interface Listener {
  readonly nowMillis: () => number
  /** A signal that comes sooner than this after the first is the same one, sent on by somebody else. */
  readonly samePressMillis: number
  readonly onFirst: (signal: Signal) => void
  readonly onSecond: () => void
}

/** Tells the first signal and a second one apart, until the function that it returns is called. */
export const listen = (host: Host, listener: Listener): (() => void) => {
  let firstAt: number | undefined
  return host.onSignal((signal) => {
    const now = listener.nowMillis()
    if (firstAt === undefined) {
      firstAt = now
      listener.onFirst(signal)
    } else if (now - firstAt >= listener.samePressMillis) {
      listener.onSecond()
    }
  })
}
