/** The memory of a booted Python in the user's cache folder. Only in the soak: each of these boots without it, slowly. */
import { chmodSync, mkdtempSync, readdirSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

describe("LocalSandbox snapshot", () => {
  const run = (cacheDir: string) =>
    // Without its snapshot Python takes seconds to boot, and half a minute where everybody wants the machine.
    Sandbox.runCode("6 * 7", { createTimeout: "2 minutes" }).pipe(
      Effect.provide(LocalSandbox.layer({ pool: { python: 0 }, cacheDir })),
      Effect.map((run) => run.results[0]?.["text/plain"])
    )

  it.live(
    "is made once, used again, and made anew when it is corrupt; others go when they are old",
    () =>
      Effect.gen(function* () {
        const folder = mkdtempSync(join(tmpdir(), "holdfast-cache-"))
        const files = ["python-1-old.snapshot", "half.tmp", "python-1-new.snapshot", "others.txt"]
        for (const name of files) writeFileSync(join(folder, name), "")
        for (const name of files.slice(0, 2)) utimesSync(join(folder, name), 1, 1)
        assert.strictEqual(yield* run(folder), "42")
        const [made, ...others] = readdirSync(folder).filter((name) => !files.slice(2).includes(name))
        assert.deepStrictEqual(others, [])
        assert.isDefined(made)
        truncateSync(join(folder, made ?? ""), 1000)
        assert.strictEqual(yield* run(folder), "42")
        assert.strictEqual(readdirSync(folder).length, 3)
        rmSync(folder, { recursive: true })
      }),
    180_000
  )

  it.live(
    "is not used from a folder that others may write, nor needed",
    () =>
      Effect.gen(function* () {
        const folder = mkdtempSync(join(tmpdir(), "holdfast-cache-"))
        chmodSync(folder, 0o777)
        assert.strictEqual(yield* run(folder), "42")
        assert.deepStrictEqual(readdirSync(folder), [])
        rmSync(folder, { recursive: true })
        // A file where the folder should be: it can be neither read nor made.
        writeFileSync(folder, "")
        assert.strictEqual(yield* run(folder), "42")
        rmSync(folder)
      }),
    180_000
  )
})
