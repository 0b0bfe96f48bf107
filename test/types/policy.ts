/** Compiled, never run: what the types of policies promise. */
import { type Duration, Effect, Schedule, type Scope } from "effect"
import { type Concurrency, Deadline, Policy, type PolicyError, Retry, type Retryable } from "holdfast/policy"
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

// Who says what a second send can do, says it in these words.
expectTypeOf<Retry.Safety>().toEqualTypeOf<"idempotent" | "costly" | "unsafe">()
// @ts-expect-error a call says what a second send can do
held.apply({ key: "k" })

// State needs a scope; settings do not.
expectTypeOf(Policy.open(Policy.defaults)).toEqualTypeOf<Effect.Effect<Policy.Held, never, Scope.Scope>>()
expectTypeOf(Policy.make()).toEqualTypeOf<Policy.Policy>()

// Times are Durations with a unit, any Schedule is a delay.
expectTypeOf<NonNullable<Retry.Options["base"]>>().toEqualTypeOf<Duration.Input>()
Policy.make({ retry: { schedule: Schedule.fibonacci("1 second") } })
// @ts-expect-error a time has a unit that exists
Policy.make({ retry: { base: "10 fortnights" } })
// @ts-expect-error no such jitter
Policy.make({ retry: { jitter: "some" } })
// @ts-expect-error the name is retries
Policy.make({ retry: { attempts: 3 } })
// @ts-expect-error a call changes settings, never state
Effect.provideService(call, Policy.Override, { maxConcurrency: 3 })
// @ts-expect-error a hook cannot fail the call
Policy.make({ retry: { onRetry: () => Effect.fail("no") } })

// An error of one's own speaks to every policy by these members.
class Busy extends Error implements Retryable.Retryable {
  readonly isRetryable = true
  readonly phase = "rejected"
}
expectTypeOf<Busy>().toExtend<Retryable.Retryable>()
expectTypeOf<PolicyError.PolicyError["_tag"]>().toEqualTypeOf<
  "DeadlineExceeded" | "AttemptTimeout" | "Shed" | "Draining" | "CircuitOpen" | "BudgetExceeded"
>()
