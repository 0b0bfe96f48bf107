/** What became of one task, for the progress, the table and the results file. */
import type { Solution, Task } from "../../agent/CodeAgent.ts"
import type { LlmError } from "../../llm/LlmError.ts"
import * as Usage from "../../llm/Usage.ts"
import type { Execution, Language } from "../../sandbox/Sandbox.ts"
import type { SandboxError } from "../../sandbox/SandboxError.ts"

/** One line of the results file. */
export interface Outcome {
  readonly id: string
  readonly language: Language
  readonly passed: boolean
  readonly rounds: number
  /** Requests to the model beyond one for each round. */
  readonly retries: number
  readonly usage: Usage.Usage
  readonly durationMillis: number
  /** Why the last round did not pass, or why there was none. */
  readonly problem?: string | undefined
  /** The last answer's code. */
  readonly code?: string | undefined
}

/** A task that was tried to its end. */
export const fromSolution = (task: Task, solution: Solution): Outcome => {
  const last = solution.rounds.at(-1)
  return {
    id: task.id,
    language: task.language,
    passed: solution.passed,
    rounds: solution.rounds.length,
    retries: Math.max(0, solution.attempts.length - solution.rounds.length),
    usage: solution.usage,
    durationMillis: solution.durationMillis,
    problem: last?.execution?.outcome === "failed" ? describe(last.execution) : last?.problem,
    code: last?.code
  }
}

/** A task that could not be tried to its end. */
export const fromError = (task: Task, error: LlmError | SandboxError, durationMillis: number): Outcome => ({
  id: task.id,
  language: task.language,
  passed: false,
  rounds: 0,
  retries: Math.max(0, (error.attempts?.length ?? 0) - 1),
  usage: Usage.empty,
  durationMillis,
  problem: error.message
})

const describe = ({ error, exitCode }: Execution): string => {
  if (error === undefined) return `exit code ${exitCode}`
  return error.value === "" ? error.name : `${error.name}: ${error.value}`
}
