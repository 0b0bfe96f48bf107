import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { files, holdfast, lines, task } from "./program.ts"

const one = task("one")
const beside = lines([{ id: "one", answers: ["def one():\n    return 1"] }])

const given = files({
  "good.jsonl": lines([one]),
  "good.answers.jsonl": beside,
  "malformed.jsonl": `${lines([one])}{oops\n${lines([task("two")])}`,
  "unknown.jsonl": lines([{ ...one, language: "ruby" }]),
  "empty-prompt.jsonl": lines([{ ...one, prompt: "  " }]),
  "no-tests.jsonl": lines([{ id: "one", language: "python", prompt: "?", entryPoint: "one" }]),
  "twice.jsonl": lines([one, one]),
  "nothing.jsonl": "\n",
  "alone.jsonl": lines([one]),
  "prog.rb": "puts 1"
})
const good = given["good.jsonl"]
const key = { OPENAI_API_KEY: "sk-a-secret" }

interface Case {
  readonly name: string
  readonly args: ReadonlyArray<string>
  /** What the one line must say. */
  readonly says: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

const cases: ReadonlyArray<Case> = [
  {
    name: "no wall around what has no other",
    args: ["mcp", "--sandbox", "process", "--os", "off"],
    says: ["--os off", "embedded"]
  },
  { name: "a missing file", args: ["solve", "nowhere.jsonl", "--offline"], says: ["nowhere.jsonl", "no such file"] },
  {
    name: "a malformed line",
    args: ["solve", given["malformed.jsonl"], "--offline"],
    says: ["malformed.jsonl:2", "not a JSON object", "--keep-going"]
  },
  {
    name: "an unknown language",
    args: ["solve", given["unknown.jsonl"], "--offline"],
    says: ["unknown.jsonl:1", '"ruby"', "python"]
  },
  {
    name: "an empty prompt",
    args: ["solve", given["empty-prompt.jsonl"], "--offline"],
    says: [":1", "prompt is empty"]
  },
  {
    name: "a missing field",
    args: ["solve", given["no-tests.jsonl"], "--offline"],
    says: [":1", '"tests" is missing']
  },
  {
    name: "an id that is used twice",
    args: ["solve", given["twice.jsonl"], "--offline"],
    says: ["twice.jsonl:2", '"one"']
  },
  { name: "a file without tasks", args: ["solve", given["nothing.jsonl"], "--offline"], says: ["holds no tasks"] },
  { name: "no recorded answers", args: ["solve", given["alone.jsonl"], "--offline"], says: ["alone.answers.jsonl"] },
  {
    name: "answers that do not exist",
    args: ["solve", good, "--offline", "--answers", "nope"],
    says: ['--answers "nope"']
  },
  { name: "no key", args: ["solve", good, "--model", "m"], says: ["OPENAI_API_KEY", "DEEPSEEK_API_KEY", "--offline"] },
  { name: "no key in the named variable", args: ["solve", good, "--api-key-env", "MINE"], says: ["MINE"], env: key },
  { name: "no model", args: ["solve", good], says: ["--model"], env: key },
  { name: "a bad base URL", args: ["solve", good, "--base-url", "nope", "--model", "m"], says: ['"nope"'], env: key },
  {
    name: "a base URL of another protocol",
    args: ["ask", "hi", "--base-url", "ftp://x", "--model", "m"],
    says: ["ftp://x"],
    env: key
  },
  {
    name: "a directory as --out",
    args: ["solve", good, "--offline", "--out", given.directory],
    says: ["--out", "directory"]
  },
  {
    name: "an --out in no directory",
    args: ["solve", good, "--offline", "--out", join(given.directory, "no", "out.jsonl")],
    says: ["--out", "no such directory"]
  },
  {
    name: "a flag that is no number",
    args: ["solve", good, "--concurrency", "0"],
    says: ["--concurrency", "at least 1"]
  },
  { name: "a flag that is no duration", args: ["solve", good, "--timeout", "soon"], says: ["--timeout", "10s"] },
  { name: "a flag that does not exist", args: ["solve", good, "--ofline"], says: ["--ofline", "solve --help"] },
  { name: "a missing argument", args: ["solve"], says: ["tasks.jsonl", "solve --help"] },
  { name: "an unknown command", args: ["sovle"], says: ['"sovle"'] },
  { name: "an empty question", args: ["ask", " "], says: ["the question is empty"] },
  { name: "no program to run", args: ["run"], says: ["--code"] },
  { name: "a program in an unknown language", args: ["run", given["prog.rb"]], says: ["prog.rb", "--language"] },
  { name: "a program that does not exist", args: ["run", "nowhere.py"], says: ["nowhere.py", "no such file"] }
]

describe("bad input", () => {
  it.concurrent.each(cases)("ends with 2 and one clear line on stderr: $name", async ({ args, says, env = {} }) => {
    const { code, stderr, stdout } = await holdfast(args, { env })
    assert.match(stderr, /^holdfast: [^\n]+\n$/)
    for (const words of says) assert.include(stderr, words)
    assert.notInclude(stderr, "sk-a-secret")
    assert.strictEqual(stdout, "")
    assert.strictEqual(code, 2)
  })

  it("leaves a results file as it was", async () => {
    const { out } = files({ out: '{"id":"earlier"}\n' })
    const { code } = await holdfast(["solve", given["malformed.jsonl"], "--offline", "--out", out])
    assert.strictEqual(code, 2)
    assert.strictEqual(readFileSync(out, "utf8"), '{"id":"earlier"}\n')
    assert.isFalse(existsSync(join(given.directory, "no")))
  })

  it("is stepped over with --keep-going: the rest is solved, and the exit code is 1", async () => {
    const answers = lines(["one", "two"].map((id) => ({ id, answers: ["def one():\n    return 1"] })))
    const { answersFile } = files({ answersFile: answers })
    const args = ["solve", given["malformed.jsonl"], "--offline", "--answers", answersFile, "--keep-going"]
    const { code, stderr, stdout } = await holdfast([...args, "--faults", "off"])
    assert.include(stderr, "malformed.jsonl:2: the line is not a JSON object")
    assert.include(stdout, "passed 2 of 2")
    assert.strictEqual(code, 1)
  })
})
