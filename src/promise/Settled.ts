/** `map`: a callback for each of many items, a few at a time, and how each of them ended. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { checkCall } from "./internal/callOptions.ts"
import { atLeast, oneOf, onlyKnown } from "./Time.ts"

/** How one callback of `map` ended. */
export type Settled<A> =
  | { readonly status: "fulfilled"; readonly value: A }
  | { readonly status: "rejected"; readonly reason: unknown }

export interface MapOptions {
  /** Callbacks at the same time. Default: 10. */
  readonly concurrency?: number | undefined
  /**
   * Whether the first failure ends it: nothing more begins, and the callbacks that run see their signal aborted. The
   * items that did not begin are rejected with `MapStopped`. Default: `false`.
   */
  readonly stopOnError?: boolean | undefined
  /** Aborting it begins nothing more, and aborts the callbacks' signal. */
  readonly signal?: AbortSignal | undefined
}

/** What a callback of `map` is told beside its item. */
export interface MapContext {
  /** Aborted when the map's signal is, when the client has closed, and with `stopOnError` when another item failed. */
  readonly signal: AbortSignal
  /** The place of the item, from 0. */
  readonly index: number
}

/** Another item of the `map` failed, and `stopOnError` is set. */
export class MapStopped extends Data.TaggedError("MapStopped")<{
  /** Which item failed. */
  readonly index: number
  /** What it failed with. */
  readonly cause: unknown
}> {
  readonly code = "MapStopped"
  override get message(): string {
    return `item ${this.index} of the map failed, and stopOnError ends it there; \`cause\` has its error`
  }
}

const check = (items: unknown, f: unknown, options: MapOptions): void => {
  checkCall({ signal: options.signal })
  onlyKnown(options, ["concurrency", "stopOnError", "signal"], "map")
  atLeast(options.concurrency, 1, "map.concurrency")
  oneOf(options.stopOnError, [true, false], "map.stopOnError")
  if (typeof f !== "function") throw new TypeError("map: give a function that is called for each item")
  if (items === undefined || items === null || !(Symbol.iterator in Object(items)))
    throw new TypeError("map: give a list of items, or anything else that can be iterated")
}

/** The results in the order of the items. An abort stops what has not begun; what runs is told by its signal. */
export const mapSettled = async <A, B>(
  items: Iterable<A>,
  f: (item: A, context: MapContext) => Promise<B> | B,
  options: MapOptions,
  closed: AbortSignal
): Promise<Array<Settled<B>>> => {
  check(items, f, options)
  const { concurrency = 10, stopOnError = false } = options
  const stop = new AbortController()
  const around = options.signal === undefined ? [closed, stop.signal] : [closed, stop.signal, options.signal]
  const signal = AbortSignal.any(around)
  const settle = async (item: A, index: number): Promise<Settled<B>> => {
    if (signal.aborted) return { status: "rejected", reason: signal.reason }
    try {
      return { status: "fulfilled", value: await f(item, { signal, index }) }
    } catch (reason) {
      if (stopOnError) stop.abort(new MapStopped({ index, cause: reason }))
      return { status: "rejected", reason }
    }
  }
  return Effect.runPromise(
    Effect.forEach(Array.from(items), (item, index) => Effect.promise(() => settle(item, index)), { concurrency })
  )
}
