/**
 * Takes the types off a TypeScript cell, by Node's own stripper; lines and columns stay where they were.
 *
 * In the guest's process, never in the parent's: the stripper is a parser of whatever a model wrote. 22 nested
 * `async<T>(x=` keep it busy for 15 seconds, and ten thousand parentheses break it for the whole process (Node 24.21,
 * 2026-11). Here both end at the run's timeout, or with the guest.
 */
import * as Module from "node:module"
import type { Raised } from "./frame.ts"

/** What the stripper says of code that is no TypeScript, and of TypeScript that is more than types. */
const codes = new Set(["ERR_INVALID_TYPESCRIPT_SYNTAX", "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX"])

/** The code as JavaScript, or why it is none. Any other failure is thrown: the stripper may be broken from then on. */
export const stripTypes = (code: string): string | Raised => {
  try {
    return Module.stripTypeScriptTypes(code, { mode: "strip" })
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || !codes.has(String(error.code))) throw error
    return { name: "SyntaxError", value: error.message, traceback: `SyntaxError: ${error.message}` }
  }
}
