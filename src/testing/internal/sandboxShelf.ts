/** The sandboxes of a `SandboxServer`: each lives in a scope of its own until it is deleted or the server closes. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { isLanguage } from "../../sandbox/internal/restDecode.ts"
import type { Context, CreateOptions, Language, Sandbox, Session } from "../../sandbox/Sandbox.ts"
import { SandboxError, SessionLost, UnsupportedLanguage } from "../../sandbox/SandboxError.ts"
import { millis, text, texts } from "./sandboxWire.ts"

export interface Kept {
  readonly session: Session
  readonly scope: Scope.Closeable
  readonly contexts: Map<string, Context>
  /** Removes it some time after its lifetime: its client may be gone. */
  reaper: Fiber.Fiber<unknown> | undefined
}

/** How long a sandbox that has expired says so, before it is as one that never was. */
const reapMargin = Duration.minutes(1)

/** A create under way or done, and how many wait for it. */
interface Making {
  readonly fiber: Fiber.Fiber<Kept, SandboxError>
  waiting: number
}

const fail = (reason: SandboxError["reason"]): SandboxError => new SandboxError({ provider: "server", reason })

export class Shelf {
  private readonly sandbox: Sandbox["Service"]
  private readonly scope: Scope.Scope
  private readonly lifetime: Duration.Input
  private readonly kept = new Map<string, Kept>()
  private readonly byKey = new Map<string, Making>()
  private readonly languages = new Set<Language>()
  private unkeyed = 0

  constructor(sandbox: Sandbox["Service"], scope: Scope.Scope, lifetime: Duration.Input) {
    this.sandbox = sandbox
    this.scope = scope
    this.lifetime = lifetime
  }

  /** The key of a create; one without is a create of its own. */
  keyOf(given: string | undefined): string {
    return given === undefined ? `own ${this.unkeyed++}` : `given ${given}`
  }

  get size(): number {
    return this.kept.size
  }

  find(id: string): Effect.Effect<Kept, SandboxError> {
    return Effect.suspend(() => {
      const kept = this.kept.get(id)
      if (kept !== undefined) return Effect.succeed(kept)
      return Effect.fail(fail(new SessionLost({ why: "gone", description: `there is no sandbox ${id}` })))
    })
  }

  languageOf(runtime: unknown): Effect.Effect<Language, SandboxError> {
    if (isLanguage(runtime)) return Effect.succeed(runtime)
    const reason = new UnsupportedLanguage({ language: String(runtime), supported: [...this.languages] })
    return Effect.fail(fail(reason))
  }

  /** Makes one sandbox for all requests with the same key; one that nobody waits for any more is not made. */
  make(key: string, body: Readonly<Record<string, unknown>>): Effect.Effect<Kept, SandboxError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        const known = this.byKey.get(key)
        const making = known ?? { fiber: yield* Effect.forkIn(this.create(key, body), this.scope), waiting: 0 }
        this.byKey.set(key, making)
        making.waiting += 1
        return yield* restore(Fiber.join(making.fiber)).pipe(
          Effect.onExit((exit) => {
            making.waiting -= 1
            return Exit.isSuccess(exit) ? Effect.void : this.forget(key, making)
          })
        )
      })
    )
  }

  /** The answer did not reach who asked: unless somebody asks again at this moment, nobody knows of it. */
  unknown(key: string): Effect.Effect<void> {
    const making = this.byKey.get(key)
    return making === undefined ? Effect.void : this.forget(key, making)
  }

  private forget(key: string, making: Making): Effect.Effect<void> {
    if (making.waiting > 0) return Effect.void
    this.byKey.delete(key)
    const exit = making.fiber.pollUnsafe()
    if (exit === undefined) return Fiber.interrupt(making.fiber)
    return Exit.isSuccess(exit) ? this.remove(exit.value.session.id) : Effect.void
  }

  private create(key: string, body: Readonly<Record<string, unknown>>): Effect.Effect<Kept, SandboxError> {
    return Effect.gen({ self: this }, function* () {
      const language = yield* this.languageOf(body.runtime ?? "python")
      const lifetime = millis(body.lifetimeMillis) ?? this.lifetime
      const options: CreateOptions = { language, env: texts(body.env), cwd: text(body.cwd), lifetime }
      const scope = yield* Scope.fork(this.scope)
      const session = yield* this.sandbox.create(options).pipe(
        Scope.provide(scope),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      const kept: Kept = { session, scope, contexts: new Map(), reaper: undefined }
      for (const language of session.languages) this.languages.add(language)
      this.kept.set(session.id, kept)
      yield* Scope.addFinalizer(
        scope,
        Effect.sync(() => this.byKey.delete(key))
      )
      yield* this.reapAfter(kept, lifetime)
      return kept
    })
  }

  reapAfter(kept: Kept, lifetime: Duration.Input): Effect.Effect<void> {
    const late = Duration.sum(Duration.fromInputUnsafe(lifetime), reapMargin)
    const reaping = Effect.andThen(
      Effect.sleep(late),
      Effect.suspend(() => {
        // It would interrupt itself.
        kept.reaper = undefined
        return this.remove(kept.session.id)
      })
    )
    return Effect.gen({ self: this }, function* () {
      const before = kept.reaper
      kept.reaper = yield* Effect.forkIn(reaping, this.scope)
      if (before !== undefined) yield* Fiber.interrupt(before)
    })
  }

  /** Ends a sandbox; `false` when there is none. */
  remove(id: string): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const kept = this.kept.get(id)
      this.kept.delete(id)
      if (kept === undefined) return Effect.succeed(false)
      kept.reaper?.interruptUnsafe()
      return Effect.as(Scope.close(kept.scope, Exit.void), true)
    })
  }
}
