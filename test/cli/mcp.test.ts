/** `holdfast mcp`, spoken to line by line. The official client speaks to it in test/bench/peers. */
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { descendants, isAlive, start, type Started } from "./program.ts"

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly progressToken?: unknown; readonly progress?: number; readonly message?: string }
  readonly result?: {
    readonly isError?: boolean
    readonly content?: ReadonlyArray<{ readonly text: string }>
    readonly [name: string]: unknown
  }
  readonly error?: { readonly code: number; readonly message: string }
}

/** A client that knows no more of MCP than its lines. */
class Client {
  readonly program: Started
  /** All that the server said. */
  readonly said: Array<Message> = []
  private unfinished = ""
  private looking: Array<() => void> = []
  private last = 0

  constructor(args: ReadonlyArray<string> = []) {
    this.program = start(["mcp", ...args], { isStdinOpen: true })
    this.program.child.stdout?.on("data", (text: string) => {
      const lines = (this.unfinished + text).split("\n")
      this.unfinished = lines.pop() ?? ""
      // Whatever is no message on standard output fails here, and with it the test.
      for (const line of lines) this.said.push(JSON.parse(line))
      for (const look of this.looking.splice(0)) look()
    })
  }

  send(message: object | string): void {
    const line = typeof message === "string" ? message : JSON.stringify({ jsonrpc: "2.0", ...message })
    this.program.child.stdin?.write(`${line}\n`)
  }

  async until(isIt: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.said.find(isIt)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.looking.push(resolve))
    }
  }

  ask(method: string, params: object = {}): { readonly id: number; readonly answer: Promise<Message> } {
    const id = ++this.last
    this.send({ id, method, params })
    return { id, answer: this.until((message) => message.id === id) }
  }

  tool(name: string, input: object, meta: object = {}) {
    return this.ask("tools/call", { name, arguments: input, _meta: meta })
  }

  async initialize(): Promise<Message> {
    const clientInfo = { name: "test", version: "1" }
    const hello = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo }
    const answer = await this.ask("initialize", hello).answer
    this.send({ method: "notifications/initialized" })
    return answer
  }
}

const textOf = ({ result }: Message): string | undefined => result?.content?.map(({ text }) => text).join()

const javascript = (code: string) => ({ code, language: "javascript" })

describe("holdfast mcp", { timeout: 60_000 }, () => {
  let client: Client
  let hello: Message

  beforeAll(async () => {
    client = new Client(["--timeout", "2s", "--max-characters", "100"])
    hello = await client.initialize()
  })

  afterAll(() => client.program.child.kill())

  const told = async (name: string, input: object) => textOf(await client.tool(name, input).answer)

  it("says who it is, and what its tools are", async () => {
    assert.deepInclude(hello.result?.["serverInfo"], { name: "holdfast" })
    const { result } = await client.ask("tools/list").answer
    const names = JSON.stringify(result).match(/"name":"\w+"/g)
    assert.deepStrictEqual(
      names,
      ["run_code", "read_file", "write_file", "list_files", "reset"].map((name) => `"name":"${name}"`)
    )
    assert.include(JSON.stringify(result), "A run is stopped after 2 seconds")
  })

  it("keeps variables and files from call to call, of both languages, until it is reset", async () => {
    assert.strictEqual(await told("run_code", { code: "x = 6" }), nothing)
    assert.strictEqual(await told("run_code", { code: "print('hi')\nx * 7" }), "stdout:\nhi\n\nresult:\n42")
    assert.strictEqual(await told("run_code", javascript("6 * 8")), "result:\n48")
    assert.strictEqual(
      await told("write_file", { path: "a/b.txt", content: "héllo" }),
      "Wrote 5 characters to a/b.txt."
    )
    assert.strictEqual(await told("list_files", { path: "a" }), "b.txt (6 bytes)")
    assert.strictEqual(await told("run_code", { code: "print(open('a/b.txt').read())" }), "stdout:\nhéllo")
    assert.strictEqual(await told("read_file", { path: "a/b.txt" }), "héllo")
    assert.strictEqual(await told("reset", {}), "This is a fresh session: no variables, no files.")
    assert.include(await told("run_code", { code: "x" }), "'x' is not defined")
  })

  it("tells a model what went wrong, and goes on", async () => {
    assert.include(await told("run_code", { code: "1 / 0" }), "The program failed.\n\nerror:\nTraceback")
    const missing = await client.tool("read_file", { path: "nowhere" }).answer
    assert.isTrue(missing.result?.isError)
    assert.match(textOf(missing) ?? "", /^Error: ".*nowhere": /)
    assert.include(await told("run_code", javascript("for (;;) {}")), "did not end within 2 seconds")
    assert.include(
      await told("run_code", javascript('console.log("a".repeat(1000))')),
      "[... 900 characters are left out"
    )
  })

  it("refuses what is no call of a tool, and reads on after what is no message", async () => {
    client.send("this is no JSON")
    const bad = await client.tool("run_code", { cod: "1" }).answer
    assert.strictEqual(bad.error?.code, -32602)
    assert.include(bad.error?.message, "code")
    assert.isDefined((await client.tool("rm_rf", {}).answer).error)
    assert.isDefined((await client.ask("no/such/method").answer).error)
    await client.program.says("left out what is no JSON")
  })

  it("tells of output while a run goes on, and stops one that is cancelled", async () => {
    const code = 'console.log("begun"); for (;;) {}'
    const { id } = client.tool("run_code", { ...javascript(code), timeout_seconds: 60 }, { progressToken: "p" })
    const { params } = await client.until(({ method }) => method === "notifications/progress")
    assert.deepInclude(params, { progressToken: "p", progress: 6, message: "begun\n" })
    client.send({ method: "notifications/cancelled", params: { requestId: id } })
    assert.match((await told("run_code", javascript("1"))) ?? "", /^(?:Note|Error): /)
    assert.strictEqual(await told("run_code", javascript("2")), "result:\n2")
    assert.isUndefined(client.said.find((message) => message.id === id))
  })

  it("ends when its input is closed, with what it runs", async () => {
    const { child, ended } = client.program
    const seen = client.said.length
    client.tool("run_code", javascript('console.log("endless"); for (;;) {}'), { progressToken: 2 })
    await client.until((message) => client.said.indexOf(message) >= seen && message.params?.message === "endless\n")
    const guests = descendants(child.pid ?? 0)
    assert.isNotEmpty(guests)
    child.stdin?.end()
    assert.strictEqual((await ended).code, 0)
    assert.deepStrictEqual(guests.filter(isAlive), [])
  })

  it("ends by Ctrl-C, with its guests", async () => {
    const other = new Client()
    await other.initialize()
    const { child, ended } = other.program
    assert.strictEqual(textOf(await other.tool("run_code", javascript("1")).answer), "result:\n1")
    const guests = descendants(child.pid ?? 0)
    assert.isNotEmpty(guests)
    child.kill("SIGINT")
    assert.strictEqual((await ended).code, 130)
    assert.deepStrictEqual(guests.filter(isAlive), [])
  })
})

const nothing = "The program ran to its end; it printed nothing, and its last line has no value."
