/**
 * The guests of one session: a process for each engine that it uses, one of which has the files that count. They share
 * a fate: when one is lost the session is, because its files may have been there.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { FileFailed, SandboxError, type SessionLost } from "../SandboxError.ts"
import type { Child } from "./child.ts"
import type { Engine } from "./engines.ts"
import { Mirror, type Refused } from "./mirror.ts"

type Name = Engine["language"]

/** What a session's guests are made of. */
export interface Parts {
  readonly provider: string
  /** The engine that the session starts with. */
  readonly first: Name
  /** A guest that is ready; whoever takes it kills it. */
  readonly take: (engine: Name) => Effect.Effect<Child, SandboxError>
  readonly fileCount: number
}

/** From a fresh machine to its end. */
interface Generation {
  readonly scope: Scope.Closeable
  readonly held: Map<Name, Child>
  readonly mirror: Mirror
  /** Whose files count. */
  active: Child | undefined
  loss: SessionLost | undefined
}

/** How long files may take to move from one guest to another: the largest quota takes a few seconds. */
const moveTimeout = "60 seconds"

export class Guests {
  private readonly parts: Parts
  private readonly scope: Scope.Scope
  private generation: Generation

  private constructor(parts: Parts, scope: Scope.Scope, generation: Generation) {
    this.parts = parts
    this.scope = scope
    this.generation = generation
  }

  /** Boots the first guest. The scope's close kills all of them. */
  static readonly make = Effect.fnUntraced(function* (parts: Parts) {
    const scope = yield* Effect.scope
    const guests = new Guests(parts, scope, yield* begin(scope, parts))
    yield* guests.acquire(guests.generation, parts.first)
    return guests
  })

  /** Another one after each `reset`. */
  get machine(): object {
    return this.generation
  }

  /** Why the session is lost; `undefined` while it is not. */
  get loss(): SessionLost | undefined {
    const { generation } = this
    for (const child of generation.held.values()) generation.loss ??= child.loss
    return generation.loss
  }

  /** The guest whose files count. */
  get active(): Effect.Effect<Child, SandboxError> {
    return Effect.andThen(
      this.check,
      Effect.suspend(() => {
        const { generation } = this
        return generation.active === undefined
          ? this.acquire(generation, this.parts.first)
          : Effect.succeed(generation.active)
      })
    )
  }

  /** The guest of an engine, with the session's files in it. */
  use(engine: Name): Effect.Effect<Child, SandboxError> {
    return Effect.flatMap(this.active, (active) => {
      const { generation } = this
      const found = generation.held.get(engine)
      if (found === active) return Effect.succeed(found)
      return Effect.flatMap(found === undefined ? this.acquire(generation, engine) : Effect.succeed(found), (child) =>
        generation.mirror.move(active, child).pipe(
          Effect.timeoutOrElse({
            duration: moveTimeout,
            orElse: () =>
              Effect.andThen(
                child.kill("protocol", "its files could not be moved in time"),
                Effect.suspend(() => this.check)
              )
          }),
          Effect.catchTag("Refused", (refused) => Effect.fail(this.refuse(fileFailed(refused)))),
          Effect.catchTag("SessionLost", (reason) => Effect.fail(this.refuse(reason))),
          Effect.andThen(
            Effect.sync(() => {
              generation.active = child
              return child
            })
          )
        )
      )
    })
  }

  /** Kills every guest; the session is lost with this reason, unless it was lost before. */
  kill(why: SessionLost["why"], description: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const children = [...this.generation.held.values()]
      return Effect.forEach(children, (child) => child.kill(why, description), {
        concurrency: "unbounded",
        discard: true
      })
    })
  }

  /** A fresh machine in the place of this one. */
  readonly renew: Effect.Effect<void, SandboxError> = Effect.suspend(() =>
    Effect.andThen(
      Scope.close(this.generation.scope, Exit.void),
      Effect.flatMap(begin(this.scope, this.parts), (generation) => {
        this.generation = generation
        return this.acquire(generation, this.parts.first)
      })
    )
  )

  private readonly check: Effect.Effect<void, SandboxError> = Effect.suspend(() => {
    const { loss } = this
    if (loss === undefined) return Effect.void
    return Effect.andThen(this.kill(loss.why, loss.description), Effect.fail(this.refuse(loss)))
  })

  private acquire(generation: Generation, engine: Name): Effect.Effect<Child, SandboxError> {
    return Effect.acquireRelease(this.parts.take(engine), (child) => child.kill("closed", "its session was closed"), {
      interruptible: true
    }).pipe(
      Scope.provide(generation.scope),
      Effect.tap((child) =>
        Effect.sync(() => {
          generation.held.set(engine, child)
          generation.active ??= child
        })
      )
    )
  }

  private refuse(reason: SandboxError["reason"]): SandboxError {
    return new SandboxError({ provider: this.parts.provider, reason })
  }
}

const begin = (scope: Scope.Scope, parts: Parts): Effect.Effect<Generation> =>
  Effect.map(Scope.fork(scope), (own) => ({
    scope: own,
    held: new Map(),
    mirror: new Mirror(parts.fileCount),
    active: undefined,
    loss: undefined
  }))

/** What the guest said about a file, as the service says it. */
export const fileFailed = ({ path, answer }: Refused): FileFailed =>
  new FileFailed({ path, why: answer.why, description: answer.description })
