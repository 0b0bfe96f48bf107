/**
 * Sessions made ahead: a `Sandbox` over any other, whose `create` hands out a session that is ready.
 *
 * ready → checked by a run → handed to one caller → killed when the caller's scope closes, never used again.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Carried from "../http/internal/carried.ts"
import { Places } from "./internal/places.ts"
import { classOf, type Ready, Shelf } from "./internal/shelf.ts"
import { type CreateOptions, type Language, Sandbox, type Session } from "./Sandbox.ts"
import { SandboxError, Unavailable } from "./SandboxError.ts"

/** How the pool works. Every option has a default. */
export interface Options {
  /** Sessions kept ready of each class. Default: `1`, which serves callers that come one by one. */
  readonly min?: number | undefined
  /**
   * Sessions at once: ready, handed out or being made. More callers wait, by their priority. Default: `10`. What lies below has bounds of
   * its own: give `LocalSandbox.layer` at least as many `maxSessions`.
   */
  readonly max?: number | undefined
  /**
   * What is made ahead, from the building of the layer on. A `create` with other options makes its session then, within
   * the same bounds. `userId` and `createTimeout` are not part of a class. Default: one, `{ language: "python" }`.
   */
  readonly classes?: ReadonlyArray<Omit<CreateOptions, "userId" | "createTimeout">> | undefined
  /**
   * Whether a session may be handed out; one that may not is killed, and the next one is looked at. A failure and five
   * seconds count as no; `false` looks at none. Default: a run of an empty program in the session's language.
   */
  readonly healthCheck?: false | ((session: Session) => Effect.Effect<boolean, SandboxError>) | undefined
  /**
   * A session that was ready for longer is replaced. Default: `"10 minutes"`. It has to be shorter than the time that a
   * service below lets sessions live; a class with a `lifetime` has all of it from when it is handed out.
   */
  readonly maxIdle?: Duration.Input | undefined
  /** Callers that may wait for a place; more fail with `LimitExceeded`. Default: `32`. */
  readonly maxQueue?: number | undefined
}

const provider = "pool"

const refuse = (reason: SandboxError["reason"]) => new SandboxError({ provider, reason })

/** How often what is ready is looked through: old ones go, and what could not be made is tried again. */
const roundEvery = "30 seconds"

/** An empty run takes milliseconds; one that waits is of a machine that hangs. */
const healthTimeout = "5 seconds"

const emptyProgram: Readonly<Record<Language, string>> = {
  python: "pass",
  javascript: ";",
  typescript: ";",
  bash: ":",
  r: "invisible()",
  java: ";"
}

const runsNothing =
  (language: Language) =>
  (session: Session): Effect.Effect<boolean, SandboxError> =>
    Effect.map(
      session.runCode(emptyProgram[language], { language, timeout: healthTimeout }),
      ({ outcome }) => outcome === "ok"
    )

class Pool {
  private readonly options: Options
  private readonly below: Sandbox["Service"]
  private readonly scope: Scope.Scope
  private readonly context: Context.Context<never>
  private readonly places: Places
  private readonly shelves: ReadonlyMap<string, Shelf>
  private readonly min: number
  private readonly maxIdleMillis: number
  private waiting = 0

  constructor(options: Options, below: Sandbox["Service"], scope: Scope.Scope, context: Context.Context<never>) {
    const { classes = [{}], max = 10, maxIdle = "10 minutes", maxQueue, min = 1 } = options
    this.options = options
    this.below = below
    this.scope = scope
    this.context = context
    this.min = min
    this.maxIdleMillis = Duration.toMillis(maxIdle)
    this.places = new Places(provider, max, maxQueue)
    this.shelves = new Map(classes.map((request) => [classOf(request), new Shelf(request)]))
  }

  /** Makes a session in a scope of its own, which `holder` closes, too. `place` takes it a place. */
  private readonly born = (
    request: CreateOptions,
    place: (own: Scope.Scope) => Effect.Effect<void, SandboxError>,
    holder?: Scope.Scope
  ): Effect.Effect<Ready, SandboxError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        const own = yield* Scope.fork(this.scope)
        // The first one to be added is the last one to run: then the place is free.
        yield* Scope.addFinalizer(own, this.refill)
        if (holder !== undefined) yield* Scope.addFinalizerExit(holder, (exit) => Scope.close(own, exit))
        const making = Effect.andThen(place(own), Scope.provide(this.below.create(request), own))
        const session = yield* Effect.onError(restore(making), (cause) => Scope.close(own, Exit.failCause(cause)))
        return { session, scope: own, sinceMillis: yield* Clock.currentTimeMillis }
      })
    )

  /** Keeps a shelf full. What cannot be made now is tried again in a while; who needs it meanwhile is told why. */
  private readonly fill = (shelf: Shelf): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (shelf.isFilling) return Effect.void
      shelf.isFilling = true
      const more = Effect.suspend(() =>
        // Nothing is made ahead in the place that somebody waits for.
        shelf.ready.length < this.min && this.waiting === 0 && this.places.takeIfAvailable()
          ? Effect.as(this.add(shelf), true)
          : Effect.succeed(false)
      )
      return Effect.repeat(more, { while: (isMore) => isMore }).pipe(
        Effect.catchCause((cause) => Effect.logDebug("SandboxPool: no session could be made ahead", cause)),
        Effect.ensuring(Effect.sync(() => (shelf.isFilling = false)))
      )
    })

  private readonly add = (shelf: Shelf): Effect.Effect<void, SandboxError> =>
    this.born(shelf.request, (own) => Scope.addFinalizer(own, this.release)).pipe(
      Effect.tap((ready) => Effect.sync(() => shelf.ready.push(ready))),
      Effect.andThen(Effect.suspend(() => (this.waiting > 0 ? this.evict : Effect.void)))
    )

  /**
   * What the pool does for itself, whichever call makes it do it: not under the call's key, which would give it the
   * sandbox of the call, nor with its headers, in its class or until its deadline.
   */
  private readonly alone = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.setContext(self, this.context)

  private readonly refill: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(this.shelves.values(), (shelf) => Effect.forkIn(this.alone(this.fill(shelf)), this.scope), {
      discard: true
    })
  )

  /** Gives up the session that was ready for the longest: somebody waits for its place. */
  private readonly evict: Effect.Effect<void> = Effect.suspend(() => {
    const since = (shelf: Shelf): number => shelf.ready[0]?.sinceMillis ?? Infinity
    const shelves = [...this.shelves.values()].toSorted((a, b) => since(a) - since(b))
    const oldest = shelves[0]?.ready.shift()
    return oldest === undefined ? Effect.void : Scope.close(oldest.scope, Exit.void)
  })

  private readonly release = Effect.sync(() => this.places.release())

  /** Takes a place: a free one, that of a session that is ready for others, or the next one to be free. */
  private readonly place = (own: Scope.Scope): Effect.Effect<void, SandboxError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (this.places.takeIfAvailable()) return Scope.addFinalizer(own, this.release)
        this.waiting += 1
        // In the line before the other's place is free: who comes while it is killed does not pass.
        const evicting =
          this.options.maxQueue === 0
            ? this.alone(this.evict)
            : Effect.forkIn(this.alone(this.evict), this.scope, { startImmediately: true })
        return Effect.ensuring(
          Effect.andThen(evicting, restore(this.places.takeIn(own))),
          Effect.sync(() => (this.waiting -= 1))
        )
      })
    )

  private readonly isWell = (session: Session, language: Language): Effect.Effect<boolean> => {
    const { healthCheck = runsNothing(language) } = this.options
    if (healthCheck === false) return Effect.succeed(true)
    return Carried.keyless(healthCheck(session)).pipe(
      Effect.timeoutOption(healthTimeout),
      Effect.map((said) => said._tag === "Some" && said.value),
      Effect.catch(() => Effect.succeed(false))
    )
  }

  /** A session that is well, in the caller's scope. */
  private readonly open = Effect.fnUntraced({ self: this }, function* (this: Pool, request: CreateOptions) {
    const holder = yield* Effect.scope
    const shelf = this.shelves.get(classOf(request))
    for (;;) {
      const shelved = yield* Effect.uninterruptible(
        Effect.suspend(() => {
          const next = shelf?.ready.shift()
          if (next === undefined) return Effect.undefined
          return Effect.as(
            Scope.addFinalizerExit(holder, (exit) => Scope.close(next.scope, exit)),
            next
          )
        })
      )
      const { scope, session } = shelved ?? (yield* this.born(request, this.place, holder))
      yield* this.refill
      if (yield* this.isWell(session, request.language ?? "python")) {
        if (shelved !== undefined && request.lifetime !== undefined) yield* session.extend(request.lifetime)
        return { ...session, userId: request.userId }
      }
      yield* this.alone(Scope.close(scope, Exit.void))
      if (shelved === undefined) {
        const description = "a fresh session did not pass its health check"
        return yield* refuse(new Unavailable({ description, transient: true }))
      }
    }
  })

  readonly create = Effect.fn("SandboxPool.create")(
    { self: this },
    function* (this: Pool, request: CreateOptions = {}) {
      const timeout = Duration.fromInputUnsafe(request.createTimeout ?? "30 seconds")
      // A scope of its own, so that a create that fails half-way gives back what it took now.
      const scope = yield* Scope.fork(yield* Effect.scope)
      return yield* this.open(request).pipe(
        Scope.provide(scope),
        Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(late(timeout)) }),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    }
  )

  private readonly giveUpOld = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.forEach(
      this.shelves.values(),
      (shelf) =>
        Effect.forEach(shelf.takeOlderThan(now - this.maxIdleMillis), ({ scope }) => Scope.close(scope, Exit.void)),
      { discard: true }
    )
  )

  /** Looks through what is ready, for as long as the pool is open. */
  readonly rounds: Effect.Effect<never> = Effect.forever(
    Effect.andThen(
      Effect.suspend(() => Effect.andThen(this.giveUpOld, this.refill)),
      Effect.sleep(roundEvery)
    )
  )
}

const late = (timeout: Duration.Duration): SandboxError =>
  refuse(
    new Unavailable({
      description: `no session within ${Duration.format(timeout)}: raise \`createTimeout\` or \`max\``,
      transient: true
    })
  )

/**
 * The pool over the sandbox below. Building it does not wait for sessions; closing it kills all of them, also those that
 * are handed out. `Unavailable` says of a fresh session that is not well, and of a caller who waited too long.
 */
export const layer = (options: Options = {}): Layer.Layer<Sandbox, never, Sandbox> =>
  Layer.effect(
    Sandbox,
    Effect.gen(function* () {
      // Sessions are killed at the same time, not one after the other.
      const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
      const pool = new Pool(options, yield* Sandbox, scope, yield* Effect.context<never>())
      yield* Effect.forkScoped(pool.rounds)
      return Sandbox.of({ create: pool.create })
    })
  )
