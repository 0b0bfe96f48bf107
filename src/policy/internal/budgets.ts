/** Budgets of retries by key, bounded in number. */
import * as RetryBudget from "../RetryBudget.ts"

const maxBudgets = 1024

/** One bucket of retries for each key: a server that is down takes no retries from the others. */
export const budgets = (
  options: RetryBudget.Options | false | undefined
): ((key: string) => RetryBudget.RetryBudget | undefined) => {
  if (options === false) return () => undefined
  const known = new Map<string, RetryBudget.RetryBudget>()
  return (key) => {
    const budget = known.get(key)
    if (budget !== undefined) return budget
    // A key that is forgotten has its floor again.
    const [oldest] = known.keys()
    if (known.size >= maxBudgets && oldest !== undefined) known.delete(oldest)
    const made = RetryBudget.makeUnsafe(options)
    known.set(key, made)
    return made
  }
}
