/** Each example runs as a reader runs it, and prints what its `// Output:` block says. */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { Semaphore } from "effect"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { listFiles } from "./listFiles.ts"

/** The lines of the comment that ends the file. */
const expectedOutput = (text: string): string | undefined =>
  /(?:^|\n)\/\/ Output:\n((?:\/\/.*(?:\n|$))+)\s*$/
    .exec(text)?.[1]
    ?.replace(/^\/\/ ?/gm, "")
    .trimEnd()

interface Result {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** Without keys in the environment: an example works offline. */
const run = (file: string): Promise<Result> =>
  new Promise((resolve) => {
    const { HOME, NODE_COMPILE_CACHE, PATH } = process.env
    const env = { PATH, HOME, NODE_COMPILE_CACHE, TMPDIR: tmpdir(), NO_COLOR: "1" }
    const options = { env, timeout: 60_000 }
    const child = execFile(process.execPath, ["--conditions=holdfast-source", file], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? "killed"), stdout, stderr })
    )
    child.stdin?.end()
  })

const cores = Semaphore.makeUnsafe(Math.min(4, availableParallelism()))
const runInTurn = (file: string): Promise<Result> =>
  Effect.runPromise(cores.withPermit(Effect.promise(() => run(file))))

describe.concurrent("examples", () => {
  for (const file of listFiles("examples", ".ts")) {
    it(file, { timeout: 300_000 }, async () => {
      const expected = expectedOutput(readFileSync(file, "utf8"))
      expect(expected, "the file ends with `// Output:` and the lines that it prints").toBeDefined()
      const result = await runInTurn(file)
      expect(result.code, result.stderr).toBe(0)
      expect(result.stdout.trimEnd()).toBe(expected)
    })
  }

  it("reads the trailing Output block", () => {
    expect(expectedOutput('console.log("a\\n\\n b")\n// Output:\n// a\n//\n//  b\n')).toBe("a\n\n b")
    expect(expectedOutput('// Output:\n// a\nconsole.log("a")\n')).toBeUndefined()
  })
})
