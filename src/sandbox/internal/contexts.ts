/** The contexts of a session. A guest makes its side of one when its number first comes; here is who may use which. */
import * as Effect from "effect/Effect"
import type { Context, Language } from "../Sandbox.ts"
import { LimitExceeded, SessionLost, UnsupportedLanguage, type SandboxError } from "../SandboxError.ts"
import type { Engine } from "./engines.ts"
import type { Guests } from "./guests.ts"

/** An empty one takes about a megabyte of a JavaScript guest, and they go only with their session. */
const maxContexts = 32

interface Entry {
  readonly number: number
  readonly engine: Engine["language"]
  readonly cwd: string | undefined
}

/** The session's own variables. */
const own = { number: 0, cwd: undefined }

export class Contexts {
  private readonly guests: Guests
  private readonly fail: (reason: SandboxError["reason"]) => SandboxError
  private readonly entries = new Map<string, Entry>()
  private made = 0

  constructor(guests: Guests, fail: (reason: SandboxError["reason"]) => SandboxError) {
    this.guests = guests
    this.fail = fail
  }

  create(
    language: Language,
    engine: Engine["language"],
    cwd: string | undefined
  ): Effect.Effect<Context, SandboxError> {
    return Effect.suspend(() => {
      const { loss } = this.guests
      if (loss !== undefined) return Effect.fail(this.fail(loss))
      if (this.entries.size >= maxContexts)
        return Effect.fail(
          this.fail(
            new LimitExceeded({ limit: "contexts", description: `a session has ${maxContexts} contexts at most` })
          )
        )
      const number = ++this.made
      const context: Context = { id: String(number), language, cwd }
      this.entries.set(context.id, { number, engine, cwd })
      return Effect.succeed(context)
    })
  }

  /** Which variables a run sees, and where it runs. Without a context, the session's own. */
  find(
    context: Context | undefined,
    engine: Engine["language"]
  ): Effect.Effect<Pick<Entry, "number" | "cwd">, SandboxError> {
    if (context === undefined) return Effect.succeed(own)
    const entry = this.entries.get(context.id)
    if (entry === undefined)
      return Effect.fail(
        this.fail(
          new SessionLost({
            why: "gone",
            description: `context ${context.id} is not of this session, or was before a reset`
          })
        )
      )
    if (entry.engine !== engine)
      return Effect.fail(
        this.fail(new UnsupportedLanguage({ language: engine, supported: [`${context.language} in this context`] }))
      )
    return Effect.succeed(entry)
  }

  /** Forgets all; numbers are not used again, so that no one from before a reset is taken for another. */
  clear(): void {
    this.entries.clear()
  }
}
