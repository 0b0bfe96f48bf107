/** The tools of a session as effect/ai has them: names, descriptions and arguments. */
import * as Tool from "effect/ai/Tool"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { Isolation, Language, Session } from "../../sandbox/Sandbox.ts"
import type { Limits } from "./machine.ts"

const names: Readonly<Record<Language, string>> = {
  python: "Python",
  javascript: "JavaScript",
  typescript: "TypeScript",
  bash: "Bash",
  r: "R",
  java: "Java"
}

/** What is true of a sandbox by the walls that it reports. */
const wallsOf = ({ engine, network, process }: Isolation): ReadonlyArray<string> => {
  if (/wasm/.test(engine))
    return [
      "There is no network, and no package beyond the standard library: no numpy, no pandas, no pip, no npm.",
      "There are no threads and no processes. Nothing of the user's machine can be read."
    ]
  if (process === "remote") return ["It runs on a remote machine, apart from the user's."]
  return network === "none" ? ["There is no network: nothing can be installed or fetched."] : []
}

const limitsOf = ({ maxCharacters, maxTimeout, timeout }: Limits): ReadonlyArray<string> => [
  `A run is stopped after ${Duration.toSeconds(timeout)} seconds; timeout_seconds says otherwise, up to ${Duration.toSeconds(maxTimeout)}.`,
  `Long output is cut to ${maxCharacters} characters: print what you need, and no more.`
]

const stateOf = [
  "Variables and files are kept from call to call.",
  "A run that does not stop in time may be killed with all of them, and so may one that fills the memory; the result says so."
]

/** What is known of a session before it is made. */
export type Facts = Pick<Session, "languages" | "isolation" | "hasShell">

const runDescription = (session: Facts, limits: Limits, notes: string | undefined): string =>
  [
    `Runs ${session.languages.map((language) => names[language]).join(", ")} in a sandbox, and returns what it prints, the value of its last expression, and its error.`,
    ...stateOf,
    ...limitsOf(limits),
    ...wallsOf(session.isolation),
    ...(notes === undefined ? [] : [notes])
  ].join(" ")

const timeoutSeconds = Schema.optionalKey(
  Schema.Finite.check(Schema.isGreaterThan(0)).annotate({ description: "Stops the run after this time" })
)

const path = Schema.String.annotate({ description: "Absolute, or from the sandbox's home folder" })

const languageOf = ({ languages }: Facts, { language }: Limits) =>
  Schema.optionalKey(Schema.Literals(languages).annotate({ description: `Default: ${language}` }))

const describe = (session: Facts, limits: Limits, notes: string | undefined) => ({
  run_code: Tool.make("run_code", {
    description: runDescription(session, limits, notes),
    parameters: Schema.Struct({
      code: Schema.String,
      language: languageOf(session, limits),
      timeout_seconds: timeoutSeconds
    }),
    success: Schema.String
  }),
  run_command: Tool.make("run_command", {
    description: [
      "Runs a command line in the sandbox's shell, and returns what it prints and its exit code. It sees the same files as run_code.",
      ...limitsOf(limits)
    ].join(" "),
    parameters: Schema.Struct({ command: Schema.String, timeout_seconds: timeoutSeconds }),
    success: Schema.String
  }),
  read_file: Tool.make("read_file", {
    description: `Reads a text file of the sandbox. Long files are cut to ${limits.maxCharacters} characters.`,
    parameters: Schema.Struct({ path }),
    success: Schema.String
  }).annotate(Tool.Readonly, true),
  write_file: Tool.make("write_file", {
    description: "Writes a text file of the sandbox, over what was there, and makes the folders that it needs.",
    parameters: Schema.Struct({ path, content: Schema.String }),
    success: Schema.String
  }),
  list_files: Tool.make("list_files", {
    description: "Lists a folder of the sandbox.",
    parameters: Schema.Struct({ path: Schema.optionalKey(path) }),
    success: Schema.String
  }).annotate(Tool.Readonly, true),
  reset: Tool.make("reset", {
    description: "Gives a fresh sandbox: all variables and files are gone.",
    success: Schema.String
  })
})

export type Tools = ReturnType<typeof describe>

/** The tools of this session. `run_command` is for a session that has a shell. */
export const make = (session: Facts, limits: Limits, notes: string | undefined): Tools =>
  describe(session, limits, notes)
