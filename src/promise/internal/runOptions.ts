/** What a session and its calls are told, in plain values, and how it is read. Throws a `TypeError` that names what is wrong. */
import type * as Effectful from "../../sandbox/Sandbox.ts"
import type { CommandOptions, ContextOptions, RunOptions, SessionOptions } from "../Session.ts"
import type { RequestOptions } from "../Options.ts"
import { onlyKnown, type Time, toDuration } from "../Time.ts"
import { checkCall } from "./callOptions.ts"
import { checkHeaders } from "./checkLlm.ts"

/** A text that is one, such as code, a command or a path. */
export const checkText = (text: unknown, what: string): void => {
  if (typeof text !== "string") throw new TypeError(`${what}: ${JSON.stringify(text) ?? typeof text} is no text`)
}

const every = ["signal", "timeout", "priority", "tenant", "headers", "idempotencyKey"]

const known = {
  session: [...every, "language", "env", "cwd", "lifetime", "createTimeout", "userId"],
  run: [...every, "language", "env", "cwd", "context"],
  command: [...every, "env", "cwd", "stdin"],
  context: [...every, "language", "cwd"],
  call: every
} as const

/** Refuses what the types refuse. A misspelt option would be left out in silence. */
export const checkOptions = (options: object, of: keyof typeof known): void => {
  checkCall(options)
  onlyKnown(options, known[of], "options")
  if ("env" in options) checkHeaders(options.env, "env")
}

/** What a method takes beside what every method takes. */
const beside = <O extends RequestOptions>(options: O) => {
  const { headers: _headers, idempotencyKey: _key, priority: _priority, signal: _signal, ...others } = options
  const { tenant: _tenant, timeout: _timeout, ...rest } = others
  return rest
}

const time = (value: Time | undefined, option: string) => (value === undefined ? undefined : toDuration(value, option))

/** `timeout` stands for `createTimeout` where that is not given. */
export const toCreateOptions = (options: SessionOptions): Effectful.CreateOptions => {
  checkOptions(options, "session")
  const { createTimeout, lifetime, ...rest } = beside(options)
  const { timeout } = options
  return {
    ...rest,
    lifetime: time(lifetime, "lifetime"),
    createTimeout: time(createTimeout ?? timeout, "createTimeout")
  }
}

export const toRunOptions = (code: string, options: RunOptions): Effectful.RunOptions => {
  checkText(code, "code")
  checkOptions(options, "run")
  return { ...beside(options), timeout: time(options.timeout, "timeout") }
}

export const toCommandOptions = (command: string, options: CommandOptions): Effectful.CommandOptions => {
  checkText(command, "command")
  checkOptions(options, "command")
  return { ...beside(options), timeout: time(options.timeout, "timeout") }
}

export const toContextOptions = (options: ContextOptions): Effectful.ContextOptions => {
  checkOptions(options, "context")
  return beside(options)
}
