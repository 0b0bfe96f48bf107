/** HumanEval through the program: the right answers pass, wrong ones do not, endless ones end, and nothing is left. */
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"
import { descendants, type Ended, files, isAlive, lines, start } from "../cli/program.ts"
import { atScale } from "./scale.ts"

const dataset = fileURLToPath(new URL("../../../shared/data/HumanEval.jsonl", import.meta.url))
const isHere = existsSync(dataset)
if (!isHere) {
  // A user's clone does not have the data; the project's own CI does.
  if (process.env.CI !== undefined) throw new Error(`${dataset} is missing`)
  process.stderr.write("SKIPPED: HumanEval is not beside this checkout, so no soak of it is run\n")
}

interface Problem {
  readonly task_id: string
  readonly canonical_solution: string
}

const problems: ReadonlyArray<Problem> = isHere
  ? readFileSync(dataset, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
  : []

const total = atScale(problems.length)

/** Runs the program to its end, and tells which processes were seen below it. */
const holdfast = async (args: ReadonlyArray<string>): Promise<Ended & { readonly seen: ReadonlySet<number> }> => {
  const { child, ended } = start(args)
  const seen = new Set<number>()
  const watch = setInterval(() => {
    if (child.pid !== undefined) for (const pid of descendants(child.pid)) seen.add(pid)
  }, 200)
  const end = await ended
  clearInterval(watch)
  return { ...end, seen }
}

/** Solves the first problems with answers made from the canonical ones, in one round. */
const solve = (answer: (problem: Problem) => string, ...flags: ReadonlyArray<string>) => {
  const { "answers.jsonl": answers } = files({
    "answers.jsonl": lines(problems.map((one) => ({ id: one.task_id, answers: [answer(one)] })))
  })
  return holdfast([
    "solve",
    dataset,
    "--offline",
    "--faults",
    "off",
    "--answers",
    answers,
    "--limit",
    String(total),
    ...flags
  ])
}

describe.skipIf(!isHere)("HumanEval", { timeout: 1_800_000 }, () => {
  it("passes with its canonical solutions", async () => {
    const flags = ["--offline", "--answers", "canonical_solution", "--limit", String(total), "--concurrency", "8"]
    const { code, stderr, stdout } = await holdfast(["solve", dataset, ...flags])
    assert.include(stdout, `passed ${total} of ${total}`, stderr)
    assert.strictEqual(code, 0)
  })

  it("fails with `return None` in every solution", async () => {
    const { code, stdout } = await solve(() => "    return None\n", "--max-rounds", "1")
    assert.include(stdout, `passed 0 of ${total}`)
    assert.strictEqual(code, 1)
  })

  it("ends every endless loop by its timeout and leaves no process", async () => {
    const { "out.jsonl": out } = files({ "out.jsonl": "" })
    const flags = ["--max-rounds", "1", "--timeout", "500ms", "--out", out, "--concurrency", "8"]
    const { code, seen, stdout } = await solve(() => "    while True: pass\n", ...flags)
    assert.include(stdout, `passed 0 of ${total}`)
    const problems: ReadonlyArray<string> = readFileSync(out, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).problem)
    assert.strictEqual(problems.filter((problem) => problem.includes("did not end within")).length, total)
    assert.strictEqual(code, 1)
    assert.isAbove(seen.size, 0)
    assert.deepStrictEqual([...seen].filter(isAlive), [])
  })
})
