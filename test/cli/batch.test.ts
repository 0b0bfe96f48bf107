import { spawn } from "node:child_process"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { files, holdfast, lines, start } from "./program.ts"

interface Asked {
  readonly messages: ReadonlyArray<{ readonly role: string; readonly content: string }>
  readonly max_tokens?: number
  readonly temperature?: number
}

/** Prompts that begin with these words are answered otherwise, or not at all. */
let asked: Array<Asked> = []
let isRefusing = false
let server: Server
let baseUrl = ""

const usage = { prompt_tokens: 1000, completion_tokens: 1000, total_tokens: 2000 }

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const body: Asked = JSON.parse(await text(request))
    asked.push(body)
    const content = body.messages.at(-1)?.content ?? ""
    response.setHeader("content-type", "application/json")
    if (isRefusing)
      return response.writeHead(401).end('{"error":{"message":"Incorrect API key provided: sk-a-secret"}}')
    if (content.startsWith("stuck")) return
    if (content.startsWith("wrong")) return response.writeHead(400).end('{"error":{"message":"no such thing"}}')
    const message = { role: "assistant", content: `answer to ${content}` }
    response.end(
      JSON.stringify({ id: "a", model: "m", choices: [{ index: 0, finish_reason: "stop", message }], usage })
    )
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  // A server of the test's own.
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
})

beforeEach(() => {
  asked = []
  isRefusing = false
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const env = { OPENAI_API_KEY: "sk-a-secret" }
const inputOf = (prompts: ReadonlyArray<string>) => {
  const { directory, "in.jsonl": input } = files({ "in.jsonl": lines(prompts.map((prompt) => ({ prompt }))) })
  return { directory, input, output: `${directory}/out.jsonl` }
}
const argsOf = ({ input, output }: { input: string; output: string }, ...more: ReadonlyArray<string>) => [
  "batch",
  input,
  output,
  "--base-url",
  baseUrl,
  "--model",
  "m",
  ...more
]
const prompts = (): ReadonlyArray<string> => asked.map(({ messages }) => messages.at(-1)?.content ?? "")

interface Row {
  readonly index: number
  readonly id?: string
  readonly outcome: string
  readonly value?: { readonly text: string }
  readonly error?: { readonly code: string; readonly status?: number }
  readonly cost?: number
  readonly attempts: ReadonlyArray<unknown>
}

const rowsOf = (output: string): ReadonlyArray<Row> =>
  readFileSync(output, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

describe("holdfast batch", { timeout: 60_000 }, () => {
  it("asks all questions offline while requests fail, and makes a report", async () => {
    const given = inputOf(Array.from({ length: 40 }, (_, n) => `question ${n}`))
    const report = `${given.directory}/report.html`
    const args = ["batch", given.input, given.output, "--offline", "--concurrency", "16", "--report", report]
    const { code, stderr, stdout } = await holdfast(args)
    assert.include(stdout, "done 40 of 40, 0 failed", stderr)
    assert.match(stdout, /\d+ of \d+ requests \(\d+ %\) failed on purpose/)
    assert.include(stdout, `the report is in ${report}`)
    assert.include(readFileSync(report, "utf8"), "<!doctype html>")
    assert.include(stderr, "[40/40] 0 failed")
    assert.deepStrictEqual(
      rowsOf(given.output).map(({ index, value }) => [index, value?.text]),
      Array.from({ length: 40 }, (_, n) => [n, `You asked: question ${n}`])
    )
    assert.strictEqual(code, 0)
  })

  it("takes what a line wants for itself, asks equal ones once, and asks again what failed", async () => {
    const questions = [
      { id: 7, prompt: "a", system: "be brief", maxTokens: 5, temperature: 0 },
      { id: "b", messages: [{ role: "user", content: "b" }] },
      { prompt: "wrong" },
      { id: "twin", messages: [{ role: "user", content: "b" }] }
    ]
    const { directory, "in.jsonl": input } = files({ "in.jsonl": lines(questions) })
    const output = `${directory}/out.jsonl`
    const args = argsOf({ input, output }, "--dedupe", "--max-tokens", "9", "--price", "1,2", "--concurrency", "1")
    const { code, stdout } = await holdfast(args, { env })
    assert.strictEqual(code, 1)
    assert.include(stdout, "failed item 2: llm openai")
    assert.include(stdout, "done 3 of 4, 1 failed")
    assert.include(stdout, "the same command with --resume --retry-failed asks again what failed")
    assert.deepStrictEqual(
      rowsOf(output).map(({ attempts, cost, error, id, value }) => [
        id,
        value?.text ?? `${error?.code} ${error?.status}`,
        cost,
        attempts.length
      ]),
      [
        ["7", "answer to a", 0.003, 1],
        ["b", "answer to b", 0.003, 1],
        [undefined, "InvalidRequest 400", undefined, 1],
        ["twin", "answer to b", undefined, 0]
      ]
    )
    assert.deepStrictEqual(prompts(), ["a", "b", "wrong"])
    const [first, second] = asked
    assert.deepInclude(first, { max_tokens: 5, temperature: 0 })
    assert.deepStrictEqual(first?.messages[0], { role: "system", content: "be brief" })
    assert.deepInclude(second, { max_tokens: 9 })
    await holdfast([...args, "--resume", "--retry-failed"], { env })
    assert.deepStrictEqual(prompts().slice(3), ["wrong"])
  })

  it("keeps what is done at Ctrl-C, says what is left, and goes on", async () => {
    const given = inputOf(["a", "stuck", "b", "c"])
    const { child, ended, says } = start(argsOf(given), { env })
    await says("[3/4]")
    child.kill("SIGINT")
    const { code, stdout } = await ended
    assert.strictEqual(code, 130)
    assert.include(stdout, "done 3 of 4")
    assert.include(stdout, "1 left; the same command with --resume goes on")
    assert.deepStrictEqual(
      rowsOf(given.output).map(({ index }) => index),
      [0]
    )
    // Two at once: the second one finds the lock of the first.
    const again = start(argsOf(given, "--resume"), { env })
    await new Promise<void>((resolve) => {
      const look = (): void =>
        void (prompts().filter((prompt) => prompt === "stuck").length > 1 ? resolve() : setImmediate(look))
      look()
    })
    const second = await holdfast(argsOf(given, "--resume"), { env })
    assert.match(
      second.stderr,
      /^holdfast: another run is writing .*out\.jsonl; wait for its end, or name another output\n$/
    )
    assert.strictEqual(second.code, 2)
    again.child.kill("SIGKILL")
    await again.ended
    assert.deepStrictEqual(prompts().toSorted(), ["a", "b", "c", "stuck", "stuck"])
  })

  it("stops at a rejected key instead of trying it for each question, and never prints it", async () => {
    isRefusing = true
    const given = inputOf(["a", "b", "c"])
    const { code, stderr, stdout } = await holdfast(argsOf(given, "--concurrency", "1"), { env })
    assert.strictEqual(code, 1)
    assert.strictEqual(asked.length, 1)
    assert.match(stderr, /^holdfast: llm openai[^\n]+not authorized[^\n]+\n$/)
    assert.include(stdout, "done 0 of 3, 0 failed")
    assert.include(stdout, "3 left")
    assert.notInclude(stdout + stderr, "sk-a-secret")
  })

  it("stops before it costs more than it may, all runs together", async () => {
    const given = inputOf(["a", "b", "c", "d"])
    // Each answer costs 0.003.
    const args = argsOf(given, "--price", "1,2", "--max-tokens", "1000", "--concurrency", "1", "--max-cost")
    const first = await holdfast([...args, "0.007"], { env })
    assert.strictEqual(first.code, 1)
    assert.include(first.stderr, 'budget "--max-cost" has used 0.006 of 0.007 USD')
    assert.include(first.stdout, "2 left")
    const second = await holdfast([...args, "0.007", "--resume"], { env })
    assert.include(second.stderr, 'budget "--max-cost" has used 0.006 of 0.007 USD')
    assert.deepStrictEqual(prompts(), ["a", "b"])
  })

  it("says what is wrong with its input in one line, and leaves nothing behind", async () => {
    const given = inputOf(["a"])
    appendFileSync(given.input, '{"prompt": "b"\n{"prompt": 3}\n')
    const { code, stderr, stdout } = await holdfast(argsOf(given), { env })
    assert.strictEqual(code, 2)
    assert.strictEqual(stdout, "")
    assert.strictEqual(
      stderr,
      `holdfast: ${given.input}:2: the line is not JSON (and 1 more such lines); nothing was asked yet (--keep-going records such lines as failed)\n`
    )
    assert.isFalse(existsSync(`${given.output}.checkpoint`))
    assert.isFalse(existsSync(given.output))
    assert.isEmpty(asked)
  })

  it("ends with one line when files may not grow, and loses nothing", async () => {
    const given = inputOf(Array.from({ length: 60 }, (_, n) => `question ${n} ${"x".repeat(1500)}`))
    const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))
    const program = [process.execPath, "--conditions=holdfast-source", main, ...argsOf(given)]
    // In blocks of 1024 bytes.
    const { PATH = "" } = process.env
    const limited = spawn("bash", ["-c", 'ulimit -f 100; exec "$@"', "bash", ...program], { env: { PATH, ...env } })
    const [stderr, code] = await Promise.all([
      text(limited.stderr),
      new Promise((resolve) => limited.on("close", resolve)),
      text(limited.stdout)
    ])
    const last = stderr.trimEnd().split("\n").at(-1) ?? ""
    assert.match(last, /^holdfast: batch: cannot write .*: .*files may not grow as large; what is recorded is kept/)
    assert.strictEqual(code, 1)
    const first = prompts().length
    const whole = rowsOf(given.output)
    const { stdout } = await holdfast(argsOf(given, "--resume"), { env })
    assert.include(stdout, "done 60 of 60, 0 failed")
    assert.deepStrictEqual(rowsOf(given.output).slice(0, whole.length), whole)
    // What was under way, and no more, was asked for twice.
    assert.isAtMost(prompts().length, 60 + 8)
    assert.isAbove(first, 10)
  })
})
