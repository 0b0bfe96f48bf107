import { assert, layer as testLayer } from "@effect/vitest"
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.js"
contract("LocalSandbox", LocalSandbox.layer({ maxSessions: 4 }), ["python", "javascript"])
const sandbox = LocalSandbox.layer({ maxSessions: 4, limits: { outputBytes: 10_000, codeBytes: 5000 } })
testLayer(sandbox, { excludeTestServices: true, timeout: "60 seconds" })("LocalSandbox", (it) => {
  const python = (code, options) => Sandbox.runCode(code, options)
  const javascript = (code) => Sandbox.runCode(code, { language: "javascript" })
  const value = (run) => run.results.at(-1)?.["text/plain"]
  it.effect("reports the walls in force", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      assert.strictEqual(session.isolation.engine, "pyodide-wasm")
      assert.strictEqual(session.isolation.process, "child")
      assert.strictEqual(session.isolation.network, session.isolation.os === "none" ? "host" : "none")
    })
  )
  it.effect("awaits at the top level, in both languages, and runs asyncio programs", () =>
    Effect.gen(function* () {
      const code = "import asyncio\nawait asyncio.gather(asyncio.sleep(0.01, 1), asyncio.sleep(0.01, 2))"
      assert.strictEqual(value(yield* python(code)), "[1, 2]")
      const program =
        "import asyncio\nasync def main():\n    async with asyncio.TaskGroup() as group:\n        task = group.create_task(asyncio.sleep(0.01, 5))\n    return task.result()\nasyncio.run(main())"
      assert.strictEqual(value(yield* python(program)), "5")
      assert.strictEqual(value(yield* javascript("await new Promise((r) => setTimeout(() => r(7), 10))")), "7")
    })
  )
  it.effect("gives rich forms of a value beside its text", () =>
    Effect.gen(function* () {
      const run = yield* python(
        'class Page:\n    def _repr_html_(self): return "<b>hi</b>"\n    def __repr__(self): return "page"\nPage()'
      )
      assert.strictEqual(run.results[0]?.["text/html"], "<b>hi</b>")
      assert.strictEqual(run.results[0]?.["text/plain"], "page")
      assert.strictEqual((yield* python('{"a": [1, 2]}')).results[0]?.["application/json"], '{"a": [1, 2]}')
    })
  )
  it.effect("lets a later cell declare a name again", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ language: "javascript" })
      yield* session.runCode("const a = 1\nlet b = 2\nclass C { m() { return 1 } }")
      yield* session.runCode("const a = 10\nlet b = 20\nclass C { m() { return 2 } }")
      assert.strictEqual(value(yield* session.runCode("[a, b, new C().m()]")), "[ 10, 20, 2 ]")
    })
  )
  it.effect("fails a JavaScript program whose last promise rejects, awaited or not", () =>
    Effect.gen(function* () {
      const run = yield* javascript('(async () => { await null; throw new RangeError("late") })()')
      assert.strictEqual(run.outcome, "failed")
      assert.strictEqual(run.error?.name, "RangeError")
    })
  )
  it.effect("gives JavaScript an assert module, and no other", () =>
    Effect.gen(function* () {
      const run = yield* javascript('require("node:assert").deepStrictEqual({ a: [1] }, { a: [2] })')
      assert.strictEqual(run.error?.name, "AssertionError")
      assert.include((yield* javascript('require("fs")')).error?.value ?? "", "Cannot find module")
    })
  )
  it.effect("runs both languages in one session, apart", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      yield* session.runCode("x = 1")
      const run = yield* session.runCode("typeof x", { language: "javascript" })
      assert.strictEqual(value(run), "'undefined'")
      assert.strictEqual(value(yield* session.runCode("x")), "1")
    })
  )
  it.effect("cuts output at its limit and says so", () =>
    Effect.gen(function* () {
      const run = yield* python('print("a" * 100_000)')
      assert.strictEqual(run.outcome, "ok")
      assert.isTrue(run.truncated)
      assert.strictEqual(run.stdout.length, 10_000)
    })
  )
  it.effect("refuses code over its limit before it runs", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(python("#".repeat(6000)))
      assert.strictEqual(error.code, "LimitExceeded")
    })
  )
  it.effect("keeps a session whose program ran out of memory or of file space", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const memory = yield* session.runCode("x = []\nwhile True: x.append(bytearray(64 << 20))")
      assert.strictEqual(memory.error?.name, "MemoryError")
      const files = yield* session.runCode(
        'with open("/tmp/big", "wb") as f:\n    while True: f.write(bytes(16 << 20))'
      )
      assert.strictEqual(files.error?.name, "OSError")
      assert.strictEqual((yield* session.runCode("1")).outcome, "ok")
    })
  )
  it.effect("imports the standard library", () =>
    Effect.gen(function* () {
      const run = yield* python(
        "import sys, importlib\nbad = []\nnames = [n for n in sorted(sys.stdlib_module_names) if n not in ('antigravity', 'this', 'idlelib', 'turtledemo')]\nfor n in names:\n    try: importlib.import_module(n)\n    except BaseException: bad.append(n)\nlen(names) - len(bad)",
        { timeout: "60 seconds" }
      )
      assert.isAtLeast(Number(value(run)), 172, run.error?.traceback)
    })
  )
  it.effect("draws other random numbers in each session", () =>
    Effect.gen(function* () {
      const code = "import random, uuid\n[random.random(), uuid.uuid4().hex]"
      assert.notStrictEqual(value(yield* python(code)), value(yield* python(code)))
    })
  )
  it.effect("starts in the guest's home, or where the run says", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      assert.strictEqual(value(yield* session.runCode("import os\nos.getcwd()")), "'/home/user'")
      assert.strictEqual(value(yield* session.runCode("os.getcwd()", { cwd: "/tmp" })), "'/tmp'")
    })
  )
  it.effect("loses the session when the program ends its own process", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const error = yield* Effect.flip(session.runCode("import os\nos._exit(0)"))
      assert.strictEqual(error.reason._tag === "SessionLost" && error.reason.why, "exited")
      assert.strictEqual((yield* Effect.flip(session.runCode("1"))).code, "SessionLost")
    })
  )
  it.effect("says that a killed guest's state is lost", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const run = yield* session.runCode("sum(range(10**12))", { timeout: "300 millis" })
      assert.strictEqual(run.outcome, "timedOut")
      assert.strictEqual(run.sessionState, "lost")
      const error = yield* Effect.flip(session.runCode("1"))
      assert.strictEqual(error.reason._tag === "SessionLost" && error.reason.why, "killed")
    })
  )
})
