/** `map`: a callback for each of many items, a few at a time, and how each of them ended. */
import * as Effect from "effect/Effect"

/** How one callback of `map` ended. */
export type Settled<A> =
  | { readonly status: "fulfilled"; readonly value: A }
  | { readonly status: "rejected"; readonly reason: unknown }

export interface MapOptions {
  /** Callbacks at the same time. Default: 10. */
  readonly concurrency?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** The results in the order of the items. An abort stops what has not begun; what runs is told by its signal. */
export const mapSettled = async <A, B>(
  items: Iterable<A>,
  f: (item: A, context: { readonly signal: AbortSignal; readonly index: number }) => Promise<B> | B,
  { concurrency = 10, ...options }: MapOptions,
  closed: AbortSignal
): Promise<Array<Settled<B>>> => {
  if (!(concurrency >= 1)) throw new TypeError(`map: concurrency ${concurrency} is not a number of at least 1`)
  const signal = options.signal === undefined ? closed : AbortSignal.any([options.signal, closed])
  return Effect.runPromise(
    Effect.forEach(
      Array.from(items),
      (item, index) =>
        Effect.promise(async (): Promise<Settled<B>> => {
          try {
            signal.throwIfAborted()
            return { status: "fulfilled", value: await f(item, { signal, index }) }
          } catch (reason) {
            return { status: "rejected", reason }
          }
        }),
      { concurrency }
    )
  )
}
