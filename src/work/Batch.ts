/**
 * Thousands of items, many at a time: results in order, failures as values, memory that does not grow with their number.
 *
 * `run` takes a stream and gives a stream. `open` takes a file of JSON Lines and writes another one, and can be killed at
 * any moment: each record is in a checkpoint before its item counts as done, and a resumed batch asks for no such item
 * again. Items that were under way are asked for again with the same idempotency key.
 */
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { BatchError } from "./BatchError.ts"
import type { Attempt, BatchRecord, Failure, Usage } from "./BatchRecord.ts"
import * as FileBatch from "./internal/batchFile.ts"
import { StreamRun } from "./internal/batchStream.ts"
import { type Bounds, inOrder } from "./internal/inOrder.ts"

/** What the work knows of its item besides the item itself. */
export interface Context {
  /** The item's place, starting at 0. */
  readonly index: number
  /** The item's own name, by the option `id`. */
  readonly id?: string | undefined
  /** The same whenever this item of this batch is worked on, in this process and after it: for requests that know such keys. */
  readonly idempotencyKey: string
}

/** What a record says beyond what the batch sees itself. */
export interface Description {
  /** The result as JSON. Default: the result itself. */
  readonly value?: unknown
  /** Default: those that a policy inside writes to `Attempt.Story`: of `Policy.open`, of the HTTP client. */
  readonly attempts?: ReadonlyArray<Attempt> | undefined
  readonly usage?: Usage | undefined
  /** In US dollars. */
  readonly cost?: number | undefined
  /** Default: what the error's members say: `code` or `_tag`, `message`, `isRetryable`, `phase`, `status`, `requestId`. */
  readonly error?: Failure | undefined
}

export interface Options<A, B, E> {
  /** Items that are worked on at a time. Default: `8`. */
  readonly concurrency?: number | undefined
  /**
   * How far the work may run ahead of the oldest item that is not finished: so many results are in memory at most. Default:
   * `1000`, at least `concurrency`.
   */
  readonly window?: number | undefined
  /** The item's own name. Default: none. */
  readonly id?: ((item: A) => string | undefined) | undefined
  /**
   * What equal items have in common, e.g. their prompt: only the first one of them is worked on, and its result is that of
   * the others, too. Default: every item is worked on, since who asks the same twice may want two answers.
   */
  readonly equalBy?: ((item: A) => string) | undefined
  /** What the record says of a result. */
  readonly describe?: ((result: Result.Result<B, E>) => Description) | undefined
  /**
   * Whether this failure would be that of all other items, too, such as a refused key. It ends the batch: nothing new
   * begins, what is under way finishes, and the batch fails with it. The item has no record. Default: none is.
   */
  readonly isFatal?: ((error: E) => boolean) | undefined
}

export interface RunOptions<A, B, E> extends Options<A, B, E> {
  /** What idempotency keys begin with. Default: a random one. */
  readonly runId?: string | undefined
  /** Results that are remembered for equal items, the newest ones. Default: `1000`. */
  readonly remember?: number | undefined
}

/** What became of one item. */
export interface Outcome<A, B, E> {
  readonly index: number
  readonly item: A
  readonly result: Result.Result<B, E>
  readonly record: BatchRecord
}

const bounds = ({ concurrency = 8, window = Math.max(1000, concurrency) }: Options<never, never, never>): Bounds => {
  if (!(concurrency >= 1)) throw new RangeError(`concurrency must be at least 1, not ${concurrency}`)
  if (!(window >= concurrency)) throw new RangeError(`window must be at least the concurrency, not ${window}`)
  return { concurrency, window }
}

/**
 * Works on items and tells of each in their order. It reads no more of them than it works on, and holds no more results
 * than the window. Fails only with a failure that `isFatal`, and with the items' own stream.
 */
export const run = <A, B, E, R, E2 = never, R2 = never>(
  items: Iterable<A> | Stream.Stream<A, E2, R2>,
  work: (item: A, context: Context) => Effect.Effect<B, E, R>,
  options: RunOptions<A, B, E> = {}
): Stream.Stream<Outcome<A, B, E>, E | E2, R | R2> => {
  const { concurrency, describe, runId = randomUUID(), window, ...rest } = options
  const within = bounds({ concurrency, window })
  return Stream.suspend(() => {
    const one = new StreamRun({ work, describe }, { ...rest, runId })
    const all = Stream.zipWithIndex(Stream.isStream(items) ? items : Stream.fromIterable(items))
    return inOrder(all, one.settle, within)
  })
}

export interface OpenOptions<A> {
  /** A file of JSON Lines, UTF-8. Blank lines do not count. It is read twice, so it cannot be a pipe. */
  readonly input: string
  /** The file of records that is written. Beside it, with `.checkpoint` behind its name, is the checkpoint. */
  readonly output: string
  /** What an item is. */
  readonly item: Schema.Codec<A, unknown>
  /**
   * Go on with the batch that was begun: of the same input and output. One that was not begun, begins. Default: `false`, and
   * an output that is there already fails the batch.
   */
  readonly resume?: boolean | undefined
  /** When a batch is resumed, work again on the items that failed. Default: `false`. */
  readonly retryFailed?: boolean | undefined
  /**
   * What a line means that is no item: `"refuse"` fails the batch before anything is asked, `"record"` gives it a record that
   * failed with the code `InvalidItem`. Default: `"refuse"`.
   */
  readonly invalid?: "refuse" | "record" | undefined
}

export interface FileOptions<A, B, E> extends Options<A, B, E> {
  /**
   * Told of each record once it is kept: first of those of earlier runs, by their place, then of new ones as they come.
   * Default: nobody.
   */
  readonly onRecord?: ((record: BatchRecord, isEarlier: boolean) => Effect.Effect<void>) | undefined
}

/** What is in the checkpoint. */
export interface Counts {
  readonly done: number
  readonly failed: number
  /** US dollars, of all runs, where the price was known. */
  readonly cost: number
}

/** A batch that is complete. */
export interface Summary extends Counts {
  readonly items: number
  /** Items that this run has worked on itself: neither of an earlier run, nor equal to another one. */
  readonly worked: number
}

/** A batch over files, locked for as long as its scope is open. */
export interface Batch<A> {
  /** Items of the input. */
  readonly items: number
  /** What was recorded before. */
  readonly earlier: Counts
  /**
   * Works on all items that have no record. What was under way when it is interrupted has none, and is worked on when the batch
   * is resumed, as after a kill. A second run waits for the first one, and works on what that has left.
   */
  readonly run: <B, E, R>(
    work: (item: A, context: Context) => Effect.Effect<B, E, R>,
    options?: FileOptions<A, B, E>
  ) => Effect.Effect<Summary, BatchError | E, R>
}

/**
 * Opens a batch over files. The whole input is read, so that a line that is no item, an output that cannot be written and a
 * checkpoint of another input are told before anything is asked. Once all items are done, the checkpoint keeps no records.
 */
export const open = <A>(
  options: OpenOptions<A>
): Effect.Effect<Batch<A>, BatchError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.map(FileBatch.open(options), (parts) => {
    // Two writers of one output would each write every line.
    const turn = Semaphore.makeUnsafe(1)
    return {
      items: parts.head.items,
      earlier: parts.earlier,
      run: (work, { concurrency, describe, window, ...rest } = {}) =>
        Effect.suspend(() => {
          const within = { ...rest, ...bounds({ concurrency, window }) }
          return turn.withPermits(1)(Effect.scoped(FileBatch.run(parts, { work, describe }, within)))
        })
    }
  })
