import { assert, describe, it } from "@effect/vitest"
import { absolute, Refusal } from "../../src/sandbox/internal/guestFiles.ts"
import { MemoryFiles } from "../../src/sandbox/internal/memoryFiles.ts"

const make = (fileBytes = 1000, fileCount = 10) => new MemoryFiles({ fileBytes, fileCount }, () => 7)
const bytes = (size: number) => new Uint8Array(size)

const code = (f: () => unknown): string => {
  try {
    f()
    return "none"
  } catch (error) {
    assert.instanceOf(error, Refusal)
    return error.code
  }
}

describe("memoryFiles", () => {
  it("bounds bytes, and gives back what is removed or written over", () => {
    const files = make()
    files.create("/tmp/a", bytes(900))
    assert.strictEqual(
      code(() => files.create("/tmp/b", bytes(200))),
      "ENOSPC"
    )
    files.create("/tmp/a", bytes(100))
    files.create("/tmp/b", bytes(900))
    files.remove("/tmp/b")
    for (let at = 0; at < 800; at += 100) files.append("/tmp/a", bytes(100))
    assert.strictEqual(
      code(() => files.append("/tmp/a", bytes(200))),
      "ENOSPC"
    )
    assert.strictEqual(files.info("/tmp/a").bytes, 900)
    files.remove("/tmp")
    files.folder("/tmp")
    files.create("/tmp/c", bytes(1000))
  })

  it("bounds the number of files and folders, and the length of names and paths", () => {
    const files = make(1000, 3)
    for (const name of ["a", "b", "c"]) files.makeFolder(`/tmp/${name}`)
    assert.strictEqual(
      code(() => files.makeFolder("/tmp/d")),
      "ENOSPC"
    )
    files.remove("/tmp/a")
    assert.strictEqual(
      code(() => files.create(`/tmp/${"x".repeat(256)}`, bytes(0))),
      "ENAMETOOLONG"
    )
    assert.strictEqual(
      code(() => files.folder("/tmp/b".repeat(2000))),
      "ENAMETOOLONG"
    )
    files.create(`/tmp/${"x".repeat(255)}`, bytes(1))
  })

  it("renames as POSIX does", () => {
    const files = make()
    files.create("/tmp/a", bytes(1))
    files.create("/tmp/b", bytes(2))
    files.folder("/tmp/full/in")
    files.rename("/tmp/a", "/tmp/b")
    assert.strictEqual(files.info("/tmp/b").bytes, 1)
    assert.strictEqual(
      code(() => files.info("/tmp/a")),
      "ENOENT"
    )
    assert.strictEqual(
      code(() => files.rename("/tmp/none", "/tmp/c")),
      "ENOENT"
    )
    assert.strictEqual(
      code(() => files.rename("/tmp/b", "/tmp/full")),
      "EISDIR"
    )
    assert.strictEqual(
      code(() => files.rename("/tmp/full", "/tmp/b")),
      "ENOTDIR"
    )
    assert.strictEqual(
      code(() => files.rename("/tmp/full", "/tmp/full/in/deeper")),
      "EINVAL"
    )
    files.makeFolder("/tmp/other")
    assert.strictEqual(
      code(() => files.rename("/tmp/other", "/tmp/full")),
      "ENOTEMPTY"
    )
    files.rename("/tmp/full", "/tmp/other")
    assert.deepStrictEqual(
      files.list("/tmp/other").map((entry) => entry.name),
      ["in"]
    )
    assert.strictEqual(
      code(() => files.remove("/")),
      "EPERM"
    )
  })

  it("stamps each change anew", () => {
    const files = make()
    const stamp = () => files.list("/tmp")[0]?.stamp ?? 0
    files.create("/tmp/a", bytes(1))
    const made = stamp()
    assert.isAbove(made, 0)
    files.append("/tmp/a", bytes(1))
    const appended = stamp()
    assert.isAbove(appended, made)
    files.create("/tmp/a", bytes(2))
    assert.isAbove(stamp(), appended)
  })

  it("keeps names that are keys of every object", () => {
    const files = make()
    for (const name of ["__proto__", "constructor", "toString"]) files.create(`/tmp/${name}`, bytes(1))
    assert.strictEqual(files.list("/tmp").length, 3)
    assert.strictEqual(files.exists("/tmp/hasOwnProperty"), false)
    assert.strictEqual(Reflect.get({}, "contents"), undefined)
  })

  it.each([
    ["a", "/home/user/a"],
    ["/a/../b/./c//", "/b/c"],
    ["../../../../etc/passwd", "/etc/passwd"],
    ["", "/home/user"],
    ["/..", "/"]
  ])("finds %s at %s", (path, expected) => {
    assert.strictEqual(absolute(path), expected)
  })
})
