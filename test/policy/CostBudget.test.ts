import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { CostBudget, PolicyError, Retry } from "holdfast/policy"

const usage = (inputTokens: number, outputTokens: number): CostBudget.Usage => ({ inputTokens, outputTokens })

/** Dollars at $0.15 for a million tokens read and $0.60 for a million written. */
const price = ({ inputTokens, outputTokens }: CostBudget.Usage) => (inputTokens * 0.15 + outputTokens * 0.6) / 1e6

const reserve = (budget: CostBudget.CostBudget, inputTokens: number, maxTokens?: number): CostBudget.Reservation => {
  const reservation = budget.reserveUnsafe("model", { inputTokens, maxTokens })
  if (reservation instanceof PolicyError.BudgetExceeded) throw reservation
  return reservation
}

const figures = ({ remaining, reserved, spent }: CostBudget.CostBudget) => ({ spent, reserved, remaining })

/** A send that takes a second and answers with the usage that it is given. */
const send = (used: CostBudget.Usage, estimate: CostBudget.Estimate) =>
  Effect.succeed(used).pipe(
    Effect.delay("1 second"),
    CostBudget.charge({ key: "model", estimate, usage: (used: CostBudget.Usage) => used })
  )

const advance = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

describe("CostBudget", () => {
  it("reserves the worst case and settles with the real usage", () => {
    const budget = CostBudget.makeUnsafe({ limit: 1000 })
    const reservation = reserve(budget, 100, 500)
    assert.deepStrictEqual(figures(budget), { spent: 0, reserved: 600, remaining: 400 })
    reservation.settle(usage(100, 20))
    assert.deepStrictEqual(figures(budget), { spent: 120, reserved: 0, remaining: 880 })
  })

  it("refuses what might pass the limit, and says the figures", () => {
    const budget = CostBudget.makeUnsafe({ limit: 1000, name: "run", spent: 100 })
    reserve(budget, 100, 500)
    const refused = budget.reserveUnsafe("model", { inputTokens: 1, maxTokens: 300 })
    assert.instanceOf(refused, PolicyError.BudgetExceeded)
    const { budget: name, limit, unit, used, wanted } = refused
    assert.deepStrictEqual([name, unit, limit, used, wanted], ["run", "tokens", 1000, 700, 301])
    assert.deepStrictEqual([refused.isRetryable, refused.phase], [false, "notSent"])
    reserve(budget, 0, 300)
    assert.strictEqual(budget.remaining, 0)
  })

  it("reserves 4 096 tokens of output for a send that does not bound it", () => {
    const budget = CostBudget.makeUnsafe({ limit: 10_000 })
    reserve(budget, 4)
    assert.strictEqual(budget.reserved, 4100)
    const small = CostBudget.makeUnsafe({ limit: 10_000, defaultMaxTokens: 96 })
    reserve(small, 4)
    assert.strictEqual(small.reserved, 100)
  })

  it("takes the first settle or refund and ignores the rest", () => {
    const budget = CostBudget.makeUnsafe({ limit: 1000 })
    const [first, second] = [reserve(budget, 0, 100), reserve(budget, 0, 100)]
    first.settle(usage(0, 10))
    first.settle(usage(0, 10))
    first.refund()
    assert.deepStrictEqual(figures(budget), { spent: 10, reserved: 100, remaining: 890 })
    second.refund()
    second.settle(usage(0, 10))
    assert.deepStrictEqual(figures(budget), { spent: 10, reserved: 0, remaining: 990 })
  })

  it("spends the whole reservation of a send whose usage nobody knows", () => {
    const budget = CostBudget.makeUnsafe({ limit: 1000 })
    reserve(budget, 100, 500).settle(undefined)
    assert.deepStrictEqual(figures(budget), { spent: 600, reserved: 0, remaining: 400 })
  })

  it("counts every send of a call: the failed one, the hedge that lost, the stream that was cut", () => {
    const budget = CostBudget.makeUnsafe({ limit: 10_000 })
    reserve(budget, 100, 900).settle(usage(100, 0))
    const [winner, loser] = [reserve(budget, 100, 900), reserve(budget, 100, 900)]
    winner.settle(usage(100, 50))
    loser.settle(undefined)
    reserve(budget, 100, 900).settle(usage(100, 7))
    assert.strictEqual(budget.spent, 100 + 150 + 1000 + 107)
  })

  it("spends an exact limit to its end, though sums of prices are not exact", () => {
    const budget = CostBudget.makeUnsafe({ limit: 0.01, unit: "USD", price: ({ outputTokens }) => outputTokens / 1000 })
    for (let call = 0; call < 10; call++) reserve(budget, 0, 1).settle(usage(0, 1))
    assert.closeTo(budget.spent, 0.01, 1e-12)
    assert.instanceOf(budget.reserveUnsafe("model", { inputTokens: 0, maxTokens: 1 }), PolicyError.BudgetExceeded)
  })

  it("never reads a price as free that is no number or throws", () => {
    const unpriced = () => {
      throw new Error("no price for this model")
    }
    for (const broken of [() => NaN, () => -1, unpriced]) {
      let isKnown = true
      const budget = CostBudget.makeUnsafe({
        limit: 1,
        unit: "USD",
        price: (used) => (isKnown ? price(used) : broken())
      })
      const reservation = reserve(budget, 0, 1_000_000)
      isKnown = false
      reservation.settle(usage(0, 5))
      assert.deepStrictEqual(figures(budget), { spent: 0.6, reserved: 0, remaining: 0.4 })
      assert.instanceOf(budget.reserveUnsafe("model", { inputTokens: 1, maxTokens: 1 }), PolicyError.BudgetExceeded)
    }
  })

  it.effect("keeps spent + reserved within the limit, whatever happens in whatever order", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 20; round++) {
        const budget = yield* CostBudget.make({ limit: 0.01, unit: "USD", price })
        const open: Array<{ readonly reservation: CostBudget.Reservation; readonly maxTokens: number }> = []
        let expected = 0
        for (let step = 0; step < 500; step++) {
          const dice = yield* Random.nextIntBetween(0, 9)
          const maxTokens = yield* Random.nextIntBetween(0, 2000)
          const reservation = dice < 5 ? budget.reserveUnsafe("model", { inputTokens: 10, maxTokens }) : undefined
          if (reservation !== undefined && !(reservation instanceof PolicyError.BudgetExceeded)) {
            open.push({ reservation, maxTokens })
          }
          const closing = dice < 5 ? undefined : open.shift()
          if (closing !== undefined && dice === 9) closing.reservation.refund()
          else if (closing !== undefined) {
            const used = usage(10, dice === 8 ? closing.maxTokens : Math.floor(closing.maxTokens / dice))
            closing.reservation.settle(dice === 8 ? undefined : used)
            expected += price(used)
          }
          assert.isAtMost(budget.spent + budget.reserved, 0.01 * (1 + 1e-9))
          assert.isAtLeast(budget.reserved, 0)
        }
        for (const { reservation } of open) reservation.refund()
        assert.closeTo(budget.spent, expected, 1e-9)
        assert.strictEqual(budget.reserved, 0)
      }
    }).pipe(Random.withSeed("any order"))
  )

  describe("50 calls at the same time and $0.01", () => {
    it.effect("never pass the limit when each bounds its answer", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 0.01, unit: "USD", price })
        const estimate = { inputTokens: 100, maxTokens: 500 }
        const call = Effect.flatMap(Random.nextIntBetween(1, 500), (tokens) => send(usage(100, tokens), estimate))
        const calls = Array.from({ length: 50 }, () => Effect.exit(call))
        const exits = yield* advance(Effect.all(calls, { concurrency: 50 }).pipe(CostBudget.within(budget)))
        // $0.000315 each at worst: 31 of them are $0.009765, and none more fits.
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 31)
        assert.strictEqual(budget.reserved, 0)
        assert.isAtMost(budget.spent, 0.01)
        assert.isAbove(budget.spent, 0)
      }).pipe(Random.withSeed("bounded"))
    )

    it.effect("spend what the others left, one after another, up to the limit and not past it", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 0.01, unit: "USD", price })
        const call = send(usage(100, 250), { inputTokens: 100, maxTokens: 500 })
        yield* advance(Effect.exit(Effect.forever(call)).pipe(CostBudget.within(budget)))
        assert.isAtMost(budget.spent, 0.01)
        // What is left is less than one more worst case.
        assert.isBelow(budget.remaining, price(usage(100, 500)))
      })
    )

    it.effect("are four when none bounds its answer, and stay below while answers keep to the default", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 0.01, unit: "USD", price })
        const call = send(usage(100, 4096), { inputTokens: 100 })
        const calls = Array.from({ length: 50 }, () => Effect.exit(call))
        const exits = yield* advance(Effect.all(calls, { concurrency: 50 }).pipe(CostBudget.within(budget)))
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 4)
        assert.isAtMost(budget.spent, 0.01)
      })
    )

    it.effect("pass it by no more than the answers passed the default", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 0.01, unit: "USD", price })
        const call = send(usage(100, 8000), { inputTokens: 100 })
        const calls = Array.from({ length: 50 }, () => Effect.exit(call))
        yield* advance(Effect.all(calls, { concurrency: 50 }).pipe(CostBudget.within(budget)))
        assert.isAbove(budget.spent, 0.01)
        assert.isAtMost(budget.spent, 0.01 + 4 * price(usage(0, 8000 - 4096)))
        assert.strictEqual(budget.remaining, 0)
        const refused = yield* Effect.flip(advance(call.pipe(CostBudget.within(budget))))
        assert.instanceOf(refused, PolicyError.BudgetExceeded)
      })
    )
  })

  describe("reserveAll", () => {
    const make = (name: string, limit: number) => CostBudget.makeUnsafe({ name, limit })

    it("reserves from all budgets or from none", () => {
      const [tenant, run, call] = [make("tenant", 1000), make("run", 200), make("call", 500)]
      const refused = CostBudget.reserveAll([tenant, run, call], "model", { inputTokens: 0, maxTokens: 300 })
      assert.instanceOf(refused, PolicyError.BudgetExceeded)
      assert.strictEqual(refused.budget, "run")
      assert.deepStrictEqual([tenant.reserved, run.reserved, call.reserved], [0, 0, 0])
      assert.deepStrictEqual([tenant.spent, run.spent, call.spent], [0, 0, 0])
    })

    it("settles and refunds all of them, each in its own unit", () => {
      const tokens = make("run", 1000)
      const dollars = CostBudget.makeUnsafe({ name: "tenant", limit: 1, unit: "USD", price })
      const reservation = CostBudget.reserveAll([dollars, tokens], "model", { inputTokens: 100, maxTokens: 100 })
      assert.notInstanceOf(reservation, PolicyError.BudgetExceeded)
      reservation.settle(usage(100, 10))
      reservation.settle(undefined)
      assert.deepStrictEqual([tokens.spent, dollars.spent], [110, price(usage(100, 10))])
      assert.deepStrictEqual([tokens.reserved, dollars.reserved], [0, 0])
    })

    it("counts a budget once that occurs twice", () => {
      const run = make("run", 1000)
      CostBudget.reserveAll([run, run], "model", { inputTokens: 0, maxTokens: 600 })
      assert.strictEqual(run.reserved, 600)
    })
  })

  describe("within", () => {
    it.effect("spends a call inside a run inside a tenant from all three", () =>
      Effect.gen(function* () {
        const [tenant, run, call] = ["tenant", "run", "call"].map((name) =>
          CostBudget.makeUnsafe({ name, limit: 5000 })
        )
        assert.isDefined(tenant)
        assert.isDefined(run)
        assert.isDefined(call)
        const one = send(usage(10, 5), { inputTokens: 10, maxTokens: 90 })
        const all = Effect.all([one.pipe(CostBudget.within(call)), one]).pipe(
          CostBudget.within(run),
          Effect.andThen(one),
          // A budget that is around already is not added again.
          CostBudget.within(tenant),
          CostBudget.within(tenant)
        )
        yield* advance(all)
        assert.deepStrictEqual([call.spent, run.spent, tenant.spent], [15, 30, 45])
      })
    )

    it.effect("leaves who is outside alone", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* CostBudget.Current, [])
        const budget = yield* CostBudget.make({ limit: 0 })
        assert.deepStrictEqual(yield* CostBudget.Current.pipe(CostBudget.within(budget)), [budget])
        yield* advance(send(usage(1, 1), { inputTokens: 1 }))
        assert.strictEqual(budget.spent, 0)
      })
    )
  })

  describe("charge", () => {
    class Failed extends Data.TaggedError("Failed")<{
      readonly isRetryable: boolean
      readonly phase: "notSent" | "rejected" | "maybeSent"
      readonly used?: CostBudget.Usage
    }> {}
    const estimate = { inputTokens: 10, maxTokens: 90 }
    const usageOfError = (error: unknown) => (error instanceof Failed ? error.used : undefined)
    const charged = <A, E>(self: Effect.Effect<A, E>) =>
      self.pipe(CostBudget.charge({ estimate, usage: () => usage(10, 5), usageOfError }))

    it.effect("does not begin what is refused", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 99 })
        let begun = 0
        const call = charged(Effect.sync(() => begun++)).pipe(CostBudget.within(budget))
        assert.instanceOf(yield* Effect.flip(call), PolicyError.BudgetExceeded)
        assert.strictEqual(begun, 0)
      })
    )

    it.effect("spends nothing on a failure that was not sent or was rejected, else what is known or the whole", () =>
      Effect.gen(function* () {
        const spentBy = (self: Effect.Effect<unknown, unknown>) =>
          Effect.gen(function* () {
            const budget = yield* CostBudget.make({ limit: 1000 })
            yield* Effect.exit(charged(self).pipe(CostBudget.within(budget)))
            assert.strictEqual(budget.reserved, 0)
            return budget.spent
          })
        const failed = (phase: "notSent" | "rejected" | "maybeSent", used?: CostBudget.Usage) =>
          spentBy(Effect.fail(new Failed({ isRetryable: true, phase, ...(used === undefined ? {} : { used }) })))
        assert.strictEqual(yield* failed("notSent"), 0)
        assert.strictEqual(yield* failed("rejected"), 0)
        assert.strictEqual(yield* failed("maybeSent"), 100)
        assert.strictEqual(yield* failed("maybeSent", usage(10, 2)), 12)
        assert.strictEqual(yield* spentBy(Effect.die("defect")), 100)
        assert.strictEqual(yield* spentBy(Effect.fail("unknown")), 100)
      })
    )

    it.effect("spends the whole reservation of a call that is interrupted, and frees none of it twice", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 1000 })
        const fiber = yield* Effect.forkChild(charged(Effect.never).pipe(CostBudget.within(budget)), {
          startImmediately: true
        })
        assert.deepStrictEqual(figures(budget), { spent: 0, reserved: 100, remaining: 900 })
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(figures(budget), { spent: 100, reserved: 0, remaining: 900 })
      })
    )

    it.effect("spends nothing on a call that is interrupted before it begins", () =>
      Effect.gen(function* () {
        let fiber: Fiber.Fiber<unknown, unknown> | undefined
        let begun = 0
        const budget = yield* CostBudget.make({
          limit: 1000,
          // Asked for while the call is reserved: the interruption comes between the reservation and the send.
          price: ({ outputTokens }) => {
            fiber?.interruptUnsafe()
            return outputTokens
          }
        })
        const call = charged(Effect.sync(() => begun++)).pipe(CostBudget.within(budget))
        fiber = yield* Effect.forkChild(call)
        yield* Fiber.await(fiber)
        assert.strictEqual(begun, 0)
        assert.deepStrictEqual(figures(budget), { spent: 0, reserved: 0, remaining: 1000 })
      })
    )

    it.effect("charges each send of a retry, and stops the loop when the budget is spent", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 350 })
        let sends = 0
        const call = Effect.suspend(() => {
          sends++
          return Effect.fail(new Failed({ isRetryable: true, phase: "maybeSent" }))
        })
        const retried = charged(call).pipe(Retry.retry({ retries: 9 }), CostBudget.within(budget), Effect.exit)
        const exit = yield* advance(retried)
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, PolicyError.BudgetExceeded)
        assert.deepStrictEqual([sends, budget.spent], [3, 300])
      })
    )
  })

  describe("tenants", () => {
    it.effect("keeps tenants apart and remembers what each has spent", () =>
      Effect.gen(function* () {
        const tenants = yield* CostBudget.tenants({
          limit: (tenant) => (tenant === "big" ? 10_000 : 100),
          spent: (tenant) => (tenant === "small" ? 40 : 0)
        })
        reserve(tenants.forTenant("big"), 0, 5000).settle(undefined)
        assert.deepStrictEqual(figures(tenants.forTenant("big")), { spent: 5000, reserved: 0, remaining: 5000 })
        assert.deepStrictEqual(figures(tenants.forTenant("small")), { spent: 40, reserved: 0, remaining: 60 })
        const refused = tenants.forTenant("small").reserveUnsafe("model", { inputTokens: 0, maxTokens: 61 })
        assert.instanceOf(refused, PolicyError.BudgetExceeded)
        assert.strictEqual(refused.budget, "tenant")
      })
    )

    it("refuses a tenant too many rather than forget what another one spent", () => {
      const tenants = CostBudget.tenantsUnsafe({ limit: 100, maxTenants: 2 })
      reserve(tenants.forTenant("a"), 0, 90).settle(undefined)
      tenants.forTenant("b")
      const refused = tenants.forTenant("c").reserveUnsafe("model", { inputTokens: 0, maxTokens: 1 })
      assert.instanceOf(refused, PolicyError.BudgetExceeded)
      assert.strictEqual(refused.budget, "tenant (maxTenants is reached)")
      assert.deepStrictEqual([tenants.size, tenants.forTenant("a").spent], [2, 90])
      assert.strictEqual(tenants.forget("a")?.spent, 90)
      assert.strictEqual(tenants.forTenant("c").remaining, 100)
      assert.isUndefined(tenants.forget("nobody"))
    })
  })

  it("asks for the price of money", () => {
    CostBudget.makeUnsafe({ limit: 1, unit: "tokens" })
    CostBudget.makeUnsafe({ limit: 1, unit: "USD", price })
    // @ts-expect-error -- a currency without a price
    const broken: CostBudget.Options = { limit: 1, unit: "USD" }
    assert.strictEqual(broken.unit, "USD")
  })
})
