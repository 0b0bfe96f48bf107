/** Let fifty calls run at the same time and spend no more than a cent together. */
import { Effect } from "effect"
import { CostBudget, PolicyError } from "holdfast/policy"

// Dollars for a usage, at $0.15 for a million tokens read and $0.60 for a million written.
const price = ({ inputTokens, outputTokens }: CostBudget.Usage) => (inputTokens * 0.15 + outputTokens * 0.6) / 1_000_000

// Stands for a model that is asked for 500 tokens at most and answers with 200.
const model = Effect.delay(Effect.succeed({ usage: { inputTokens: 100, outputTokens: 200 } }), "20 millis")

const ask = model.pipe(
  CostBudget.charge({
    key: "some-model",
    estimate: { inputTokens: 100, maxTokens: 500 },
    usage: (answer: { readonly usage: CostBudget.Usage }) => answer.usage
  })
)

const program = Effect.gen(function* () {
  const run = yield* CostBudget.make({ name: "run", limit: 0.01, unit: "USD", price })
  const calls = Array.from({ length: 50 }, () => Effect.result(ask))
  const results = yield* Effect.all(calls, { concurrency: "unbounded" }).pipe(CostBudget.within(run))

  console.log(`answered: ${results.filter((result) => result._tag === "Success").length}`)
  const refused = results.flatMap((result) => (result._tag === "Failure" ? [result.failure] : []))
  console.log(
    `refused before they were sent: ${refused.filter((error) => error instanceof PolicyError.BudgetExceeded).length}`
  )
  console.log(`spent $${run.spent.toFixed(6)}, $${run.remaining.toFixed(6)} left`)
})

await Effect.runPromise(program)
// Output:
// answered: 31
// refused before they were sent: 19
// spent $0.004185, $0.005815 left
