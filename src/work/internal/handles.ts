/** The results that somebody may wait for. What nobody can wait for any more is forgotten, wherever its job is done. */
import * as Deferred from "effect/Deferred"
import type * as Exit from "effect/Exit"

export type Result<B, E> = Deferred.Deferred<B, E>

export class Handles<B, E> {
  private readonly results = new Map<string, WeakRef<Result<B, E>>>()
  private readonly forgotten = new FinalizationRegistry<string>((id) => {
    if (this.results.get(id)?.deref() === undefined) this.results.delete(id)
  })

  /** The result of the job, the same for everybody who asks before it is there. */
  of(id: string): Result<B, E> {
    const known = this.results.get(id)?.deref()
    if (known !== undefined) return known
    const result = Deferred.makeUnsafe<B, E>()
    this.results.set(id, new WeakRef(result))
    this.forgotten.register(result, id)
    return result
  }

  settle(id: string, exit: Exit.Exit<B, E>): void {
    const result = this.results.get(id)?.deref()
    this.results.delete(id)
    if (result !== undefined) Deferred.doneUnsafe(result, exit)
  }

  settleAll(exit: Exit.Exit<B, E>): void {
    for (const id of Array.from(this.results.keys())) this.settle(id, exit)
  }
}
