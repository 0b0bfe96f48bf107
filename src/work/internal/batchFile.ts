/** A batch from a file into a file, by a checkpoint. */
import { createHash, randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Context, Counts, FileOptions, OpenOptions, Summary } from "../Batch.ts"
import {
  BatchError,
  CheckpointMismatch,
  InputUnreadable,
  NoCheckpoint,
  OutputExists,
  type Reason
} from "../BatchError.ts"
import * as BatchRecord from "../BatchRecord.ts"
import { type Entry, entries, type Known, requireFile, scan } from "./batchInput.ts"
import { copyOf, type Plan, refusal, workOn } from "./batchItem.ts"
import * as Output from "./batchOutput.ts"
import * as Checkpoint from "./checkpoint.ts"
import { type Bounds, inOrder, Stopper } from "./inOrder.ts"

const failed = (reason: Reason): BatchError => new BatchError({ reason })

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ")

/** Reads the line of an item; the failure says what is wrong with it. */
const reader = <A>(item: Schema.Codec<A, unknown>): ((entry: Entry) => Result.Result<A, string>) => {
  const decodeJson = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Unknown))
  const decode = Schema.decodeUnknownResult(item)
  return ({ text }) =>
    Result.gen(function* () {
      const json = yield* Result.mapError(decodeJson(yield* text), () => "the line is not JSON")
      return yield* Result.mapError(decode(json), ({ message }) => oneLine(message))
    })
}

type Read<A> = (entry: Entry) => Result.Result<A, string>

/** Whether there is something that a new batch would write over. */
const hasContent = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const size = Effect.map(fs.stat(path), ({ size }) => Number(size) > 0)
  return yield* Effect.orElseSucceed(size, () => false)
})

/** A folder cannot be written, and of a device or a pipe nothing can be read again when the batch is resumed. */
const requireOutput = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const type = yield* Effect.orElseSucceed(
    Effect.map(fs.stat(path), ({ type }) => type),
    () => "File"
  )
  if (type !== "File") return yield* failed(new OutputExists({ path, description: "is no file" }))
})

/** What the output of a complete batch tells: its checkpoint holds no records any more, so it cannot be made again. */
const countsOf = Effect.fnUntraced(function* (output: string, checkpoint: string, items: number) {
  let done = 0
  let cost = 0
  yield* Stream.runForEach(Output.records(output), (record) =>
    Effect.sync(() => {
      if (record.index === done) done += 1
      cost += record.cost ?? 0
    })
  )
  if (done === items) return { done, failed: 0, cost }
  const description = `is of a batch that was complete, and of its ${items} records ${output} has the first ${done}`
  return yield* failed(new CheckpointMismatch({ path: checkpoint, what: "output", description }))
})

/** An open batch. */
export interface Parts<A> {
  readonly options: OpenOptions<A>
  readonly checkpoint: Checkpoint.Checkpoint
  readonly fs: FileSystem.FileSystem
  readonly head: Checkpoint.Head
  readonly earlier: Counts
  readonly read: Read<A>
}

/** The checkpoint's head, checked against the input; of a batch that begins, a new one. */
const headOf = Effect.fnUntraced(function* <A>(
  checkpoint: Checkpoint.Checkpoint,
  { input, invalid = "refuse", output, resume = false }: OpenOptions<A>,
  read: Read<A>
) {
  const isThere = yield* hasContent(output)
  const old = yield* checkpoint.head
  // Who takes a complete output away wants it anew.
  const head = old?.isComplete === true && !isThere ? undefined : old
  if (head !== undefined && !resume) return yield* failed(new OutputExists({ path: checkpoint.path }))
  if (head === undefined && isThere) return yield* failed(new NoCheckpoint({ path: output }))
  const check = (entry: Entry): string | undefined => Result.getOrElse(Result.flip(read(entry)), () => undefined)
  // Items that were checked when the batch began are what they were.
  const known: Known = yield* scan(input, head === undefined && invalid === "refuse" ? check : undefined)
  if (head === undefined) {
    const fresh = {
      inputBytes: known.bytes,
      inputSha256: known.sha256,
      items: known.items,
      runId: randomUUID(),
      isComplete: false
    }
    yield* checkpoint.begin(fresh)
    return fresh
  }
  if (head.inputSha256 === known.sha256 && head.inputBytes === known.bytes) return head
  const description = `is of another input: of ${head.items} items in ${head.inputBytes} bytes, and ${input} has ${known.items} in ${known.bytes}, or the same ones changed`
  return yield* failed(new CheckpointMismatch({ path: checkpoint.path, what: "input", description }))
})

/** Opens the checkpoint, and takes it away again when the batch cannot begin. */
export const open = Effect.fnUntraced(function* <A>(
  options: OpenOptions<A>
): Effect.fn.Return<Parts<A>, BatchError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const { input, output, resume = false, retryFailed = false } = options
  yield* requireOutput(output)
  if (!resume && (yield* hasContent(output))) return yield* failed(new OutputExists({ path: output }))
  yield* requireFile(input)
  let isUseless = false
  const isNew = !(yield* Effect.orElseSucceed(fs.exists(Checkpoint.pathOf(output)), () => true))
  yield* Effect.addFinalizer(() =>
    isUseless ? Effect.ignore(fs.remove(Checkpoint.pathOf(output), { force: true })) : Effect.void
  )
  const checkpoint = yield* Checkpoint.open(output)
  // Another program's database of that name is empty for us, too.
  isUseless = isNew && (yield* checkpoint.head) === undefined
  const read = reader(options.item)
  const head = yield* headOf(checkpoint, options, read)
  isUseless = false
  if (resume && retryFailed) yield* checkpoint.forgetFailures
  const earlier = head.isComplete ? yield* countsOf(output, checkpoint.path, head.items) : yield* checkpoint.counts
  return { options, checkpoint, fs, head, earlier, read }
})

/** Reads a record of the checkpoint, which holds what this program has printed. */
const reread = (line: string): Effect.Effect<BatchRecord.BatchRecord> =>
  Result.match(BatchRecord.parse(line), {
    onFailure: (why) => Effect.die(new Error(why)),
    onSuccess: Effect.succeed
  })

/** What every item of one run needs. */
class FileRun<A, B, E, R> {
  private readonly parts: Parts<A>
  private readonly plan: Plan<A, B, E, R>
  private readonly options: FileOptions<A, B, E>
  private readonly stopper = new Stopper<E>()
  /** The lines of items that others may be equal to, while they are worked on; afterwards the checkpoint has them. */
  private readonly underWay = new Map<string, Deferred.Deferred<string>>()
  worked = 0

  constructor(parts: Parts<A>, plan: Plan<A, B, E, R>, options: FileOptions<A, B, E>) {
    this.parts = parts
    this.plan = plan
    this.options = options
  }

  /** The line of the record of an item, which is kept when this returns. */
  readonly settle = (entry: Entry): Effect.Effect<string, BatchError | E, R> =>
    Effect.flatMap(this.parts.checkpoint.line(entry.index), (line) =>
      line === undefined ? this.settleNew(entry) : Effect.succeed(line)
    )

  private settleNew(entry: Entry): Effect.Effect<string, BatchError | E, R> {
    const { checkpoint, head, options, read } = this.parts
    const { index } = entry
    const item = read(entry)
    if (Result.isFailure(item))
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const message = `${options.input}:${entry.line}: ${item.failure}`
        return this.keep(refusal({ index, id: undefined }, now, { code: "InvalidItem", message, isRetryable: false }))
      })
    return Effect.flatMap(checkpoint.roundOf(index), (round) => {
      // Servers remember the answer to a key, a failure as well: who tries again wants another one.
      const idempotencyKey = `${head.runId}-${index}${round === 0 ? "" : `-${round}`}`
      const context = { index, id: this.options.id?.(item.success), idempotencyKey }
      const equalBy = this.options.equalBy?.(item.success)
      return equalBy === undefined
        ? this.ask(item.success, context)
        : this.askOnce(item.success, context, createHash("sha256").update(equalBy).digest("base64url"))
    })
  }

  private askOnce(item: A, context: Context, key: string): Effect.Effect<string, BatchError | E, R> {
    const copy = (line: string): Effect.Effect<string, BatchError> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.flatMap(reread(line), (record) => this.keep(copyOf(record, context, now)))
      )
    return Effect.suspend(() => {
      const first = this.underWay.get(key)
      if (first !== undefined) return Effect.flatMap(Deferred.await(first), copy)
      const own = Deferred.makeUnsafe<string>()
      // Before the checkpoint is asked: a first one that ends between the two looks would be seen in neither.
      this.underWay.set(key, own)
      return Effect.flatMap(this.parts.checkpoint.lineOf(key), (line) =>
        line === undefined ? this.ask(item, context, key) : copy(line)
      ).pipe(
        Effect.tap((line) => Deferred.succeed(own, line)),
        Effect.ensuring(Effect.sync(() => this.underWay.delete(key)))
      )
    })
  }

  private ask(item: A, context: Context, key?: string): Effect.Effect<string, BatchError | E, R> {
    const { isFatal } = this.options
    const once = Effect.uninterruptibleMask((restore) =>
      // An answer that has come is kept, whoever interrupts.
      Effect.flatMap(restore(workOn(this.plan, item, context)), ({ record, result }) => {
        if (Result.isFailure(result) && isFatal?.(result.failure) === true) {
          this.stopper.stop(result.failure)
          return Effect.undefined
        }
        this.worked += 1
        return this.keep(record, key)
      })
    )
    return this.stopper.guard(once)
  }

  private keep(record: BatchRecord.BatchRecord, key?: string): Effect.Effect<string, BatchError> {
    const { cost, index } = record
    const printed = Result.try(() => BatchRecord.print(record))
    if (Result.isFailure(printed)) {
      const message = `the result cannot be written as JSON: ${String(printed.failure)}`
      const { attempts, durationMillis, startMillis, usage } = record
      const told = refusal(record, startMillis, { code: "InvalidResult", message, isRetryable: false })
      return this.keep({ ...told, attempts, usage, cost, durationMillis }, key)
    }
    const line = printed.success
    const kept = this.parts.checkpoint.keep({ index, isFailed: record.outcome === "failed", key, cost, line })
    return Effect.as(Effect.andThen(kept, this.options.onRecord?.(record, false) ?? Effect.void), line)
  }
}

/** Works on what is not recorded, and writes all records in their order. */
export const run = Effect.fnUntraced(function* <A, B, E, R>(
  parts: Parts<A>,
  plan: Plan<A, B, E, R>,
  options: FileOptions<A, B, E> & Bounds
): Effect.fn.Return<Summary, BatchError | E, R | Scope.Scope> {
  const { checkpoint, fs, head } = parts
  const { onRecord } = options
  const { input, output: path } = parts.options
  const here = Effect.provideService(FileSystem.FileSystem, fs)
  // It may have been completed by an earlier run of the same open batch.
  if ((yield* checkpoint.head)?.isComplete === true) {
    if (onRecord !== undefined) yield* here(Stream.runForEach(Output.records(path), (record) => onRecord(record, true)))
    const counts = yield* here(countsOf(path, checkpoint.path, head.items))
    return { ...counts, items: head.items, worked: 0 }
  }
  const output = yield* here(Output.open(path, checkpoint.line))
  if (onRecord !== undefined)
    yield* Stream.runForEach(checkpoint.lines, (line) =>
      Effect.flatMap(reread(line), (record) => onRecord(record, true))
    )
  const one = new FileRun(parts, plan, options)
  const left = entries(input).pipe(Stream.take(head.items), Stream.drop(output.records))
  yield* here(Stream.runForEach(inOrder(left, one.settle, options), output.append))
  yield* output.sync
  const counts = yield* checkpoint.counts
  if (counts.done + counts.failed < head.items)
    return yield* failed(new InputUnreadable({ path: input, description: "it has become shorter while it was read" }))
  if (counts.failed === 0 && counts.done === head.items) yield* checkpoint.complete
  return { ...counts, items: head.items, worked: one.worked }
})
