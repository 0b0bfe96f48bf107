/** The official E2B clients over our fake: what they accept is what E2B sends. */
import {
  AuthenticationError,
  CommandExitError,
  FileNotFoundError,
  RateLimitError,
  Sandbox as Interpreter,
  SandboxNotFoundError,
  TimeoutError
} from "@e2b/code-interpreter"
import { Sandbox } from "e2b"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type E2b, python, startE2b } from "../../fixtures/e2b.ts"

let e2b: E2b
let options: { readonly apiKey: string; readonly apiUrl: string; readonly sandboxUrl: string; readonly retries: number }

beforeAll(async () => {
  e2b = await startE2b({ keepaliveMillis: 50, maxSandboxes: 5 })
  options = { apiKey: e2b.apiKey, apiUrl: e2b.apiUrl, sandboxUrl: e2b.sandboxUrl, retries: 0 }
})

afterEach(async () => {
  for (const { id } of e2b.boxes()) await Sandbox.kill(id, options)
})

afterAll(() => e2b.close())

const failure = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error
  )

describe.skipIf(python === undefined)("e2b", () => {
  it("creates, lists page by page and by metadata, extends, pauses, resumes and kills", async () => {
    const one = await Sandbox.create({ ...options, metadata: { user: "a b&c=d", n: "1" }, timeoutMs: 61_500 })
    const two = await Sandbox.create({ ...options, metadata: { user: "other" } })
    expect(one.sandboxId).not.toBe(two.sandboxId)
    expect(e2b.boxes()[0]?.timeouts).toEqual([62])
    const pages = Sandbox.list({ ...options, limit: 1 })
    const listed: Array<string> = []
    while (pages.hasNext) listed.push(...(await pages.nextItems()).map(({ sandboxId }) => sandboxId))
    expect(listed.sort()).toEqual([one.sandboxId, two.sandboxId].sort())
    const mine = await Sandbox.list({ ...options, query: { metadata: { user: "a b&c=d" } } }).nextItems()
    expect(mine.map(({ sandboxId }) => sandboxId)).toEqual([one.sandboxId])
    expect(mine[0]?.metadata).toEqual({ user: "a b&c=d", n: "1" })
    await one.setTimeout(10_000)
    expect(e2b.boxes()[0]?.timeouts).toEqual([62, 10])
    expect(await one.pause()).toBe(true)
    expect(await one.pause()).toBe(false)
    expect(await one.isRunning()).toBe(false)
    const again = await Sandbox.connect(one.sandboxId, options)
    expect(await again.isRunning()).toBe(true)
    expect((await again.getInfo()).state).toBe("running")
    expect(await again.kill()).toBe(true)
    expect(await again.kill()).toBe(false)
    expect(await again.isRunning()).toBe(false)
    expect(await failure(Sandbox.connect(one.sandboxId, options))).toBeInstanceOf(SandboxNotFoundError)
  })

  it("refuses a wrong key, too many sandboxes and too long a life", async () => {
    const wrong = { ...options, apiKey: "e2b_0000" }
    expect(await failure(Sandbox.create(wrong))).toBeInstanceOf(AuthenticationError)
    expect(await failure(Sandbox.create({ ...options, timeoutMs: 2 * 3_600_000 }))).toMatchObject({ statusCode: 400 })
    expect(await failure(Sandbox.create("nobody", options))).toMatchObject({ statusCode: 404 })
    for (let i = 0; i < 5; i++) await Sandbox.create(options)
    expect(await failure(Sandbox.create(options))).toBeInstanceOf(RateLimitError)
  })

  it("writes, reads, lists, moves and removes files", async () => {
    const sandbox = await Sandbox.create(options)
    const { files } = sandbox
    expect(await files.write("folder/a.txt", "naïve 🎉")).toMatchObject({ path: "/home/user/folder/a.txt" })
    expect(await files.read("folder/a.txt")).toBe("naïve 🎉")
    const bytes = Uint8Array.from([0, 255, 10, 13])
    await files.write("/home/user/b.bin", new Blob([bytes]), { useOctetStream: true })
    expect(await files.read("b.bin", { format: "bytes" })).toEqual(bytes)
    await files.write("empty", "")
    expect(await files.read("empty")).toBe("")
    const listed = (await files.list("/home/user")).filter(({ name }) => !name.startsWith("."))
    expect(listed.map(({ name, size, type }) => [name, type, type === "file" ? size : 0])).toEqual([
      ["b.bin", "file", 4],
      ["empty", "file", 0],
      ["folder", "dir", 0]
    ])
    expect(await files.makeDir("other")).toBe(true)
    expect(await files.makeDir("other")).toBe(false)
    await files.rename("b.bin", "other/c.bin")
    expect(await files.exists("b.bin")).toBe(false)
    expect(await files.getInfo("other/c.bin")).toMatchObject({ size: 4 })
    await files.remove("folder")
    expect(await failure(files.read("folder/a.txt"))).toBeInstanceOf(FileNotFoundError)
    expect(await failure(files.read("other"))).toMatchObject({ message: expect.stringContaining("is a directory") })
    expect(await failure(files.list("nowhere"))).toBeInstanceOf(FileNotFoundError)
  })

  it("runs commands", async () => {
    const sandbox = await Sandbox.create({ ...options, envs: { A: "1" } })
    const { commands } = sandbox
    await sandbox.files.write("in.txt", "from a file")
    const said: Array<string> = []
    const run = await commands.run("echo $A$B; cat in.txt; echo err >&2", {
      envs: { B: "2" },
      onStdout: (text) => void said.push(text)
    })
    expect(run).toMatchObject({ exitCode: 0, stdout: "12\nfrom a file", stderr: "err\n" })
    expect(said.join("")).toBe(run.stdout)
    const failed = await failure(commands.run("exit 3"))
    expect(failed).toBeInstanceOf(CommandExitError)
    expect(failed).toMatchObject({ exitCode: 3 })
    const cat = await commands.run("cat", { background: true, stdin: true })
    expect((await commands.list()).map(({ pid }) => pid)).toEqual([cat.pid])
    await cat.sendStdin("typed")
    await cat.closeStdin()
    expect(await cat.wait()).toMatchObject({ stdout: "typed" })
    const long = await commands.run("sleep 60", { background: true })
    expect(await long.kill()).toBe(true)
    expect(await failure(long.wait())).toMatchObject({ exitCode: -1, error: "signal: killed" })
    expect(await commands.kill(long.pid)).toBe(false)
    expect(await failure(commands.run("sleep 60", { timeoutMs: 200 }))).toBeInstanceOf(TimeoutError)
    expect(await failure(commands.run("true", { cwd: "/nowhere" }))).toMatchObject({
      message: expect.stringContaining("does not exist")
    })
  })
})

describe.skipIf(python === undefined)("@e2b/code-interpreter", () => {
  it("runs code, with state, results, errors and variables", async () => {
    const sandbox = await Interpreter.create({ ...options, envs: { GLOBAL: "g" } })
    const seen: Array<string> = []
    const first = await sandbox.runCode(
      "import sys\nprint('héllo 🎉')\nprint('err', file=sys.stderr)\ndisplay('d')\nx = 6\nx * 7",
      {
        onStdout: ({ line }) => void seen.push(line),
        onStderr: ({ line }) => void seen.push(line),
        onResult: ({ text }) => void seen.push(String(text))
      }
    )
    expect(first.text).toBe("42")
    expect(first.logs).toEqual({ stdout: ["héllo 🎉\n"], stderr: ["err\n"] })
    expect(seen).toEqual(["héllo 🎉\n", "err\n", "d", "42"])
    expect(first.results.map(({ isMainResult }) => isMainResult)).toEqual([false, true])
    expect(first.executionCount).toBe(1)
    const code = "import os\nprint(os.environ.get('GLOBAL'), os.environ.get('OWN'), x)"
    expect((await sandbox.runCode(code, { envs: { OWN: "o" } })).logs.stdout).toEqual(["g o 6\n"])
    expect((await sandbox.runCode(code)).logs.stdout).toEqual(["g None 6\n"])
    const raised = await sandbox.runCode("def f():\n    raise ValueError('no')\nf()")
    expect(raised.error).toMatchObject({ name: "ValueError", value: "no" })
    expect(raised.error?.traceback).toContain("in f")
    const rich = await sandbox.runCode(
      "class P:\n    def _repr_html_(self): return '<b>'\n    def _repr_json_(self): return {'a': [1]}\n    def __repr__(self): return 'P'\nP()"
    )
    expect(rich.results[0]).toMatchObject({ text: "P", html: "<b>", json: { a: [1] } })
  })

  it("makes, uses, lists, restarts and removes contexts", async () => {
    const sandbox = await Interpreter.create(options)
    await sandbox.files.write("folder/here", "")
    const context = await sandbox.createCodeContext({ language: "python", cwd: "/home/user/folder" })
    expect((await sandbox.runCode("import os\ny = 1\nos.listdir()", { context })).text).toBe("['here']")
    expect((await sandbox.runCode("y")).error?.name).toBe("NameError")
    expect((await sandbox.listCodeContexts()).map(({ id }) => id)).toContain(context.id)
    await sandbox.restartCodeContext(context)
    expect((await sandbox.runCode("y", { context })).error?.name).toBe("NameError")
    await sandbox.removeCodeContext(context)
    expect(await failure(sandbox.runCode("1", { context }))).toMatchObject({
      message: `Context ${context.id} not found`
    })
    expect(await failure(sandbox.runCode("1", { language: "cobol" }))).toMatchObject({
      message: expect.stringContaining("500")
    })
  })

  it("interrupts the program of a client that has gone, and aborts what comes at once", async () => {
    const sandbox = await Interpreter.create(options)
    await sandbox.runCode("k = 1")
    const endless = sandbox.runCode("while True: pass", { timeoutMs: 200 })
    expect(await failure(endless)).toBeInstanceOf(TimeoutError)
    // Nothing but keep-alives, for ever.
    expect(await failure(sandbox.runCode("k", { timeoutMs: 300 }))).toBeInstanceOf(TimeoutError)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect((await sandbox.runCode("k")).text).toBe("1")
  })

  it("tells of a kernel that dies, and of a sandbox that is gone", async () => {
    const sandbox = await Interpreter.create(options)
    const died = await sandbox.runCode("import os\nos._exit(1)")
    expect(died.error).toEqual({ name: "ContextRestarting", value: "Context was restarted", traceback: "" })
    expect((await sandbox.runCode("1 + 1")).text).toBe("2")
    const running = sandbox.runCode("print(1, flush=True)\nwhile True: pass", {
      onStdout: () => e2b.expire(sandbox.sandboxId)
    })
    expect(await failure(running)).toBeInstanceOf(TimeoutError)
    expect(await failure(sandbox.runCode("1"))).toMatchObject({
      message: expect.stringContaining('"message":"The sandbox was not found","code":502')
    })
    expect(await failure(sandbox.commands.run("true"))).toBeInstanceOf(SandboxNotFoundError)
    expect(await failure(sandbox.files.read("a"))).toBeInstanceOf(TimeoutError)
  })

  it("has no interpreter in the base template, and wants the token where traffic is not public", async () => {
    const base = await Interpreter.create("base", options)
    expect(await failure(base.runCode("1"))).toMatchObject({ message: expect.stringContaining('"port":49999') })
    const shut = await Interpreter.create({ ...options, network: { allowPublicTraffic: false } })
    expect((await shut.runCode("2")).text).toBe("2")
  })
})
