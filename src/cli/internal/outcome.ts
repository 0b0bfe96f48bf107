/** What became of one task, for the progress, the table and the results file. */
import type { Solution, Task } from "../../agent/CodeAgent.ts"
import type { LlmError } from "../../llm/LlmError.ts"
import * as Usage from "../../llm/Usage.ts"
import type { Language } from "../../sandbox/Sandbox.ts"
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
    problem: last?.execution?.error === undefined ? last?.problem : describe(last.execution.error),
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

const describe = ({ name, value }: { readonly name: string; readonly value: string }): string =>
  value === "" ? name : `${name}: ${value}`
