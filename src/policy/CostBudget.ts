/**
 * Tokens or money that a call, a run or a tenant may spend: the worst case is reserved before a send and settled with
 * the real usage after it, so that calls at the same time cannot spend the same money twice.
 *
 * A send is refused when `spent + reserved + worst case > limit`. What is spent passes the limit only by what a send used
 * beyond its own estimate: more input than was estimated, or more output than `maxTokens` (without it `defaultMaxTokens`).
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { BudgetExceeded } from "./PolicyError.ts"
import { classify } from "./Retryable.ts"

/** Tokens that a send used. */
export interface Usage {
  /** Tokens of the prompt, cached ones included. */
  readonly inputTokens: number
  /** Tokens generated, reasoning included. */
  readonly outputTokens: number
  /** Of `inputTokens`, those read from the provider's cache. */
  readonly cachedInputTokens?: number | undefined
  /** Of `outputTokens`, those spent on reasoning. */
  readonly reasoningTokens?: number | undefined
}

/** What is known of a send before it is sent. */
export interface Estimate {
  readonly inputTokens: number
  /** The most that the answer may be. Absent: the budget's `defaultMaxTokens` stands for it. */
  readonly maxTokens?: number | undefined
}

interface Common {
  /** What refusals call the budget, e.g. `"run"`. Default: `"budget"`. */
  readonly name?: string | undefined
  /** The most that may be spent, in `unit`. */
  readonly limit: number
  /** What was spent before, for a budget that outlives the process. Default: `0`. */
  readonly spent?: number | undefined
  /**
   * The output reserved for a send that does not bound it. Default: `4096`, the most that many models answer unless they
   * are asked for more. A longer answer passes the limit by the difference.
   */
  readonly defaultMaxTokens?: number | undefined
}

/** Tokens need no price; by one, cached tokens can count less. Money does. */
type Unit =
  | { readonly unit?: "tokens" | undefined; readonly price?: ((usage: Usage) => number) | undefined }
  | {
      /** What is counted: a currency, e.g. `"USD"`. Default: `"tokens"`. */
      readonly unit: string
      /**
       * What a usage costs, in `unit`. One that throws or is no number refuses the send, or spends what was reserved.
       * Default: input and output tokens together.
       */
      readonly price: (usage: Usage) => number
    }

export type Options = Common & Unit

/** What a send in flight may cost. The first `settle` or `refund` ends it; later ones do nothing. */
export interface Reservation {
  /** The send is over: its real usage is spent. Unknown usage spends the whole reservation, the careful answer. */
  readonly settle: (usage: Usage | undefined) => void
  /** Nothing was sent, or the server refused it: nothing is spent. */
  readonly refund: () => void
}

export interface CostBudget {
  readonly name: string
  readonly unit: string
  readonly limit: number
  /** Settled by sends that are over: failed, aborted and hedged ones too. */
  readonly spent: number
  /** The worst case of the sends in flight. */
  readonly reserved: number
  /** What a further send may cost; never negative. */
  readonly remaining: number
  /** Reserves the worst case of one send of `key`, or says why not. What is reserved must be settled or refunded. */
  readonly reserveUnsafe: (key: string, estimate: Estimate) => Reservation | BudgetExceeded
}

// Sums of prices are off by a rounding error: ten times $0.001 is more than $0.01.
const tolerance = 1 + 1e-9

const countTokens = (usage: Usage): number => usage.inputTokens + usage.outputTokens

class Ledger implements CostBudget {
  readonly name: string
  readonly unit: string
  readonly limit: number
  private readonly price: (usage: Usage) => number
  private readonly defaultMaxTokens: number
  private inFlight = 0
  spent: number
  reserved = 0

  constructor(options: Options) {
    this.name = options.name ?? "budget"
    this.unit = options.unit ?? "tokens"
    this.limit = options.limit
    this.spent = options.spent ?? 0
    this.price = options.price ?? countTokens
    this.defaultMaxTokens = options.defaultMaxTokens ?? 4096
  }

  get remaining(): number {
    return Math.max(0, this.limit - this.spent - this.reserved)
  }

  reserveUnsafe = (key: string, estimate: Estimate): Reservation | BudgetExceeded => {
    const outputTokens = estimate.maxTokens ?? this.defaultMaxTokens
    const wanted = this.cost({ inputTokens: estimate.inputTokens, outputTokens })
    const used = this.spent + this.reserved
    if (wanted >= 0 && used + wanted <= this.limit * tolerance) return this.open(wanted)
    return new BudgetExceeded({ key, budget: this.name, unit: this.unit, limit: this.limit, used, wanted })
  }

  /** `NaN` when nobody can say, which no limit allows. A send that is over must not fail for want of a price. */
  private cost(usage: Usage): number {
    return Result.getOrElse(
      Result.try(() => this.price(usage)),
      () => NaN
    )
  }

  private open(amount: number): Reservation {
    this.inFlight++
    this.reserved += amount
    let isOpen = true
    const close = (cost: number): void => {
      if (!isOpen) return
      isOpen = false
      this.inFlight--
      this.reserved = this.inFlight === 0 ? 0 : this.reserved - amount
      // A usage that has no price was paid for all the same.
      this.spent += cost >= 0 ? cost : amount
    }
    return { settle: (usage) => close(usage === undefined ? amount : this.cost(usage)), refund: () => close(0) }
  }
}

/** A budget with a state of its own. */
export const makeUnsafe = (options: Options): CostBudget => new Ledger(options)

/** A budget with a state of its own. */
export const make = (options: Options): Effect.Effect<CostBudget> => Effect.sync(() => makeUnsafe(options))

/** The budgets around, outermost first; every send inside spends from each of them. Default: none. */
export const Current: Context.Reference<ReadonlyArray<CostBudget>> = Context.Reference<ReadonlyArray<CostBudget>>(
  "holdfast/policy/CostBudget/Current",
  { defaultValue: () => [] }
)

/** Adds a budget for every call inside. Budgets around stay in force; one that is around already counts once. */
export const within =
  (budget: CostBudget) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(self, Current, (around) => (around.includes(budget) ? around : [...around, budget]))

/** Reserves a send from all budgets or from none; the first that refuses says why. A budget that occurs twice counts once. */
export const reserveAll = (
  budgets: ReadonlyArray<CostBudget>,
  key: string,
  estimate: Estimate
): Reservation | BudgetExceeded => {
  const [only] = budgets
  if (only !== undefined && budgets.length === 1) return only.reserveUnsafe(key, estimate)
  const held: Array<Reservation> = []
  const all: Reservation = {
    settle: (usage) => held.forEach((one) => one.settle(usage)),
    refund: () => held.forEach((one) => one.refund())
  }
  for (const budget of new Set(budgets)) {
    const one = budget.reserveUnsafe(key, estimate)
    if (one instanceof BudgetExceeded) {
      all.refund()
      return one
    }
    held.push(one)
  }
  return all
}

/** How `charge` learns what a call may cost and what it did cost. */
export interface Charge<A> {
  /** What is called, for refusals. Default: `"call"`. */
  readonly key?: string | undefined
  readonly estimate: Estimate
  /** The usage that a result reports. `undefined`: unknown, the whole reservation is spent. */
  readonly usage: (value: A) => Usage | undefined
  /** The usage that a failure reports. Default: unknown; nothing for a failure that was `notSent` or `rejected`. */
  readonly usageOfError?: ((error: unknown) => Usage | undefined) | undefined
}

/**
 * Spends one send from the budgets around it: for one effect that stands alone. It is refused before it begins, and an
 * interruption in its middle spends the whole reservation. Inside a retry, each send is charged.
 */
export const charge =
  <A>(options: Charge<A>) =>
  <E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | BudgetExceeded, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber): Effect.Effect<A, E | BudgetExceeded, R> => {
        const budgets = fiber.getRef(Current)
        if (budgets.length === 0) return restore(self)
        const reservation = reserveAll(budgets, options.key ?? "call", options.estimate)
        if (reservation instanceof BudgetExceeded) return Effect.fail(reservation)
        let isBegun = false
        const begun = Effect.suspend(() => {
          isBegun = true
          return self
        })
        return Effect.onExit(restore(begun), (exit) =>
          Effect.sync(() => (isBegun ? settle(reservation, exit, options) : reservation.refund()))
        )
      })
    )

const settle = <A, E>(reservation: Reservation, exit: Exit.Exit<A, E>, options: Charge<A>): void => {
  if (Exit.isSuccess(exit)) return reservation.settle(options.usage(exit.value))
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") return reservation.settle(undefined)
  const usage = options.usageOfError?.(error.value)
  const { phase } = classify(error.value)
  if (usage === undefined && (phase === "notSent" || phase === "rejected")) return reservation.refund()
  reservation.settle(usage)
}

/** Budgets by tenant, all of one kind. */
export interface Tenants {
  /** The tenant's budget, made when it is first asked for. Past `maxTenants` a new one refuses whatever it is asked. */
  readonly forTenant: (tenant: string) => CostBudget
  /** Drops a tenant and returns what it had, for your books. Asked for again, it begins anew. */
  readonly forget: (tenant: string) => CostBudget | undefined
  /** Tenants that are remembered. */
  readonly size: number
}

export type TenantsOptions = Unit & {
  /** The most that a tenant may spend, in `unit`: the same for all, or by tenant. */
  readonly limit: number | ((tenant: string) => number)
  /** What a tenant spent before, read when it is first asked for. Default: `0`. */
  readonly spent?: ((tenant: string) => number) | undefined
  /** As for one budget. Default: `4096`. */
  readonly defaultMaxTokens?: number | undefined
  /**
   * Tenants that are remembered. Default: `100_000`, about 30 MB. None is dropped to make room, since money that was spent
   * would be forgotten with it: a tenant too many is refused until another one is forgotten.
   */
  readonly maxTenants?: number | undefined
}

/** Budgets by tenant with a state of their own: make them once, e.g. for each billing period. */
export const tenantsUnsafe = (options: TenantsOptions): Tenants => {
  const { limit, maxTenants = 100_000, spent, ...rest } = options
  const budgets = new Map<string, CostBudget>()
  const forTenant = (tenant: string): CostBudget => {
    const known = budgets.get(tenant)
    if (known !== undefined) return known
    // Errors go to logs and to other people: the name does not say whose budget it is.
    const name = "tenant"
    if (budgets.size >= maxTenants) return makeUnsafe({ ...rest, name: `${name} (maxTenants is reached)`, limit: 0 })
    const own = { limit: typeof limit === "number" ? limit : limit(tenant), spent: spent?.(tenant) }
    const budget = makeUnsafe({ ...rest, ...own, name })
    budgets.set(tenant, budget)
    return budget
  }
  const forget = (tenant: string): CostBudget | undefined => {
    const budget = budgets.get(tenant)
    budgets.delete(tenant)
    return budget
  }
  return {
    forTenant,
    forget,
    get size() {
      return budgets.size
    }
  }
}

/** Budgets by tenant with a state of their own: make them once, e.g. for each billing period. */
export const tenants = (options: TenantsOptions): Effect.Effect<Tenants> => Effect.sync(() => tenantsUnsafe(options))
