import { assert, layer as testLayer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { LocalSandbox, Sandbox, type SandboxError } from "holdfast/sandbox"

const mebibyte = 1 << 20

const limited = LocalSandbox.layer({
  maxSessions: 4,
  limits: { outputBytes: 10_000, codeBytes: 5000, fileBytes: 20 * mebibyte, transferBytes: mebibyte }
})

/** One session for the tests that leave it alive; it starts in Python and runs the other languages too. */
class Shared extends Context.Service<Shared, Sandbox.Session>()("test/sandbox/LocalSandbox/Shared") {}

const shared = Layer.effect(Shared, Sandbox.create()).pipe(Layer.provideMerge(limited))

const value = (run: Sandbox.Execution) => run.results.at(-1)?.["text/plain"]

/** The reason of a failure, with its detail. */
const reason = <A>(effect: Effect.Effect<A, SandboxError.SandboxError>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => {
    if (reason._tag === "SessionLost" || reason._tag === "FileFailed") return `${reason._tag} ${reason.why}`
    return reason._tag === "LimitExceeded" ? `${reason._tag} ${reason.limit}` : reason._tag
  })

testLayer(shared, { excludeTestServices: true, timeout: "60 seconds" })("LocalSandbox", (it) => {
  const javascript = (code: string, options: Sandbox.RunOptions = {}) =>
    Effect.flatMap(Shared, (session) => session.runCode(code, { language: "javascript", ...options }))
  const typescript = (code: string, options: Sandbox.RunOptions = {}) =>
    javascript(code, { language: "typescript", ...options })

  it.effect("reports the walls in force, and what it runs", () =>
    Effect.gen(function* () {
      const session = yield* Shared
      assert.strictEqual(session.isolation.engine, "pyodide-wasm")
      assert.strictEqual(session.isolation.process, "child")
      assert.strictEqual(session.isolation.network, session.isolation.os === "none" ? "host" : "none")
      assert.deepStrictEqual(session.languages, ["python", "javascript", "typescript"])
      assert.isAbove((yield* session.runCode("1")).memoryBytes, mebibyte)
    })
  )

  it.effect("gives rich forms of a value beside its text", () =>
    Effect.gen(function* () {
      const session = yield* Shared
      const run = yield* session.runCode(
        'class Page:\n    def _repr_html_(self): return "<b>hi</b>"\n    def __repr__(self): return "page"\nPage()'
      )
      assert.strictEqual(run.results[0]?.["text/html"], "<b>hi</b>")
      assert.strictEqual(run.results[0]?.["text/plain"], "page")
      assert.strictEqual((yield* session.runCode('{"a": [1, 2]}')).results[0]?.["application/json"], '{"a": [1, 2]}')
    })
  )

  it.effect("runs asyncio programs", () =>
    Effect.gen(function* () {
      const program =
        "import asyncio\nasync def main():\n    async with asyncio.TaskGroup() as group:\n        task = group.create_task(asyncio.sleep(0.01, 5))\n    return task.result()\nasyncio.run(main())"
      assert.strictEqual(value(yield* (yield* Shared).runCode(program)), "5")
    })
  )

  it.effect("fails a JavaScript program whose last promise rejects, awaited or not", () =>
    Effect.gen(function* () {
      const run = yield* javascript('(async () => { await null; throw new RangeError("late") })()')
      assert.strictEqual(run.outcome, "failed")
      assert.strictEqual(run.error?.name, "RangeError")
    })
  )

  it.effect("gives JavaScript the modules of its files, bytes and assertions, and no other", () =>
    Effect.gen(function* () {
      const run = yield* javascript('require("node:assert").deepStrictEqual({ a: [1] }, { a: [2] })')
      assert.strictEqual(run.error?.name, "AssertionError")
      assert.include((yield* javascript('require("child_process")')).error?.value ?? "", "Cannot find module")
      const bytes = yield* javascript(
        `const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
        const text = "héllo \\u0000 🚀"
        ;[
          Buffer.from(all.toString("base64"), "base64").equals(all), Buffer.from(all.toString("hex"), "hex").equals(all),
          Buffer.from(all.toString("latin1"), "latin1").equals(all), Buffer.from(text).toString() === text,
          new TextDecoder().decode(new TextEncoder().encode(text)) === text, atob(btoa("ab")) === "ab",
          Buffer.concat([Buffer.from("a"), Buffer.from("b")]).toString(), Buffer.byteLength("é")
        ].join()`
      )
      assert.strictEqual(value(bytes), "'true,true,true,true,true,true,ab,2'", bytes.error?.traceback)
      const path = yield* javascript(
        'const { join, resolve, basename, extname, dirname, relative } = require("path"); [join("a", "..", "b"), resolve("/x", "../y"), basename("/a/b.txt", ".txt"), extname("b.tar.gz"), dirname("/a/b"), relative("/a/b", "/a/c")].join(" ")'
      )
      assert.strictEqual(value(path), "'b /y b .gz /a ../c'")
      assert.strictEqual((yield* javascript('console.log("a\\u0000b")')).stdout, "a\u0000b\n")
    })
  )

  it.effect("gives JavaScript a file system like Node's", () =>
    Effect.gen(function* () {
      const run = yield* javascript(
        `const fs = require("node:fs"), code = (f) => { try { f(); return "none" } catch (error) { return error.code } }
        fs.mkdirSync("data/deep", { recursive: true })
        process.chdir("data")
        fs.writeFileSync("a.txt", "one"); fs.appendFileSync("a.txt", "+two"); fs.copyFileSync("a.txt", "deep/b.txt")
        fs.renameSync("deep/b.txt", "c.txt")
        await fs.promises.writeFile("d.bin", new Uint8Array([1, 2, 3]))
        console.log(process.cwd(), fs.readdirSync(".").sort().join(), fs.readFileSync("c.txt", "utf8"))
        console.log((await require("fs/promises").readFile("d.bin")).join(), fs.statSync("d.bin").size, fs.statSync("deep").isDirectory())
        console.log(fs.readdirSync("..", { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).join())
        console.log(code(() => fs.readFileSync("none")), code(() => fs.readFileSync("deep")), code(() => fs.mkdirSync("deep")),
          code(() => fs.writeFileSync("a.txt/b", "")), code(() => fs.rmSync("deep")), code(() => fs.readdirSync("a.txt")))
        fs.rmSync("deep", { recursive: true }); fs.unlinkSync("c.txt"); fs.rmSync("none", { force: true })
        console.log(fs.readdirSync(".").sort().join(), fs.existsSync("c.txt"), fs.existsSync("/home/user/data/a.txt"))`
      )
      assert.deepStrictEqual(run.stdout.split("\n"), [
        "/home/user/data a.txt,c.txt,d.bin,deep one+two",
        "1,2,3 3 true",
        "data",
        "ENOENT EISDIR EEXIST ENOTDIR ERR_FS_EISDIR ENOTDIR",
        "a.txt,d.bin false true",
        ""
      ])
      assert.strictEqual(value(yield* javascript("process.cwd()")), "'/home/user'")
    })
  )

  it.effect("runs its languages in one session: variables apart, files together, TypeScript with JavaScript", () =>
    Effect.gen(function* () {
      const session = yield* Shared
      yield* session.runCode('both = 1\nimport os\nos.makedirs("/data/empty")\nopen("/data/n.txt", "w").write("1")')
      assert.strictEqual(value(yield* javascript("typeof both")), "'undefined'")
      yield* typescript("var typed: number = 2")
      assert.strictEqual(value(yield* javascript("typed + Number(require('fs').readFileSync('/data/n.txt'))")), "3")
      yield* javascript(
        "const fs = require('fs'); fs.renameSync('/data/n.txt', '/data/m.txt'); fs.rmdirSync('/data/empty')"
      )
      assert.strictEqual(value(yield* session.runCode('[both, sorted(os.listdir("/data"))]')), "[1, ['m.txt']]")
      // A folder in the place of a file, and the reverse.
      yield* session.runCode(
        'os.remove("/data/m.txt")\nos.makedirs("/data/m.txt/in")\nopen("/data/empty", "w").close()'
      )
      assert.strictEqual(
        value(yield* javascript("[fs.statSync('/data/m.txt/in').isDirectory(), fs.statSync('/data/empty').isFile()]")),
        "[ true, true ]"
      )
    })
  )

  it.effect("takes the types off TypeScript, keeps its lines, and fails what is more than types", () =>
    Effect.gen(function* () {
      const run = yield* typescript(
        "interface A {\n  a: string\n}\nconst f = (a: A): never => {\n  throw new Error(a.a)\n}\nf({ a: 'x' })"
      )
      assert.match(run.error?.traceback ?? "", /<cell \d+>:5/)
      for (const code of ["enum A { B }", "let x: = 1", "(".repeat(100)]) {
        const refused = yield* typescript(code)
        assert.deepStrictEqual([refused.outcome, refused.error?.name], ["failed", "SyntaxError"], code)
      }
    })
  )

  it.effect("cuts output at its limit and says so, and refuses code over its limit before it runs", () =>
    Effect.gen(function* () {
      const session = yield* Shared
      const run = yield* session.runCode('print("a" * 100_000)')
      assert.strictEqual(run.outcome, "ok")
      assert.isTrue(run.truncated)
      assert.strictEqual(run.stdout.length, 10_000)
      assert.strictEqual(yield* reason(session.runCode("#".repeat(6000))), "LimitExceeded codeBytes")
    })
  )

  it.effect("keeps a session whose program ran out of memory or of file space", () =>
    Effect.gen(function* () {
      const session = yield* Shared
      const memory = yield* session.runCode("x = []\nwhile True: x.append(bytearray(64 << 20))")
      assert.strictEqual(memory.error?.name, "MemoryError")
      yield* session.runCode("x = None")
      const files = yield* session.runCode('with open("/tmp/big", "wb") as f:\n    while True: f.write(bytes(4 << 20))')
      assert.strictEqual(files.error?.name, "OSError")
      yield* session.runCode('import os\nos.remove("/tmp/big")')
      const script = yield* javascript(
        "for (let i = 0; ; i++) require('fs').writeFileSync('/tmp/' + i, new Uint8Array(4 << 20))"
      )
      assert.include(script.error?.value ?? "", "ENOSPC")
      yield* javascript(
        "const fs = require('fs'); for (const name of fs.readdirSync('/tmp')) fs.rmSync('/tmp/' + name)"
      )
      assert.strictEqual((yield* session.runCode("1")).outcome, "ok")
    })
  )

  it.effect("bounds one transfer, and all files together, and leaves no half of one", () =>
    Effect.gen(function* () {
      const { files, runCode } = yield* Shared
      assert.strictEqual(
        yield* reason(files.write("/tmp/big", new Uint8Array(mebibyte + 1))),
        "LimitExceeded fileBytes"
      )
      yield* runCode('with open("/tmp/big", "wb") as f: f.write(bytes(3 << 20))')
      assert.strictEqual(yield* reason(files.read("/tmp/big")), "LimitExceeded fileBytes")
      const sizes = yield* Stream.runFold(
        files.download("/tmp/big"),
        () => 0,
        (sum, piece) => sum + piece.length
      )
      assert.strictEqual(sizes, 3 * mebibyte)
      yield* files.remove("/tmp/big")
      const endless = Stream.forever(Stream.make(new Uint8Array(4 * mebibyte)))
      assert.strictEqual(yield* reason(files.upload("/tmp/endless", endless)), "FileFailed noSpace")
      assert.strictEqual(yield* reason(files.read("/tmp/endless")), "FileFailed notFound")
      yield* files.write("/tmp/fits", new Uint8Array(mebibyte))
      yield* files.remove("/tmp/fits")
    })
  )

  it.effect("reads no device, whatever its name, and writes over none", () =>
    Effect.gen(function* () {
      const { files, runCode } = yield* Shared
      yield* runCode('import os\nos.symlink("/dev/urandom", "/tmp/link")\nos.symlink("loop", "/tmp/loop")')
      for (const path of ["/dev/urandom", "/tmp/link", "/dev/stdin", "/proc/self/fd/0"]) {
        assert.match(yield* reason(files.read(path)), /FileFailed (denied|notFound|other)/, path)
        assert.match(yield* reason(files.write(path, "x")), /FileFailed/, path)
      }
      assert.strictEqual(yield* reason(files.read("/tmp/loop")), "FileFailed other")
      assert.strictEqual(yield* reason(files.read("a\0b")), "FileFailed other")
      assert.strictEqual(yield* reason(files.write("x".repeat(5000), "")), "FileFailed other")
      assert.strictEqual(yield* reason(files.remove("/")), "FileFailed denied")
      // Above the root is the root; the host's files are nowhere.
      assert.strictEqual(yield* reason(files.read("../../../../etc/passwd")), "FileFailed notFound")
      yield* files.remove("/tmp/link")
      yield* files.remove("/tmp/loop")
    })
  )

  it.effect("fails a run whose folder does not exist, in each language", () =>
    Effect.gen(function* () {
      const session = yield* Shared
      const run = yield* session.runCode("1", { cwd: "/none" })
      assert.strictEqual(run.error?.name, "FileNotFoundError")
      const script = yield* javascript("1", { cwd: "/none" })
      assert.strictEqual(script.outcome, "failed")
      assert.include(script.error?.value ?? "", "/none")
      assert.strictEqual(value(yield* session.runCode("import os\nos.getcwd()")), "'/home/user'")
    })
  )

  it.effect("makes 32 contexts, and takes none of another session, language or machine", () =>
    Effect.gen(function* () {
      const session = yield* Shared
      const context = yield* session.createContext({ language: "typescript" })
      yield* typescript("var own: number = 1", { context })
      assert.strictEqual(value(yield* session.runCode("own", { context })), "1")
      assert.strictEqual(yield* reason(session.runCode("1", { language: "python", context })), "UnsupportedLanguage")
      for (let made = 1; made < 32; made++) yield* session.createContext()
      assert.strictEqual(yield* reason(session.createContext()), "LimitExceeded contexts")
      const stranger = { id: "nobody's", language: "python", cwd: undefined } as const
      assert.strictEqual(yield* reason(session.runCode("1", { context: stranger })), "SessionLost gone")
      yield* session.reset
      assert.strictEqual(yield* reason(session.runCode("1", { context })), "SessionLost gone")
      assert.strictEqual((yield* session.createContext()).language, "python")
    })
  )

  it.effect("imports the standard library", () =>
    Effect.gen(function* () {
      const run = yield* (yield* Shared).runCode(
        "import sys, importlib\nbad = []\nnames = [n for n in sorted(sys.stdlib_module_names) if n not in ('antigravity', 'this', 'idlelib', 'turtledemo')]\nfor n in names:\n    try: importlib.import_module(n)\n    except BaseException: bad.append(n)\nlen(names) - len(bad)",
        { timeout: "60 seconds" }
      )
      assert.isAtLeast(Number(value(run)), 172, run.error?.traceback)
    })
  )

  it.effect("is lost as a whole when one of its guests is, and comes back by a reset, other than it was", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const random = "import random, uuid\n[random.random(), uuid.uuid4().hex]"
      const before = value(yield* session.runCode(random))
      yield* session.runCode("1", { language: "javascript" })
      assert.strictEqual(yield* reason(session.runCode("import os\nos._exit(0)")), "SessionLost exited")
      assert.strictEqual(yield* reason(session.runCode("1", { language: "javascript" })), "SessionLost exited")
      assert.strictEqual(yield* reason(session.files.list()), "SessionLost exited")
      assert.strictEqual(yield* reason(session.createContext()), "SessionLost exited")
      yield* session.reset
      assert.notStrictEqual(value(yield* session.runCode(random)), before)
      // A loop in C looks at no signal: the guest is killed, and says so.
      const run = yield* session.runCode("sum(range(10**12))", { timeout: "300 millis" })
      assert.deepStrictEqual([run.outcome, run.sessionState], ["timedOut", "lost"])
      assert.strictEqual(yield* reason(session.runCode("1")), "SessionLost killed")
    })
  )

  it.effect("fails what runs and what waits when it is reset in the middle", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ language: "javascript" })
      const running = yield* Effect.forkChild(Effect.flip(session.runCode("for (;;) {}")), { startImmediately: true })
      const waiting = yield* Effect.forkChild(Effect.flip(session.runCode("1")), { startImmediately: true })
      yield* session.reset
      for (const fiber of [running, waiting]) assert.strictEqual((yield* Fiber.join(fiber)).code, "SessionLost")
      assert.strictEqual(value(yield* session.runCode("2")), "2")
      // The stripper of types is busy with this for hours; nothing interrupts it but the kill.
      const run = yield* session.runCode("async<T>(x=".repeat(40), { language: "typescript", timeout: "300 millis" })
      assert.deepStrictEqual([run.outcome, run.sessionState], ["timedOut", "lost"])
    })
  )
})

testLayer(LocalSandbox.layer({ languages: ["typescript"], maxTimeout: "300 millis" }), {
  excludeTestServices: true,
  timeout: "60 seconds"
})("LocalSandbox of one language", (it) => {
  it.effect("runs no other, and none longer than it may", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ language: "typescript" })
      assert.strictEqual(yield* reason(session.runCode("1", { language: "javascript" })), "UnsupportedLanguage")
      assert.strictEqual((yield* session.runCode("for (;;) {}", { timeout: "10 minutes" })).outcome, "timedOut")
      assert.strictEqual(value(yield* session.runCode("const one: number = 1\none")), "1")
    })
  )
})
