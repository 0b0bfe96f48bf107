import { existsSync, readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Logger, Stream } from "effect"
import { ProcessSandbox, Sandbox } from "holdfast/sandbox"
import { guests, temporaryFiles } from "./processes.ts"
import { hasWall } from "./processWall.ts"

const refused = (options: ProcessSandbox.Options, request?: Sandbox.CreateOptions) =>
  Effect.scoped(Sandbox.create(request)).pipe(
    Effect.flip,
    Effect.map((error) => ({ code: error.code, message: error.message })),
    Effect.provide(ProcessSandbox.layer(options))
  )

describe.skipIf(process.platform !== "linux")("ProcessSandbox without a wall", () => {
  it.live("runs nothing, and says in one line what to install or to set", () =>
    Effect.gen(function* () {
      const absent = yield* refused({ wall: "/nowhere/bwrap" })
      assert.strictEqual(absent.code, "Unavailable")
      assert.match(absent.message, /^[^\n]*apt-get install bubblewrap[^\n]*unsafeNoIsolation: true[^\n]*$/)
      const broken = yield* refused({ wall: "/bin/false" })
      assert.strictEqual(broken.code, "Unavailable")
      assert.match(broken.message, /^[^\n]*does not work here[^\n]*user namespaces[^\n]*$/)
      assert.deepStrictEqual(guests(), [])
    })
  )

  it.live("runs with this user's rights when told to, says so once, and leaves nothing", () => {
    const said: Array<string> = []
    const log = Logger.make(({ message }) => void said.push(String(message)))
    const options = { wall: "/nowhere/bwrap", unsafeNoIsolation: true, languages: ["bash", "javascript"] } as const
    return Effect.gen(function* () {
      for (let round = 0; round < 2; round++)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const session = yield* Sandbox.create({ language: "bash" })
            assert.deepStrictEqual([session.isolation.os, session.isolation.network], ["none", "host"])
            yield* session.files.write("a.txt", "kept")
            // A process of its own group, and a link to somewhere else: neither may outlive or mislead the end.
            const run = yield* session.runCode(`cat a.txt; setsid sleep 1000 & ln -s ${process.cwd()} link`)
            assert.strictEqual(run.stdout, "kept")
          })
        )
      assert.strictEqual(said.length, 1)
      assert.include(said[0] ?? "", "WITHOUT ISOLATION")
      assert.deepStrictEqual(guests(), [])
      assert.deepStrictEqual(temporaryFiles(), [])
      assert.isTrue(existsSync("package.json"))
    }).pipe(Effect.provide(ProcessSandbox.layer(options)), Effect.provide(Logger.layer([log])))
  })
})

// Small, so that what fills them does so soon.
const limits = { memoryBytes: 400 << 20, pythonMemoryBytes: 128 << 20, fileBytes: 8 << 20, fileCount: 500 }
const machine = layer(ProcessSandbox.layer({ maxSessions: 4, limits }), {
  excludeTestServices: true,
  timeout: "60 seconds"
})

if (hasWall)
  machine("ProcessSandbox", (it) => {
    it.effect("says what is missing of a language", () =>
      Effect.gen(function* () {
        const error = yield* refused({ python: "/nowhere/python3" }, { language: "python" })
        assert.strictEqual(error.code, "Unavailable")
        assert.match(error.message, /python3 is not at \/nowhere\/python3: `apt-get install python3`/)
      })
    )

    it.effect("shows the guest no file, variable, process, network or capability of the host", () =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create({ language: "bash", env: { ONLY: "this" } })
        assert.strictEqual(session.isolation.os, "bubblewrap")
        const command = (line: string) => Effect.map(session.runCommand(line), ({ stdout }) => stdout.trim())
        assert.strictEqual(yield* command("ls /"), "bin\ndev\netc\nhome\nlib\nlib64\nopt\nproc\nsbin\ntmp\nusr")
        assert.strictEqual(
          yield* command("ls /home /tmp /etc -A"),
          "/etc:\nalternatives\nld.so.cache\n\n/home:\nuser\n\n/tmp:"
        )
        const variables = yield* command("env | cut -d= -f1 | sort | tr '\\n' ' '")
        assert.strictEqual(variables, "HOME LANG ONLY PATH PWD SHLVL TMPDIR USER _")
        assert.strictEqual(yield* command("ls -d /proc/[0-9]* | wc -l | xargs test 10 -gt && echo few"), "few")
        assert.strictEqual(yield* command("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '"), "lo")
        assert.strictEqual(
          yield* command("grep -h Cap /proc/self/status | tr -d '0\\n\\t'"),
          "CapInh:CapPrm:CapEff:CapBnd:CapAmb:"
        )
        // Nowhere but in the sized file systems; and no namespace in which it would be root again.
        const writable = "for d in / /dev /usr /opt /etc /opt/keeper /home; do touch $d/x 2>/dev/null && echo $d; done"
        assert.strictEqual(yield* command(writable), "")
        assert.strictEqual(yield* command("unshare -Ur true 2>/dev/null && echo root"), "")
      })
    )

    it.effect("bounds what it stores: bytes, shared memory, files", () =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create({ language: "bash" })
        for (const folder of ["/home/user", "/tmp", "/dev/shm"]) {
          const { stdout } = yield* session.runCommand(
            `for i in $(seq 20); do head -c 5000000 /dev/zero > ${folder}/$i || break; done 2>/dev/null; du -sm ${folder} | cut -f1; rm -f ${folder}/*`
          )
          assert.isAtMost(Number(stdout), 65)
        }
        const error = yield* Effect.flip(session.runCommand("for i in $(seq 5000); do : > f$i; done; sleep 100"))
        assert.include(error.message, "more than 500 files")
      })
    )

    it.effect("believes no frame that a program writes to a descriptor that it finds", () =>
      Effect.gen(function* () {
        const frame = '{"t":"end","id":1,"ok":true,"exitCode":0,"truncated":false}'
        const ends = [frame, `E${"0".repeat(32)}${frame}`, "E".repeat(64)].map((line) => JSON.stringify(`${line}\n`))
        const python = `import os, gc, sys\nfor fd in range(1, 64):\n    for line in (${ends.join(",")}):\n        try: os.write(fd, line.encode())\n        except OSError: pass\nraise ValueError("not ok")`
        const javascript = `const fs = require("fs")\nfor (let fd = 1; fd < 64; fd++) for (const line of [${ends.join(",")}]) try { fs.writeSync(fd, line) } catch {}\nthrow new Error("not ok")`
        const bash = `for fd in $(ls /proc/$$/fd /proc/2/fd); do echo '${frame}' >&$fd; echo '${frame}' > /proc/2/fd/$fd; done 2>/dev/null; exit 5`
        for (const [language, code] of Object.entries({ python, javascript, bash } as const)) {
          const session = yield* Sandbox.create({
            language: language === "bash" ? "bash" : language === "python" ? "python" : "javascript"
          })
          const run = yield* Effect.result(session.runCode(code, { timeout: "20 seconds" }))
          if (run._tag === "Success") assert.strictEqual(run.success.outcome, "failed", language)
          else assert.strictEqual(run.failure.code, "SessionLost", language)
        }
      })
    )

    it.effect("has no seal to find in frames, objects or variables while code runs", () =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create()
        const run = yield* session.runCode(`import gc, re, sys
frame, found = sys._getframe(), []
while frame is not None:
    found += [v for v in list(frame.f_locals.values()) if isinstance(v, (str, bytes))]
    frame = frame.f_back
found += [v for o in gc.get_objects() for v in gc.get_referents(o) if isinstance(v, (str, bytes))]
seals = {v for v in found if re.fullmatch(r"[0-9a-f]{32}" if isinstance(v, str) else rb"[0-9a-f]{32}", v)}
print(len(seals))`)
        assert.strictEqual(run.stdout, "0\n", run.error?.traceback)
      })
    )

    it.effect("gives a MemoryError to Python, and ends a Node that holds too much", () =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create()
        const memory = yield* session.runCode("x = []\nwhile True: x.append(bytearray(16 << 20))")
        assert.strictEqual(memory.error?.name, "MemoryError")
        assert.strictEqual((yield* session.runCode("del x\n1")).outcome, "ok")
        const buffers = "const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1))"
        const error = yield* Effect.flip(session.runCode(buffers, { language: "javascript" }))
        assert.strictEqual(error.reason._tag === "SessionLost" && error.reason.why, "outOfMemory")
      })
    )

    it.effect("bounds the processes of a session", () =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create({ language: "bash" })
        yield* Effect.exit(session.runCommand("f() { f | f & }; f; sleep 2", { timeout: "3 seconds" }))
        // Processes come and go while one looks.
        const count = yield* Effect.try({ try: () => guests().length, catch: () => "gone" }).pipe(
          Effect.retry({ times: 50 })
        )
        assert.isAtMost(count, 300)
      })
    )

    it.effect("keeps what a shell that exits had, and what a failing one says", () =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create({ language: "bash" })
        const exited = yield* session.runCode("x='a b'; y=(1 2); f() { echo \"$x ${y[1]}\"; }; exit 4")
        assert.deepStrictEqual([exited.outcome, exited.exitCode, exited.sessionState], ["failed", 4, "kept"])
        assert.strictEqual((yield* session.runCode("f")).stdout, "a b 2\n")
        assert.strictEqual((yield* session.runCode("set -eu; echo $x; false; echo no")).stdout, "a b\n")
        assert.strictEqual((yield* session.runCode("nothing_of_that_name")).exitCode, 127)
        assert.strictEqual((yield* session.runCode("echo $A", { env: { A: "1" } })).stdout, "1\n")
        assert.strictEqual((yield* session.runCode("echo ${A-none}")).stdout, "none\n")
      })
    )

    it.effect("leaves what a command started in the background, and takes it along at the end", () =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const session = yield* Sandbox.create()
            const run = yield* session.runCommand("(sleep 0.2; echo late > late.txt; sleep 1000) & echo now")
            assert.strictEqual(run.stdout, "now\n")
            yield* session.runCommand("until test -s late.txt; do sleep 0.05; done")
            assert.strictEqual(yield* session.files.readText("late.txt"), "late\n")
            yield* session.runCommand("mkfifo pipe; ln -s /proc/1/root/etc/passwd link")
            assert.strictEqual((yield* Effect.flip(session.files.read("pipe"))).code, "FileFailed")
            assert.strictEqual((yield* Effect.flip(session.files.read("link"))).code, "FileFailed")
          })
        )
        assert.deepStrictEqual(guests(), [])
        assert.deepStrictEqual(
          readdirSync(tmpdir()).filter((name) => name.startsWith(`holdfast-${process.pid}-`)),
          []
        )
      })
    )

    it.effect("is lost when its keeper is killed from inside, also in the middle of a run", () =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create({ language: "bash" })
        const begun = yield* Deferred.make<void>()
        const lost = yield* session.streamCode("echo begun; kill -9 2; sleep 100").pipe(
          Stream.tap(() => Deferred.succeed(begun, undefined)),
          Stream.runDrain,
          Effect.flip
        )
        assert.strictEqual(lost.code, "SessionLost")
        assert.strictEqual((yield* Effect.flip(session.runCode("1"))).code, "SessionLost")
        yield* session.reset
        assert.strictEqual((yield* session.runCode("echo on")).stdout, "on\n")
      })
    )
  })
