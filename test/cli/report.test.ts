/** `holdfast report`: the file it reads, the file it writes, and what it says when it can do neither. */
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import { Effect, FileSystem, Layer, PlatformError, Stream } from "effect"
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import * as Report from "../../src/cli/internal/report.ts"
import { four, linesOf, many } from "../fixtures/batchRecords.ts"
import { files, holdfast } from "./program.ts"

type Asked = Parameters<typeof Report.write>[0]

const write = (asked: Asked, layer: Layer.Layer<FileSystem.FileSystem> = NodeFileSystem.layer) =>
  Effect.runPromise(Effect.provide(Report.write(asked), layer))

/** The message of the failure. */
const refusal = (asked: Asked, layer: Layer.Layer<FileSystem.FileSystem> = NodeFileSystem.layer): Promise<string> =>
  Effect.runPromise(Effect.provide(Effect.flip(Report.write(asked)).pipe(Effect.map(({ message }) => message)), layer))

const given = (text: string) => {
  const paths = files({ "out.jsonl": text })
  return { records: paths["out.jsonl"], report: join(paths.directory, "report.html"), directory: paths.directory }
}

describe("holdfast report", { timeout: 60_000 }, () => {
  it("makes a page of a batch's output and ends with 0, and with 2 and one line where there is none", async () => {
    const { directory, records } = given(linesOf(four))
    const { code, stdout, stderr } = await holdfast(["report", records])
    assert.deepStrictEqual([code, stdout, stderr], [0, `${directory}/out.html: 4 items\n`, ""])
    assert.match(readFileSync(join(directory, "out.html"), "utf8"), /^<!doctype html>[^]*<\/html>\s*$/)
    const missing = await holdfast(["report", join(directory, "none.jsonl"), "--out", join(directory, "none.html")])
    assert.strictEqual(missing.code, 2)
    assert.match(missing.stderr, /^holdfast: cannot read .*none\.jsonl: there is no such file; check the path\n$/)
    assert.deepStrictEqual(readdirSync(directory).sort(), ["out.html", "out.jsonl"])
  })

  it.each([
    ["an empty file", "", /out\.jsonl holds no records; run the batch first$/],
    [
      "another text",
      `${linesOf(four)}hello\n`,
      /out\.jsonl:5: not a record of a batch: .*; name the output of holdfast batch$/
    ],
    ["another JSON", '{"index":0}\n', /out\.jsonl:1: not a record of a batch: /],
    ["a last line that is no record", `${linesOf(four)}{"index":4}`, /out\.jsonl:5: not a record of a batch: /],
    ["a first line that is cut off", '{"index":0,"outc', /out\.jsonl holds no whole record; /],
    [
      "a number beyond all bounds",
      linesOf(four).replace(`"durationMillis":1000`, `"durationMillis":1e999`),
      /out\.jsonl:1: not a record of a batch: /
    ],
    [
      "a time before all times",
      linesOf(four).replace(`"durationMillis":100,`, `"durationMillis":-100,`),
      /out\.jsonl:1: not a record of a batch: /
    ]
  ])("names the line of %s, and leaves no page", async (_, text, message) => {
    const { directory, records, report } = given(text)
    const said = await refusal({ records, report })
    assert.match(said, message)
    assert.isBelow(said.length, 600)
    assert.deepStrictEqual(readdirSync(directory), ["out.jsonl"])
  })

  it("does not fill the memory with a line that has no end", async () => {
    const { records, report } = given("")
    const endless = Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (fs) => ({
        ...fs,
        stream: (path, options) =>
          path === records ? Stream.forever(Stream.succeed(new Uint8Array(2 ** 20).fill(65))) : fs.stream(path, options)
      }))
    ).pipe(Layer.provide(NodeFileSystem.layer))
    assert.match(
      await refusal({ records, report }, endless),
      /out\.jsonl:1: the line is longer than 64 MiB; name the output/
    )
  })

  it("leaves a last line out that is cut off, and says so", async () => {
    const text = linesOf(four)
    const { records, report } = given(text.slice(0, -40))
    assert.deepStrictEqual(await write({ records, report }), { items: 3, isTorn: true })
    assert.include(readFileSync(report, "utf8"), "The last line of the file was cut off and is left out.")
  })

  it("counts a last line that misses its line end alone, blank lines and Windows' line ends", async () => {
    const { records, report } = given(`\ufeff${linesOf(four).trimEnd().replaceAll("\n", "\r\n\r\n")}`)
    assert.deepStrictEqual(await write({ records, report }), { items: 4, isTorn: false })
  })

  it.each([
    ["a directory that is not there", "none/report.html", /cannot write .*: there is no such directory; name a file/],
    ["a directory", ".", /cannot write .*: it is no file; name a file/],
    ["the records themselves", "out.jsonl", /^the report would replace the records, .*; name another file$/],
    [
      "a file that is no page",
      "notes.txt",
      /notes\.txt is there and is no page; name another file for the report, or remove/
    ],
    ["a link to the records", "link.html", /^the report would replace the records, /]
  ])("refuses to write to %s, at the start of a batch too", async (_, name, message) => {
    const { directory, records } = given(linesOf(four))
    symlinkSync(records, join(directory, "link.html"))
    writeFileSync(join(directory, "notes.txt"), "notes")
    const asked = { records, report: join(directory, name) }
    assert.match(await refusal(asked), message)
    const checked = Effect.flip(Report.check(asked)).pipe(Effect.map(({ message }) => message))
    assert.match(await Effect.runPromise(Effect.provide(checked, NodeFileSystem.layer)), message)
    assert.strictEqual(readFileSync(records, "utf8"), linesOf(four))
    assert.deepStrictEqual(readdirSync(directory).sort(), ["link.html", "notes.txt", "out.jsonl"])
    assert.strictEqual(readFileSync(join(directory, "notes.txt"), "utf8"), "notes")
  })

  it("does not replace a device", async () => {
    const { records } = given(linesOf(four))
    assert.match(await refusal({ records, report: "/dev/null" }), /cannot write \/dev\/null: it is no file/)
    assert.isTrue(statSync("/dev/null").isCharacterDevice())
  })

  it("leaves the page before as it is when the disk is full, and nothing beside it", async () => {
    const { directory, records, report } = given(linesOf(four))
    writeFileSync(report, "<!doctype html>the page before")
    const full = Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (fs) => ({
        ...fs,
        writeFileString: (path, data, options) =>
          data === ""
            ? fs.writeFileString(path, data, options)
            : Effect.andThen(
                // As much as there was place for.
                fs.writeFileString(path, data.slice(0, 1000), options),
                Effect.fail(
                  PlatformError.systemError({
                    _tag: "Unknown",
                    module: "FileSystem",
                    method: "writeFile",
                    description: "ENOSPC: no space left on device"
                  })
                )
              )
      }))
    ).pipe(Layer.provide(NodeFileSystem.layer))
    assert.match(await refusal({ records, report }, full), /cannot write .*report\.html: .*no space left on device/)
    assert.strictEqual(readFileSync(report, "utf8"), "<!doctype html>the page before")
    assert.deepStrictEqual(readdirSync(directory).sort(), ["out.jsonl", "report.html"])
  })

  it("checks without a trace, and writes through a link", async () => {
    const { directory, records, report } = given(linesOf(many(20)))
    await Effect.runPromise(Effect.provide(Report.check({ records, report }), NodeFileSystem.layer))
    assert.isFalse(existsSync(report))
    writeFileSync(join(directory, "real.html"), "")
    symlinkSync(join(directory, "real.html"), report)
    assert.deepStrictEqual(await write({ records, report, total: 20 }), { items: 20, isTorn: false })
    assert.match(readFileSync(join(directory, "real.html"), "utf8"), /^<!doctype html>/)
    assert.deepStrictEqual(readdirSync(directory).sort(), ["out.jsonl", "real.html", "report.html"])
  })
})
