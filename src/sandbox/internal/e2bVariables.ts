/**
 * Environment variables on their way into code. The interpreter's server writes them before the program as statements,
 * names and values as they are (code-interpreter 7df1757, `template/server/messaging.py`, 2026-08), so a quote in a value
 * would break the program or become a part of it: it is escaped here, as each language wants it.
 */
import * as Result from "effect/Result"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import type { Language } from "../Sandbox.ts"

export type Variables = Readonly<Record<string, string>>

/** A value that means itself between quotes of every language. */
const isPlain = (value: string): boolean => /^[^'"\\$`\r\n]*$/.test(value)

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r" }

/** Between quotes of C's kind. */
const backslashed = (value: string): string =>
  value.replaceAll(/['"\\\n\r]/g, (character) => escapes[character] ?? `\\${character}`)

const escape: Readonly<Record<Language, (value: string) => string>> = {
  python: backslashed,
  javascript: backslashed,
  typescript: backslashed,
  r: backslashed,
  java: backslashed,
  bash: (value) => value.replaceAll("'", "'\\''")
}

/** The variables that are as plain as their statements are, and the others. */
export const split = (variables: Variables): { readonly plain: Variables; readonly special: Variables } => {
  const entries = Object.entries(variables)
  return {
    plain: Object.fromEntries(entries.filter(([, value]) => isPlain(value))),
    special: Object.fromEntries(entries.filter(([, value]) => !isPlain(value)))
  }
}

/** Variables for code of a language. */
export const forCode = (variables: Variables, language: Language): Variables =>
  Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, escape[language](value)]))

/** Refuses names that no shell would take: they become code too. */
export const checked = (variables: Variables): Result.Result<Variables, InvalidRequest> => {
  const wrong = Object.entries(variables).find(([name, value]) => !/^[A-Za-z_]\w*$/.test(name) || value.includes("\0"))
  if (wrong === undefined) return Result.succeed(variables)
  const description = `${JSON.stringify(wrong[0])} cannot be an environment variable`
  return Result.fail(new InvalidRequest({ description }))
}
