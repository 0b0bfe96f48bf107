/** Each example prints what its `// Output:` block says. */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { Semaphore } from "effect"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { isWhole } from "../soak/scale.ts"
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
const node = (args: ReadonlyArray<string>, timeout: number): Promise<Result> =>
  new Promise((resolve) => {
    const { HOME, NODE_COMPILE_CACHE, PATH } = process.env
    const env = { PATH, HOME, NODE_COMPILE_CACHE, TMPDIR: tmpdir(), NO_COLOR: "1" }
    const options = { env, timeout, maxBuffer: 1 << 26 }
    const given = ["--conditions=holdfast-source", ...args]
    const child = execFile(process.execPath, given, options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? "killed"), stdout, stderr })
    )
    child.stdin?.end()
  })

/** Signals, threads, metrics: what an example does to its process, it does to one of its own. */
const needsAProcess = (text: string): boolean => /\bprocess\.|Shutdown|serve\(|holdfast\/sync|Metric/.test(text)

/** Runs until a signal ends it: `servers.test.ts` starts and calls these. */
const isServer = (file: string): boolean => file.startsWith("examples/serve-a-chat-with-")

const files = listFiles("examples", ".ts")
  .filter((file) => !isServer(file))
  .map((file) => ({ file, text: readFileSync(file, "utf8") }))

// As a reader runs it, each in a process of its own: where there is time for that.
const isAlone = ({ text }: { readonly text: string }): boolean => isWhole || needsAProcess(text)
const together = files.filter((one) => !isAlone(one)).map(({ file }) => file)

/** Two processes share the others, every second one each. */
const shares = [0, 1].map((share) => together.filter((_, index) => index % 2 === share))
const batches = shares.map(async (share): Promise<ReadonlyMap<string, Result>> => {
  const { stderr, stdout } = await node(["test/repo/runExamples.ts", ...share], 280_000)
  const results = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line): { file: string; stdout: string; error?: string } => JSON.parse(line))
  return new Map(
    results.map(({ error, file, stdout }) => [
      file,
      { code: error === undefined ? 0 : 1, stdout, stderr: error ?? stderr }
    ])
  )
})

const cores = Semaphore.makeUnsafe(2)
const inTurn = (file: string): Promise<Result> =>
  Effect.runPromise(cores.withPermit(Effect.promise(() => node([file], 60_000))))

const runOf = async (file: string): Promise<Result> => {
  const share = shares.findIndex((share) => share.includes(file))
  if (share < 0) return inTurn(file)
  const result = (await batches[share])?.get(file)
  return result ?? { code: "missing", stdout: "", stderr: "an example before it ended the process" }
}

describe.concurrent("examples", () => {
  for (const { file, text } of files) {
    it(file, { timeout: 300_000 }, async () => {
      const expected = expectedOutput(text)
      expect(expected, "the file ends with `// Output:` and the lines that it prints").toBeDefined()
      const result = await runOf(file)
      expect(result.code, result.stderr).toBe(0)
      expect(result.stdout.trimEnd()).toBe(expected)
    })
  }

  it("reads the trailing Output block", () => {
    expect(expectedOutput('console.log("a\\n\\n b")\n// Output:\n// a\n//\n//  b\n')).toBe("a\n\n b")
    expect(expectedOutput('// Output:\n// a\nconsole.log("a")\n')).toBeUndefined()
  })
})
