/** What the agent says to the model. */
import type { Execution, Language } from "../../sandbox/Sandbox.ts"

const names: Record<Language, string> = {
  python: "Python",
  javascript: "JavaScript",
  typescript: "TypeScript",
  bash: "Bash",
  r: "R",
  java: "Java"
}

/** Long tracebacks repeat themselves; the end says what failed. About 500 tokens. */
const maxReportCharacters = 2000

/** The standing instructions. */
export const instructions = (language: Language): string =>
  [
    `You write ${names[language]}. Solve the task with the standard library alone.`,
    `Answer with the whole solution in one fenced code block (\`\`\`${language}), without tests and without examples.`,
    "The solution is run together with tests. When they fail you are told how; then answer with a corrected solution."
  ].join("\n")

/** The task itself. */
export const question = (prompt: string, entryPoint: string): string => `${prompt}\n\nThe tests use \`${entryPoint}\`.`

const retry = "Answer with the whole corrected solution in one fenced code block."

/** The truth about a run that did not pass. */
export const report = (execution: Execution, timeoutMillis: number): string => {
  switch (execution.outcome) {
    case "timedOut":
      return `The program did not end within ${timeoutMillis / 1000} s and was stopped.\n\n${retry}`
    case "interrupted":
      return `The program was interrupted before its end.\n\n${retry}`
    case "ok":
    case "failed":
      return `The program failed:\n\n\`\`\`\n${trimmed(evidence(execution))}\n\`\`\`\n\n${retry}`
  }
}

/** The truth about a guest that is gone. */
export const lost = (description: string): string => `The program could not finish: ${description}.\n\n${retry}`

/** There was nothing to run. */
export const noCode = `There was no code in the answer.\n\n${retry}`

const evidence = ({ error, stderr, exitCode }: Execution): string => {
  const traceback = error === undefined ? "" : error.traceback.trim() || `${error.name}: ${error.value}`
  // A traceback that the program has printed is not said twice.
  const parts = stderr.includes(traceback) ? [stderr.trim()] : [stderr.trim(), traceback]
  return parts.filter((part) => part !== "").join("\n") || `exit code ${exitCode}`
}

const trimmed = (text: string): string =>
  text.length <= maxReportCharacters ? text : `...\n${text.slice(-maxReportCharacters)}`
