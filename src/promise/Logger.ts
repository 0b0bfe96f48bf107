/** Where a client's lines go. What they say is in `internal/logging.ts`, which is loaded where there is a logger. */
import * as EffectLogger from "effect/Logger"

/** What a line is about, in plain values: `event` names the kind. */
export type LogFields = Readonly<Record<string, unknown>>

/** Where lines go: `console`, winston, or anything with these four methods. */
export interface PlainLogger {
  readonly debug: (message: string, fields: LogFields) => void
  readonly info: (message: string, fields: LogFields) => void
  readonly warn: (message: string, fields: LogFields) => void
  readonly error: (message: string, fields: LogFields) => void
}

/** A plain logger, or a Logger of Effect. */
export type Logger = PlainLogger | EffectLogger.Logger<unknown, unknown>

const methods = ["debug", "info", "warn", "error"] as const

/** What the types promise, checked for programs without types. Throws a `TypeError` that names what is missing. */
export const checkLogger = (logger: Logger | undefined): Logger | undefined => {
  if (logger === undefined || EffectLogger.isLogger(logger)) return logger
  for (const method of methods) {
    if (typeof logger === "object" && logger !== null && typeof logger[method] === "function") continue
    throw new TypeError(`logger.${method}: there is no such method; give console, or an object with ${methods.join()}`)
  }
  return logger
}
