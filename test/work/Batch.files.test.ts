import { spawnSync } from "node:child_process"
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema } from "effect"
import { Batch, BatchError, type BatchRecord } from "holdfast/work"

const root = mkdtempSync(join(tmpdir(), "holdfast-batch-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const Item = Schema.Struct({ n: Schema.Number })
type Item = typeof Item.Type

let folders = 0

/** A new folder with an input of this text, or of as many items. */
const filesOf = (content: string | number, folder = join(root, String(folders++))) => {
  mkdirSync(folder, { recursive: true })
  const text =
    typeof content === "string" ? content : Array.from({ length: content }, (_, n) => `{"n":${n}}\n`).join("")
  writeFileSync(join(folder, "in.jsonl"), text)
  return { folder, input: join(folder, "in.jsonl"), output: join(folder, "out.jsonl") }
}

interface Paths {
  readonly input: string
  readonly output: string
}

type Work<E> = (item: Item, context: Batch.Context) => Effect.Effect<unknown, E>

/** Opens and runs a batch. */
const runBatch = <E = never>(
  { input, output }: Paths,
  work: Work<E>,
  options: Partial<Batch.OpenOptions<Item>> & Batch.FileOptions<Item, unknown, E> = {}
) =>
  Effect.flatMap(Batch.open({ input, output, item: Item, ...options }), (batch) => batch.run(work, options)).pipe(
    Effect.scoped,
    Effect.provide(NodeFileSystem.layer)
  )

const double: Work<never> = ({ n }) => Effect.succeed(n * 2)

const read = (output: string): ReadonlyArray<BatchRecord.BatchRecord> =>
  readFileSync(output, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

const valuesOf = (output: string) =>
  read(output).map((record) => [record.index, record.outcome === "done" ? record.value : record.error.code])

/** The reason of a batch that cannot be opened or run. */
const reasonOf = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), (error) => {
    assert.isTrue(BatchError.BatchError.isInstance(error), String(error))
    return BatchError.BatchError.isInstance(error) ? error.reason : assert.fail()
  })

describe("Batch.open", () => {
  it.effect("writes a record for each item in their order, and is complete for ever after", () =>
    Effect.gen(function* () {
      const paths = filesOf('{"n":0}\r\n\n  \n{"n":1}\n{"n":2}')
      const work: Work<string> = ({ n }) => (n === 1 ? Effect.fail("odd") : Effect.succeed(n * 2))
      const summary = yield* runBatch(paths, work)
      assert.deepStrictEqual(summary, { items: 3, done: 2, failed: 1, cost: 0, worked: 3 })
      assert.deepStrictEqual(valuesOf(paths.output), [
        [0, 0],
        [1, "Error"],
        [2, 4]
      ])
      const told: Array<string> = []
      const onRecord = ({ index }: BatchRecord.BatchRecord, isEarlier: boolean) =>
        Effect.sync(() => void told.push(`${index} ${isEarlier}`))
      const again = { resume: true, retryFailed: true, onRecord }
      assert.strictEqual((yield* runBatch(paths, double, again)).worked, 1)
      assert.deepStrictEqual(told, ["0 true", "2 true", "1 false"])
      assert.deepStrictEqual(valuesOf(paths.output), [
        [0, 0],
        [1, 2],
        [2, 4]
      ])
      told.length = 0
      assert.strictEqual((yield* runBatch(paths, double, again)).worked, 0)
      assert.deepStrictEqual(told, ["0 true", "1 true", "2 true"])
    })
  )

  it.effect("asks for nothing again that is recorded, and for what was under way with the same key", () =>
    Effect.gen(function* () {
      const paths = filesOf(10)
      const keys = new Map<number, string>()
      const reached = yield* Deferred.make<void>()
      // The first item and the last ones never end.
      const stuck: Work<never> = ({ n }, { idempotencyKey }) =>
        Effect.suspend(() => {
          keys.set(n, idempotencyKey)
          if (n === 8) Deferred.doneUnsafe(reached, Effect.void)
          return n === 0 || n > 6 ? Effect.never : Effect.succeed(n * 2)
        })
      const fiber = yield* Effect.forkChild(runBatch(paths, stuck, { concurrency: 3 }))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      // Nothing is in order yet; a line is torn as a kill tears it.
      assert.strictEqual(readFileSync(paths.output, "utf8"), "")
      appendFileSync(paths.output, '{"index":0,"outc')
      const asked: Array<number> = []
      const work: Work<never> = ({ n }, { idempotencyKey }) =>
        Effect.sync(() => {
          asked.push(n)
          if (keys.has(n)) assert.strictEqual(idempotencyKey, keys.get(n))
          return n * 2
        })
      const summary = yield* runBatch(paths, work, { resume: true })
      assert.deepStrictEqual(asked, [0, 7, 8, 9])
      assert.strictEqual(summary.worked, 4)
      assert.deepStrictEqual(
        valuesOf(paths.output),
        Array.from({ length: 10 }, (_, n) => [n, n * 2])
      )
    })
  )

  it.effect("makes an output whole again that was cut or changed in the middle", () =>
    Effect.gen(function* () {
      const paths = filesOf(6)
      const work: Work<string> = ({ n }) =>
        n === 5 ? Effect.fail("no") : double({ n }, { index: n, idempotencyKey: "" })
      yield* runBatch(paths, work)
      const whole = readFileSync(paths.output, "utf8")
      for (const spoil of [
        () => truncateSync(paths.output, whole.length / 2),
        () => writeFileSync(paths.output, whole.replace('"index":2', '"index":7')),
        () => rmSync(paths.output)
      ]) {
        spoil()
        assert.strictEqual((yield* runBatch(paths, work, { resume: true })).worked, 0)
        assert.strictEqual(readFileSync(paths.output, "utf8"), whole)
      }
    })
  )

  it.effect("asks again for failures under another key", () =>
    Effect.gen(function* () {
      const paths = filesOf(3)
      const keys: Array<string> = []
      const work: Work<string> = ({ n }, { idempotencyKey }) =>
        Effect.suspend(() => {
          keys.push(idempotencyKey)
          return n === 1 ? Effect.fail("no") : Effect.succeed(n)
        })
      yield* runBatch(paths, work)
      for (let round = 0; round < 2; round++)
        assert.strictEqual((yield* runBatch(paths, work, { resume: true, retryFailed: true })).worked, 1)
      assert.deepStrictEqual(
        keys.map((key) => key.slice(36)),
        ["-0", "-1", "-2", "-1-1", "-1-2"]
      )
    })
  )

  it.effect("answers equal items by the first of them, also of an earlier run", () =>
    Effect.gen(function* () {
      const paths = filesOf('{"n":1}\n{"n":2}\n{"n":1}\n{"n":1}\n{"n":2}\n')
      const asked: Array<number> = []
      const options = { equalBy: ({ n }: Item) => String(n), concurrency: 1, resume: true }
      const until =
        (last: number): Work<string> =>
        ({ n }, { index }) =>
          index >= last ? Effect.fail("stop") : Effect.sync(() => (asked.push(n), { times2: n * 2 }))
      const stop = { ...options, isFatal: (error: string) => error === "stop" }
      assert.strictEqual(yield* Effect.flip(runBatch(paths, until(1), stop)), "stop")
      yield* runBatch(paths, until(9), options)
      assert.deepStrictEqual(asked, [1, 2])
      assert.deepStrictEqual(
        read(paths.output).map((record) => [record.duplicateOf, record.outcome === "done" ? record.value : undefined]),
        [
          [undefined, { times2: 2 }],
          [undefined, { times2: 4 }],
          [0, { times2: 2 }],
          [0, { times2: 2 }],
          [1, { times2: 4 }]
        ]
      )
    })
  )

  it.effect("names the line that is no item, before anything is asked", () =>
    Effect.gen(function* () {
      const paths = filesOf('{"n":0}\n\n{"n":"x"}\n{"n":\n\ufffd')
      const reason = yield* reasonOf(runBatch(paths, () => Effect.die("asked")))
      assert.strictEqual(reason._tag, "InvalidItem")
      assert.match(reason.message, /in\.jsonl:3: Expected number.*\(and 2 more such lines\); nothing was asked yet$/)
      assert.deepStrictEqual(readdirSync(paths.folder), ["in.jsonl"])
      yield* runBatch(paths, double, { invalid: "record" })
      assert.deepStrictEqual(valuesOf(paths.output), [
        [0, 0],
        [1, "InvalidItem"],
        [2, "InvalidItem"],
        [3, "InvalidItem"]
      ])
    })
  )

  it.effect("records a result that is no JSON as a failure", () =>
    Effect.gen(function* () {
      const paths = filesOf(2)
      yield* runBatch(paths, ({ n }) => Effect.succeed(n === 0 ? 1n : undefined))
      assert.deepStrictEqual(valuesOf(paths.output), [
        [0, "InvalidResult"],
        [1, null]
      ])
    })
  )

  it.effect("lets a defect end the run, and resumes after it", () =>
    Effect.gen(function* () {
      const paths = filesOf(3)
      const exit = yield* Effect.exit(runBatch(paths, ({ n }) => (n === 1 ? Effect.die("bug") : Effect.succeed(n))))
      assert.isTrue(Exit.hasDies(exit))
      yield* runBatch(paths, double, { resume: true })
      assert.strictEqual(read(paths.output).length, 3)
    })
  )

  it.effect("does nothing in a second run of the same open batch, and lets it wait for the first", () =>
    Effect.gen(function* () {
      const paths = filesOf(3)
      const batch = yield* Batch.open({ ...paths, item: Item })
      const told: Array<number> = []
      const onRecord = ({ index }: BatchRecord.BatchRecord) => Effect.sync(() => void told.push(index))
      const runs = yield* Effect.all([batch.run(double), batch.run(() => Effect.die("asked"), { onRecord })], {
        concurrency: 2
      })
      assert.deepStrictEqual(
        runs.map(({ done, worked }) => [done, worked]),
        [
          [3, 3],
          [3, 0]
        ]
      )
      assert.deepStrictEqual(told, [0, 1, 2])
      assert.strictEqual(read(paths.output).length, 3)
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
  )

  it.effect("knows what a complete batch has done and cost", () =>
    Effect.gen(function* () {
      const paths = filesOf(2)
      yield* runBatch(paths, double, { describe: () => ({ cost: 0.5 }) })
      const batch = yield* Batch.open({ ...paths, item: Item, resume: true })
      assert.deepStrictEqual(batch.earlier, { done: 2, failed: 0, cost: 1 })
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
  )

  it.effect("takes an empty input for a batch that is done", () =>
    Effect.gen(function* () {
      const paths = filesOf("\n")
      assert.strictEqual((yield* runBatch(paths, double)).items, 0)
      assert.strictEqual(readFileSync(paths.output, "utf8"), "")
    })
  )
})

describe("Batch.open refuses", () => {
  const stopped = Effect.fnUntraced(function* (paths: Paths) {
    const work: Work<string> = ({ n }) => (n === 1 ? Effect.fail("stop") : Effect.succeed(n))
    yield* Effect.flip(runBatch(paths, work, { isFatal: () => true, concurrency: 1 }))
  })

  it.effect("an output that is there, and a checkpoint without `resume`", () =>
    Effect.gen(function* () {
      const paths = filesOf(2)
      writeFileSync(paths.output, "mine\n")
      assert.strictEqual((yield* reasonOf(runBatch(paths, double)))._tag, "OutputExists")
      assert.strictEqual((yield* reasonOf(runBatch(paths, double, { resume: true })))._tag, "NoCheckpoint")
      assert.strictEqual(readFileSync(paths.output, "utf8"), "mine\n")
      assert.sameMembers(readdirSync(paths.folder), ["in.jsonl", "out.jsonl"])
      rmSync(paths.output)
      yield* stopped(paths)
      rmSync(paths.output)
      const reason = yield* reasonOf(runBatch(paths, double))
      assert.match(reason.message, /out\.jsonl\.checkpoint is there already; resume its batch/)
    })
  )

  it.effect("a complete batch whose output is no longer whole, until that is back", () =>
    Effect.gen(function* () {
      const paths = filesOf(3)
      yield* runBatch(paths, double)
      const whole = readFileSync(paths.output, "utf8")
      for (const spoiled of [whole.slice(0, 90), whole.replace('"index":1', '"index":7')]) {
        writeFileSync(paths.output, spoiled)
        const reason = yield* reasonOf(runBatch(paths, () => Effect.die("asked"), { resume: true }))
        assert.deepInclude(reason, { _tag: "CheckpointMismatch", what: "output" })
        assert.include(reason.message, `of its 3 records ${paths.output} has the first`)
        assert.strictEqual(readFileSync(paths.output, "utf8"), spoiled)
      }
      writeFileSync(paths.output, whole)
      assert.strictEqual((yield* runBatch(paths, double, { resume: true })).worked, 0)
    })
  )

  it.effect("a database of another program in the place of its checkpoint, which stays", () =>
    Effect.gen(function* () {
      const paths = filesOf("no item\n")
      const database = new DatabaseSync(`${paths.output}.checkpoint`)
      database.exec("CREATE TABLE mine (a INTEGER); INSERT INTO mine VALUES (1)")
      database.close()
      assert.strictEqual((yield* reasonOf(runBatch(paths, double)))._tag, "InvalidItem")
      assert.include(readdirSync(paths.folder), "out.jsonl.checkpoint")
    })
  )

  it.effect("a checkpoint of another input, of another version, and one that is none", () =>
    Effect.gen(function* () {
      const paths = filesOf(3)
      yield* stopped(paths)
      writeFileSync(paths.input, '{"n":0}\n{"n":1}\n{"n":3}\n')
      const other = yield* reasonOf(runBatch(paths, double, { resume: true }))
      assert.deepInclude(other, { _tag: "CheckpointMismatch", what: "input" })
      assert.include(other.message, "is of another input: of 3 items in 24 bytes")
      filesOf(3, paths.folder)
      const database = new DatabaseSync(`${paths.output}.checkpoint`)
      database.exec("UPDATE head SET format = 99")
      database.close()
      const version = yield* reasonOf(runBatch(paths, double, { resume: true }))
      assert.deepInclude(version, { _tag: "CheckpointMismatch", what: "version" })
      writeFileSync(`${paths.output}.checkpoint`, "no database ".repeat(1000))
      const none = yield* reasonOf(runBatch(paths, double, { resume: true }))
      assert.deepInclude(none, { _tag: "CheckpointMismatch", what: "format" })
      assert.include(readFileSync(`${paths.output}.checkpoint`, "utf8"), "no database")
    })
  )

  it.effect("an output that another run writes, until that one ends", () =>
    Effect.gen(function* () {
      const paths = filesOf(2)
      const begun = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(
        runBatch(paths, () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      )
      yield* Deferred.await(begun)
      for (const resume of [false, true]) {
        const reason = yield* reasonOf(runBatch(paths, double, { resume }))
        assert.deepInclude(reason, { _tag: "Locked", path: paths.output, isRetryable: true })
      }
      yield* Fiber.interrupt(first)
      assert.strictEqual((yield* runBatch(paths, double, { resume: true })).done, 2)
    })
  )

  it.effect("what is no file, or is not there", () =>
    Effect.gen(function* () {
      const { folder, input, output } = filesOf(1)
      const to = (paths: Paths) => Effect.map(reasonOf(runBatch(paths, double)), ({ message }) => message)
      assert.include(yield* to({ input: join(folder, "no.jsonl"), output }), "no.jsonl: there is no such file")
      assert.include(yield* to({ input: folder, output }), "it is no file but a folder")
      assert.include(yield* to({ input: "/dev/null", output }), "it is no regular file")
      assert.include(yield* to({ input, output: join(folder, "no/out.jsonl") }), "there is no such folder")
      mkdirSync(join(folder, "out"))
      assert.include(yield* to({ input, output: join(folder, "out") }), "out is there already and is no file")
      assert.include(
        yield* to({ input, output: "/dev/null" }),
        "/dev/null is there already and is no file; name another"
      )
      assert.isFalse(existsSync("/dev/null.checkpoint"))
    })
  )
})

/** A disk of 256 KiB, where this user may have one. */
const smallDisk = (): string | undefined => {
  const folder = join(root, "disk")
  mkdirSync(folder)
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", folder])
  if (status === 0) return folder
  process.stderr.write("SKIPPED: a batch on a full disk, which only root can make\n")
  return undefined
}

describe("a batch on a full disk", () => {
  const disk = smallDisk()
  afterAll(() => void (disk === undefined || spawnSync("umount", ["-l", disk])))

  it.effect.skipIf(disk === undefined)("says so, keeps what it has, and goes on when there is space", () =>
    Effect.gen(function* () {
      const paths = filesOf(400, disk)
      const asked: Array<number> = []
      const work: Work<never> = ({ n }) => Effect.sync(() => (asked.push(n), "x".repeat(1000)))
      const reason = yield* reasonOf(runBatch(paths, work))
      assert.strictEqual(reason._tag, "StorageFailed")
      assert.match(reason.message, /: the disk is full; what is recorded is kept/)
      spawnSync("mount", ["-o", "remount,size=4m", disk ?? ""])
      const database = new DatabaseSync(`${paths.output}.checkpoint`)
      const recorded = Number(database.prepare("SELECT COUNT(*) AS n FROM record").get()?.["n"])
      database.close()
      assert.isAtLeast(recorded, 10)
      assert.isBelow(recorded, 400)
      asked.length = 0
      const summary = yield* runBatch(paths, work, { resume: true })
      assert.strictEqual(summary.done, 400)
      assert.strictEqual(asked.length, 400 - recorded)
      assert.deepStrictEqual(
        valuesOf(paths.output),
        Array.from({ length: 400 }, (_, n) => [n, "x".repeat(1000)])
      )
    })
  )
})
