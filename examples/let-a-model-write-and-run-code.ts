/** Let a model write a function, run it with tests in a sandbox, and give a failure back until it passes. */
import { Effect, Layer } from "effect"
import { CodeAgent } from "holdfast/agent"
import { LocalSandbox } from "holdfast/sandbox"
import { TestLlm } from "holdfast/testing"

// A scripted model that is wrong at first; any other Llm layer, such as OpenAiLlm's, stands in its place.
const model = TestLlm.layer([
  "```python\ndef is_leap(year):\n    return year % 4 == 0\n```",
  "```python\ndef is_leap(year):\n    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)\n```"
])

const task: CodeAgent.Task = {
  id: "leap-year",
  language: "python",
  prompt: "Write is_leap(year): whether a year of the Gregorian calendar has 366 days.",
  entryPoint: "is_leap",
  tests: "assert is_leap(2024)\nassert is_leap(2000)\nassert not is_leap(1900), '1900 is no leap year'"
}

const solution = await Effect.runPromise(
  CodeAgent.solve(task, { maxRounds: 3 }).pipe(Effect.provide(Layer.merge(model, LocalSandbox.layer())))
)

for (const { execution } of solution.rounds) {
  console.log([execution?.outcome, execution?.error?.value].filter(Boolean).join(": "))
}
console.log(solution.passed ? "solved" : "not solved", `in ${solution.rounds.length} rounds`)
// Output:
// failed: 1900 is no leap year
// ok
// solved in 2 rounds
