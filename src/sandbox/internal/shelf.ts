/** Sessions of one class that were made ahead. */
import * as Duration from "effect/Duration"
import type * as Scope from "effect/Scope"
import type { CreateOptions, Session } from "../Sandbox.ts"

/** A session that nobody has used yet. */
export interface Ready {
  readonly session: Session
  /** Closing it kills the session and frees its place. */
  readonly scope: Scope.Closeable
  readonly sinceMillis: number
}

/** What a caller can tell two sessions apart by, but for whose they are. */
export const classOf = ({ cwd, env = {}, language = "python", lifetime }: CreateOptions): string =>
  JSON.stringify([
    language,
    cwd ?? "",
    lifetime === undefined ? "" : Duration.toMillis(lifetime),
    Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1))
  ])

export class Shelf {
  /** What its sessions are made of. */
  readonly request: CreateOptions
  /** The oldest one first. */
  readonly ready: Array<Ready> = []
  isFilling = false

  constructor(request: CreateOptions) {
    this.request = request
  }

  /** Takes away what is ready since before then. */
  takeOlderThan(millis: number): ReadonlyArray<Ready> {
    const young = this.ready.findIndex(({ sinceMillis }) => sinceMillis > millis)
    return this.ready.splice(0, young === -1 ? this.ready.length : young)
  }
}
