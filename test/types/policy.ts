/** Compiled, never run: what the types of policies promise. */
import { type Config, type Duration, Effect, Schedule, type Scope, type Stream } from "effect"
import {
  type Attempt,
  type Circuit,
  type Concurrency,
  CostBudget,
  Deadline,
  Fallback,
  Hedge,
  Policy,
  type PolicyError,
  RateLimit,
  Release,
  Retry,
  type Retryable,
  RetryBudget,
  Shutdown,
  Tracing
} from "holdfast/policy"
import { expectTypeOf } from "vitest"

declare const call: Effect.Effect<number, "mine", "needed">

// A policy adds its refusals to the error and leaves the rest alone.
declare const held: Policy.Held
expectTypeOf(call.pipe(held.apply({ key: "k", safety: "unsafe" }))).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.PolicyError, "needed">
>()
expectTypeOf(call.pipe(Retry.retry({ retries: 1 }))).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.PolicyError, "needed">
>()
expectTypeOf(call.pipe(Deadline.within("1 second"))).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.DeadlineExceeded, "needed">
>()
expectTypeOf(Deadline.within(call, "1 second")).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.DeadlineExceeded, "needed">
>()
declare const slots: Concurrency.Concurrency
expectTypeOf(call.pipe(slots.withSlot("k"))).toEqualTypeOf<Effect.Effect<number, "mine" | PolicyError.Shed, "needed">>()

declare const circuit: Circuit.Circuit
expectTypeOf(call.pipe(circuit.protect("k"))).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.CircuitOpen, "needed">
>()
declare const rates: RateLimit.RateLimit
expectTypeOf(call.pipe(RateLimit.withLimit(rates, { key: "k", tokensOf: (n: number) => n }))).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.Shed | PolicyError.DeadlineExceeded, "needed">
>()
expectTypeOf(call.pipe(CostBudget.charge({ estimate: { inputTokens: 1 }, usage: () => undefined }))).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.BudgetExceeded, "needed">
>()
expectTypeOf(call.pipe(Release.run("1 second"))).toEqualTypeOf<
  Effect.Effect<number, "mine" | PolicyError.DeadlineExceeded, "needed">
>()
// These refuse nothing themselves.
declare const run: CostBudget.CostBudget
expectTypeOf(call.pipe(CostBudget.within(run))).toEqualTypeOf<typeof call>()
expectTypeOf(call.pipe(Hedge.hedge({ delay: "1 second" }))).toEqualTypeOf<typeof call>()
expectTypeOf(call.pipe(RetryBudget.retry(RetryBudget.makeUnsafe(), Schedule.recurs(1)))).toEqualTypeOf<typeof call>()
expectTypeOf(Shutdown.unit(call)).toEqualTypeOf<typeof call>()
expectTypeOf(call.pipe(Shutdown.stopOnSignal())).toEqualTypeOf<
  Effect.Effect<number, "mine" | Shutdown.Stopped, "needed">
>()

// Who says what a second send can do, says it in these words.
expectTypeOf<Retry.Safety>().toEqualTypeOf<"idempotent" | "costly" | "unsafe">()
// @ts-expect-error a call says what a second send can do
held.apply({ key: "k" })

// State needs a scope; settings do not.
expectTypeOf(Policy.open(Policy.defaults)).toEqualTypeOf<Effect.Effect<Policy.Held, never, Scope.Scope>>()
expectTypeOf(Policy.make()).toEqualTypeOf<Policy.Policy>()
expectTypeOf(Policy.fromConfig("SEARCH", { retry: { retries: 1 } })).toEqualTypeOf<
  Effect.Effect<Policy.Policy, Config.ConfigError>
>()
expectTypeOf(Policy.merge(Policy.defaults, { costBudget: { limit: 1 } })).toEqualTypeOf<Policy.Policy>()
expectTypeOf(held.lease({ key: "k", safety: "costly" }, () => call)).toEqualTypeOf<
  Effect.Effect<Policy.Lease<number, "mine">, "mine" | PolicyError.PolicyError, "needed" | Scope.Scope>
>()

// Everything in one value.
Policy.make({
  rateLimit: { requestsPerMinute: 500, tokensPerMinute: 100_000 },
  circuit: { failures: 5, openFor: Schedule.exponential("1 second") },
  hedge: { percentile: 0.95 },
  retryBudget: false,
  costBudget: { limit: 10, unit: "USD", price: ({ outputTokens }) => outputTokens / 100_000 },
  adaptive: { min: 2 },
  ageing: "10 seconds"
})
// @ts-expect-error a budget has a limit
Policy.make({ costBudget: {} })
// @ts-expect-error money has a price
Policy.make({ costBudget: { limit: 10, unit: "USD" } })
// @ts-expect-error a budget of retries is off, or has options
Policy.make({ retryBudget: true })
// @ts-expect-error the name is requestsPerMinute
Policy.make({ rateLimit: { rpm: 500 } })
// @ts-expect-error a fallback stands above policies
Policy.make({ fallback: [] })

// Times are Durations with a unit, any Schedule is a delay.
expectTypeOf<NonNullable<Retry.Options["base"]>>().toEqualTypeOf<Duration.Input>()
Policy.make({ retry: { schedule: Schedule.fibonacci("1 second") } })
// @ts-expect-error a time has a unit that exists
Policy.make({ retry: { base: "10 fortnights" } })
// @ts-expect-error no such jitter
Policy.make({ retry: { jitter: "some" } })
// @ts-expect-error the name is retries
Policy.make({ retry: { attempts: 3 } })
// A call says how urgent it is, for whom, and how it holds.
Effect.provideService(call, Policy.Override, { priority: "high", tenant: "acme", retry: { retries: 0 } })
// @ts-expect-error no such class
Effect.provideService(call, Policy.Override, { priority: "urgent" })
// @ts-expect-error a call changes settings, never state
Effect.provideService(call, Policy.Override, { maxConcurrency: 3 })
// @ts-expect-error the same: a budget for the calls inside is CostBudget.within
Effect.provideService(call, Policy.Override, { costBudget: { limit: 3 } })
Effect.provideService(call, Tracing.RecordContent, true)
// @ts-expect-error a hook cannot fail the call
Policy.make({ retry: { onRetry: () => Effect.fail("no") } })

// An error of one's own speaks to every policy by these members.
class Busy extends Error implements Retryable.Retryable {
  readonly isRetryable = true
  readonly phase = "rejected"
}
expectTypeOf<Busy>().toExtend<Retryable.Retryable>()
// Alternatives are at least one, and each has a name.
Fallback.makeUnsafe({ alternatives: [{ name: "a" }] })
// @ts-expect-error nobody to ask
Fallback.makeUnsafe({ alternatives: [] })
// @ts-expect-error whose cool-down would it be?
Fallback.makeUnsafe({ alternatives: [{ longer: true }] })
// The alternative that is given has the members that it was made with.
const regions = Fallback.makeUnsafe({ alternatives: [{ name: "east", url: "https://east.example.com" }] })
expectTypeOf(regions.use(({ url }) => Effect.succeed(url))).toEqualTypeOf<Effect.Effect<string>>()
declare const words: Stream.Stream<string, "mine">
expectTypeOf(regions.useStream(() => words)).toEqualTypeOf<Stream.Stream<string, "mine">>()

// Why a failed call was not tried again, and what it waited for: closed lists.
expectTypeOf<Attempt.Stop>().toEqualTypeOf<
  | "notRetryable"
  | "exhausted"
  | "unsafe"
  | "retryAfterTooLong"
  | "retryAfterBeyondDeadline"
  | "deadline"
  | "retryBudget"
  | "fallback"
>()
expectTypeOf<Attempt.WaitCause>().toEqualTypeOf<"none" | "backoff" | "retryAfter" | "hedge">()
expectTypeOf<PolicyError.PolicyError["_tag"]>().toEqualTypeOf<
  "DeadlineExceeded" | "AttemptTimeout" | "Shed" | "Draining" | "CircuitOpen" | "BudgetExceeded"
>()
