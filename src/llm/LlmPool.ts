/**
 * `Llm` made of several that are alike: endpoints or keys of one model that share the calls.
 *
 * Each call goes to the member whose turn it is, and after a failure that another one may serve to the next, to each once at
 * most. A member that asked for a wait, is down, or has an open circuit is skipped for a while. Each keeps its own policy;
 * the pool adds no retries. Models that are not alike, in an order of preference, are a `FallbackLlm`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fallback from "../policy/Fallback.ts"
import { classify, type Retryable } from "../policy/Retryable.ts"
import { leastInFlight, roundRobin, Turn } from "./internal/poolTurn.ts"
import * as Several from "./internal/several.ts"
import { Llm } from "./Llm.ts"
import { QuotaExhausted, Unauthorized } from "./LlmError.ts"

/** One of those that share the calls. */
export interface Member<E = never, R = never> {
  readonly llm: Layer.Layer<Llm, E, R>
  /** Its name in `onMove` and `servedBy`, different for each; no place for a key. Default: `"llm 1"`, by its place. */
  readonly name?: string | undefined
  /** Its share of the calls, against the others': any number above zero. Default: `1`. */
  readonly weight?: number | undefined
}

/** All of them: a list, or a tuple where their layers fail or need different things. */
export type Members<E, R, E2, R2> =
  | ReadonlyArray<Member<E, R>>
  | readonly [Member<E, R>, ...ReadonlyArray<Member<E2, R2>>]

export interface Options extends Pick<Fallback.Settings, "maxCoolDown"> {
  /**
   * Who is asked: the one with the fewest calls in flight for its weight, those that are equal in turns, or everybody in
   * turns. Default: `"leastInFlight"`: one answer takes a hundred times as long as another, so that equal counts are not
   * equal loads, and a member that became slow gets less.
   */
  readonly strategy?: "leastInFlight" | "roundRobin" | undefined
  /**
   * How long a member is skipped that was busy or could not be reached, and named no time. Default: `"10 seconds"`, as
   * nginx's `fail_timeout`.
   */
  readonly coolDown?: Duration.Input | undefined
  /**
   * How long a member is skipped whose quota is used up or whose key was refused. Default: `"10 minutes"`: one request in
   * that time finds out that it works again.
   */
  readonly keyCoolDown?: Duration.Input | undefined
  /** The whole call over all members. Default: none, each member has its own `total`. */
  readonly total?: Duration.Input | undefined
  /** Runs before a call moves on. Its failure is not possible; its time counts. */
  readonly onMove?: Fallback.Settings["onFallback"]
}

interface Sharing extends Several.Member {
  readonly turn: Turn
}

/** Counts a member's calls; a stream is one until it ends or its reader leaves. */
const counted = (llm: Llm["Service"], { take }: Turn): Llm["Service"] => ({
  generateText: (request) =>
    Effect.acquireUseRelease(
      take,
      () => llm.generateText(request),
      (giveBack) => giveBack
    ),
  streamText: (request) =>
    Stream.unwrap(
      Effect.map(
        Effect.acquireRelease(take, (giveBack) => giveBack),
        (giveBack) => Stream.ensuring(llm.streamText(request), giveBack)
      )
    )
})

const build = <E, R>(
  { llm, name, weight = 1 }: Member<E, R>,
  index: number
): Effect.Effect<Sharing, E, R | Scope.Scope> =>
  Effect.map(Several.build(llm), (llm) => {
    const turn = new Turn(weight)
    return { name: Several.nameOf(name, index), llm: counted(llm, turn), turn }
  })

/** A key that is refused is this member's alone: another one has its own. */
const classifyReason = (error: unknown): Retryable => {
  const reason = Several.reasonOf(error)
  if (!(reason instanceof Unauthorized)) return classify(reason)
  return { isRetryable: false, phase: reason.phase, fallback: "next" }
}

/** The server said that it did not do it, or is not there: the next call would hear the same. */
const isAway = ({ fallback, isRetryable, isThrottle, phase }: Retryable): boolean =>
  isThrottle === true ||
  (isRetryable && (phase === "notSent" || phase === "rejected")) ||
  (fallback === "next" && phase === "rejected")

const coolDownOf = (options: Options): ((error: unknown) => Duration.Input | undefined) => {
  const { coolDown = "10 seconds", keyCoolDown = "10 minutes" } = options
  return (error) => {
    const reason = Several.reasonOf(error)
    if (reason instanceof QuotaExhausted) return keyCoolDown
    return isAway(classify(reason)) ? coolDown : undefined
  }
}

/** Throws what no program means. */
const checked = (members: ReadonlyArray<Sharing>): readonly [Sharing, ...ReadonlyArray<Sharing>] => {
  const [first, ...others] = members
  if (first === undefined) throw new TypeError("LlmPool: there are no members; give at least one")
  const names = new Set<string>()
  for (const { name, turn } of members) {
    const { weight } = turn
    if (!(weight > 0 && weight < Infinity)) {
      throw new TypeError(`LlmPool: the weight ${weight} of "${name}" is not a number above zero`)
    }
    if (names.has(name)) throw new TypeError(`LlmPool: two members are named "${name}"; give each its own name`)
    names.add(name)
  }
  return [first, ...others]
}

const over = (members: ReadonlyArray<Sharing>, options: Options): Llm["Service"] => {
  const fallback = Fallback.makeUnsafe<Sharing>({
    alternatives: checked(members),
    pick: options.strategy === "roundRobin" ? roundRobin : leastInFlight,
    classify: classifyReason,
    coolDownOf: coolDownOf(options),
    maxCoolDown: options.maxCoolDown,
    // As every completion: a second one is paid for and does no other harm.
    safety: "costly",
    onFallback: options.onMove
  })
  const keyCoolDownMillis = Duration.toMillis(options.keyCoolDown ?? "10 minutes")
  return Several.make(fallback, {
    key: "pool",
    total: options.total,
    // Now it is known that the key was at fault and not the request: another one was accepted.
    onServed: (failed, nowMillis) => {
      for (const { error, name } of failed) {
        if (error.reason instanceof Unauthorized) fallback.coolUnsafe(name, keyCoolDownMillis, nowMillis)
      }
    }
  })
}

/** The service over the members, which live as long as the scope. Without any, or with a wrong weight, it dies. */
export const make = <E, R, E2 = never, R2 = never>(
  members: Members<E, R, E2, R2>,
  options: Options = {}
): Effect.Effect<Llm["Service"], E | E2, R | R2 | Scope.Scope> => {
  const all: ReadonlyArray<Member<E | E2, R | R2>> = members
  return Effect.map(Effect.forEach(all, build), (built) => over(built, options))
}

/** `Llm` over the members. `layer(…)` has turns and a memory of its own at each call: keep it in a constant. */
export const layer = <E, R, E2 = never, R2 = never>(
  members: Members<E, R, E2, R2>,
  options: Options = {}
): Layer.Layer<Llm, E | E2, R | R2> => Layer.effect(Llm, make(members, options))
