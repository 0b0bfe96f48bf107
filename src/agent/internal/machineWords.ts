/** What a model is told by the tools of a session. */
import * as Duration from "effect/Duration"
import type { CommandResult, Execution, FileInfo, MimeBundle } from "../../sandbox/Sandbox.ts"

/** The head and the tail, where errors are, with what was left out said between them. */
const cut = (text: string, maxCharacters: number): string => {
  if (text.length <= maxCharacters) return text
  const tail = Math.floor(maxCharacters / 4)
  const head = maxCharacters - tail
  const left = text.length - maxCharacters
  // Half of a pair of UTF-16 is no text.
  const [first, last] = [text.slice(0, head).toWellFormed(), text.slice(-tail).toWellFormed()]
  return `${first}\n[... ${left} characters are left out here ...]\n${last}`
}

const section = (name: string, text: string, maxCharacters: number): ReadonlyArray<string> =>
  text.trim() === "" ? [] : [`${name}:\n${cut(text.trimEnd(), maxCharacters)}`]

const seconds = (timeout: Duration.Duration): string => `${Duration.toSeconds(timeout)} seconds`

const plainOf = (bundle: MimeBundle): string => {
  const { "text/plain": text = "", ...richer } = bundle
  // What is a text is in its plain form, too.
  const others = Object.keys(richer).filter((type) => !/^text\/|json$|xml$/.test(type))
  return others.length === 0 ? text : `${text} (also as ${others.join(", ")}, which you cannot see)`
}

const gone = "All variables and files are gone. The next call has a fresh session."

const kept = "Variables and files are kept."

const stateOf = ({ sessionState }: Execution): string => (sessionState === "lost" ? gone : kept)

/** How it ended, where that is not plain from the rest. */
const endOf = (execution: Execution, timeout: Duration.Duration): ReadonlyArray<string> => {
  const { error, exitCode, outcome, sessionState } = execution
  switch (outcome) {
    case "ok":
      return []
    case "timedOut": {
      const how = sessionState === "lost" ? "killed" : "stopped"
      return [`The program did not end within ${seconds(timeout)} and was ${how}. ${stateOf(execution)}`]
    }
    case "interrupted":
      return [`The program was interrupted before its end. ${stateOf(execution)}`]
    case "failed": {
      const how = error === undefined ? `The program ended with exit code ${exitCode}.` : "The program failed."
      return [sessionState === "lost" ? `${how} ${gone}` : how]
    }
  }
}

const truncatedNote = ["[the sandbox cut the output at its limit; what comes after is lost]"]

const orNothing = (parts: ReadonlyArray<string>, nothing: string): string =>
  parts.length === 0 ? nothing : parts.join("\n\n")

export const execution = (execution: Execution, timeout: Duration.Duration, maxCharacters: number): string => {
  const { error, outcome, results, stderr, stdout, truncated } = execution
  const traceback = error === undefined || outcome !== "failed" ? "" : error.traceback.trim()
  const raised = traceback === "" && error !== undefined && outcome === "failed" ? `${error.name}: ${error.value}` : ""
  const parts = [
    ...endOf(execution, timeout),
    ...section("stdout", stdout, maxCharacters),
    ...section("stderr", stderr, maxCharacters),
    ...section("result", results.map(plainOf).join("\n"), maxCharacters),
    // A traceback that the program has printed is not said twice.
    ...section("error", stderr.includes(traceback) ? raised : traceback, maxCharacters),
    ...(truncated ? truncatedNote : [])
  ]
  return orNothing(parts, "The program ran to its end; it printed nothing, and its last line has no value.")
}

export const command = (result: CommandResult, timeout: Duration.Duration, maxCharacters: number): string => {
  const { exitCode, outcome, stderr, stdout, truncated } = result
  const end =
    outcome === "timedOut"
      ? [`The command did not end within ${seconds(timeout)} and was killed.`]
      : outcome === "ok"
        ? []
        : [`exit code ${exitCode}`]
  const parts = [
    ...end,
    ...section("stdout", stdout, maxCharacters),
    ...section("stderr", stderr, maxCharacters),
    ...(truncated ? truncatedNote : [])
  ]
  return orNothing(parts, "The command succeeded and printed nothing.")
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

const decoded = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

export const file = (bytes: Uint8Array, maxCharacters: number): string => {
  const text = decoded(bytes)
  if (text === undefined) return `This is no text: ${bytes.length} bytes that are not UTF-8. Read it by a program.`
  return text === "" ? "The file is empty." : cut(text, maxCharacters)
}

export const written = (path: string, content: string): string => `Wrote ${content.length} characters to ${path}.`

export const listing = (files: ReadonlyArray<FileInfo>, maxCharacters: number): string => {
  const lines = files.map(({ bytes, name, type }) =>
    type === "folder" ? `${name}/` : type === "file" ? `${name} (${bytes} bytes)` : name
  )
  return lines.length === 0 ? "The folder is empty." : cut(lines.join("\n"), maxCharacters)
}

export const wasReset = "This is a fresh session: no variables, no files."

export const interrupted =
  "Note: the call before was stopped by the user before its end. What it did until then may be done in part."

export const lost = (why: string, description: string): string =>
  `Error: the session was lost (${why}): ${description}\nThe call may have been done in part, or not at all. ${gone}`

export const noEnd = "The run ended without a result."
