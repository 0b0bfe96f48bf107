/** What a session and its calls are told, in plain values, and how it is read. Throws a `TypeError` that names what is wrong. */
import type * as Effectful from "../../sandbox/Sandbox.ts"
import type { CommandOptions, ContextOptions, RunOptions, SessionOptions } from "../Session.ts"
import { onlyKnown, type Time, toDuration } from "../Time.ts"
import { checkCall } from "./callOptions.ts"
import { checkHeaders } from "./checkLlm.ts"

/** A text that is one, such as code, a command or a path. */
export const checkText = (text: unknown, what: string): void => {
  if (typeof text !== "string") throw new TypeError(`${what}: ${JSON.stringify(text) ?? typeof text} is no text`)
}

const stopping = ["signal", "timeout"]

const known = {
  session: [...stopping, "language", "env", "cwd", "lifetime", "createTimeout", "userId"],
  run: [...stopping, "language", "env", "cwd", "context"],
  command: [...stopping, "env", "cwd", "stdin"],
  context: [...stopping, "language", "cwd"],
  call: stopping
} as const

/** Refuses what the types refuse. A misspelt option would be left out in silence. */
export const checkOptions = (options: object, of: keyof typeof known): void => {
  checkCall(options)
  // What every method takes may be meant for all calls of a caller; code has no use for it.
  onlyKnown(options, known[of], "options")
  if ("env" in options) checkHeaders(options.env, "env")
}

const time = (value: Time | undefined, option: string) => (value === undefined ? undefined : toDuration(value, option))

/** `timeout` stands for `createTimeout` where that is not given. */
export const toCreateOptions = (options: SessionOptions): Effectful.CreateOptions => {
  checkOptions(options, "session")
  const { createTimeout, lifetime, signal: _signal, timeout, ...rest } = options
  return {
    ...rest,
    lifetime: time(lifetime, "lifetime"),
    createTimeout: time(createTimeout ?? timeout, "createTimeout")
  }
}

export const toRunOptions = (code: string, options: RunOptions): Effectful.RunOptions => {
  checkText(code, "code")
  checkOptions(options, "run")
  const { signal: _signal, timeout, ...rest } = options
  return { ...rest, timeout: time(timeout, "timeout") }
}

export const toCommandOptions = (command: string, options: CommandOptions): Effectful.CommandOptions => {
  checkText(command, "command")
  checkOptions(options, "command")
  const { signal: _signal, timeout, ...rest } = options
  return { ...rest, timeout: time(timeout, "timeout") }
}

export const toContextOptions = (options: ContextOptions): Effectful.ContextOptions => {
  checkOptions(options, "context")
  const { signal: _signal, timeout: _timeout, ...rest } = options
  return rest
}
