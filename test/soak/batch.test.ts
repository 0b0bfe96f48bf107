/** A batch of the command line against a real server: killed at random moments, and ten times as long. */
import { existsSync, readFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { DatabaseSync } from "node:sqlite"
import { assert, afterAll, beforeAll, describe, it } from "vitest"
import { files, lines, start } from "../cli/program.ts"
import { figures } from "./figures.ts"
import { atScale, isWhole } from "./scale.ts"

interface Asked {
  readonly index: number
  readonly key: string
}

const below = figures(7)
const concurrency = 8

/** What came, and who wants to know of it. */
let asked: Array<Asked> = []
let onAsked = (): void => {}
let server: Server

/** Answers after up to ten milliseconds, so that the order of the answers is not that of the questions. */
beforeAll(async () => {
  server = createServer(async (request, response) => {
    const body: { messages: ReadonlyArray<{ content: string }> } = JSON.parse(await text(request))
    const index = Number(body.messages[0]?.content.split(" ")[1])
    asked.push({ index, key: String(request.headers["idempotency-key"]) })
    onAsked()
    const message = { role: "assistant", content: `answer ${index} ${"x".repeat(500)}` }
    const usage = { prompt_tokens: 3, completion_tokens: 4 }
    const answer = JSON.stringify({
      id: "a",
      model: "m",
      choices: [{ index: 0, finish_reason: "stop", message }],
      usage
    })
    setTimeout(() => response.setHeader("content-type", "application/json").end(answer), below(10))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const questions = (count: number) =>
  files({ "in.jsonl": lines(Array.from({ length: count }, (_, n) => ({ id: `q${n}`, prompt: `question ${n}` }))) })

const batch = (input: string, output: string, env: Readonly<Record<string, string>> = {}, more: Array<string> = []) => {
  // A server of the test's own.
  const { port } = server.address() as AddressInfo
  const at = ["--base-url", `http://127.0.0.1:${port}/v1`, "--model", "m", "--concurrency", String(concurrency)]
  return start(["batch", input, output, ...at, ...more], { env })
}

/** The items whose records are in the checkpoint of a batch that was killed. */
const recorded = (output: string): ReadonlySet<number> => {
  if (!existsSync(`${output}.checkpoint`)) return new Set()
  const database = new DatabaseSync(`${output}.checkpoint`)
  try {
    return new Set(
      database
        .prepare("SELECT item FROM record")
        .all()
        .map(({ item }) => Number(item))
    )
  } catch {
    // Killed before there were tables.
    return new Set()
  } finally {
    database.close()
  }
}

describe("a batch", { timeout: 900_000 }, () => {
  it("that is killed at random moments asks for each item once, but for what was under way", async () => {
    const count = atScale(1000)
    const kills = atScale(20)
    const { directory, "in.jsonl": input } = questions(count)
    const output = `${directory}/out.jsonl`
    const keys = new Map<number, string>()
    for (let life = 0; life <= kills; life++) {
      const before = recorded(output)
      asked = []
      const run = batch(input, output, {}, ["--resume"])
      if (life < kills) {
        // By requests and turns of the event loop: in the middle of reading, asking, recording or writing.
        let left = 1 + below(Math.ceil((1.5 * count) / kills))
        let turns = below(40)
        const kill = (): void => void (turns-- > 0 ? setImmediate(kill) : run.child.kill("SIGKILL"))
        onAsked = () => void (--left === 0 && kill())
      }
      const { code, stderr } = await run.ended
      onAsked = () => {}
      if (life === kills) assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(
        asked.filter(({ index }) => before.has(index)),
        [],
        "asked again, and its record was there"
      )
      const again = asked.filter(({ index }) => keys.has(index))
      assert.isAtMost(again.length, concurrency)
      for (const { index, key } of again) assert.strictEqual(key, keys.get(index), `the key of ${index}`)
      for (const { index, key } of asked) keys.set(index, key)
      assert.strictEqual(new Set(asked.map(({ index }) => index)).size, asked.length)
    }
    const records = readFileSync(output, "utf8").trimEnd().split("\n")
    assert.deepStrictEqual(
      records
        .map((line) => JSON.parse(line))
        .map(({ id, index, outcome, value }) => [index, id, outcome, value.text.split(" ", 2).join(" ")]),
      Array.from({ length: count }, (_, n) => [n, `q${n}`, "done", `answer ${n}`])
    )
    assert.strictEqual(new Set(keys.values()).size, count)
  })

  // Of a hundred items most memory is the program's own: a tenth of this would say nothing.
  it.skipIf(!isWhole)("of ten times as many items takes no more than a fifth more memory", async () => {
    const say = 'process.on("exit",()=>process.stderr.write("maxRSS "+process.resourceUsage().maxRSS))'
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(say)}` }
    const peak = async (count: number): Promise<number> => {
      const { directory, "in.jsonl": input } = questions(count)
      const { code, stderr } = await batch(input, `${directory}/out.jsonl`, env).ended
      assert.strictEqual(code, 0, stderr)
      return Number(/maxRSS (\d+)/.exec(stderr)?.[1])
    }
    const few = await peak(1000)
    const many = await peak(10_000)
    console.info(`RSS of 1000 items: ${few} kB, of 10 000: ${many} kB`)
    assert.isAtMost(many / few, 1.2)
  })
})
