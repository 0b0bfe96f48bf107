/** What attacks on the embedded sandbox found, and what holds since. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

const sandbox = LocalSandbox.layer({ os: "off", pool: { python: 0 }, limits: { resultBytes: 256 * 1024 } })

layer(sandbox, { excludeTestServices: true, timeout: "60 seconds" })("LocalSandbox under attack", (it) => {
  it.effect("tells a program nothing of where it is installed, and gives it random bytes", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const run = yield* session.runCode(
        "import sys, time\nprint(sys.executable, sys.orig_argv, sys.path, sys.prefix, time.tzname, time.timezone)\n" +
          "print(len(set(open('/dev/urandom', 'rb').read(64))) > 8, len(open('/dev/random', 'rb').read(70_000)))"
      )
      assert.notInclude(run.stdout, process.cwd())
      assert.notInclude(run.stdout, "guest.")
      assert.include(run.stdout, "UTC")
      assert.include(run.stdout, "True 70000")
    })
  )

  it.effect("counts results that hold nothing, and looks at a large one before it reads it", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const many = yield* session.runCode("import os\nfor _ in range(5000): os.write(3, b'R{}')")
      assert.isTrue(many.truncated)
      assert.isAtMost(many.results.length, 1024)
      const large = yield* session.runCode("os.write(3, b'R{\"text/plain\": \"' + b'x' * (1 << 20) + b'\"}')")
      assert.isTrue(large.truncated)
      assert.deepStrictEqual(large.results, [])
    })
  )

  it.effect("bounds paths and the names that a rename gives", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const run = yield* session.runCode(
        "import os\nopen('a', 'w').close()\n" +
          "for call in (lambda: os.stat('/' + '../' * 5000), lambda: os.mkdir('x' * 100_000), lambda: os.rename('a', 'n' * 300)):\n" +
          "    try: call()\n    except OSError as error: print(error.errno)"
      )
      assert.strictEqual(run.stdout, "37\n37\n37\n")
      assert.deepStrictEqual(
        (yield* session.files.list()).map(({ name }) => name),
        ["a"]
      )
    })
  )

  it.effect("keeps a JavaScript session whose program recurses without end", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ language: "javascript" })
      for (const code of [
        "const f = (n) => f(n + 1) + 1; f(0)",
        "JSON.parse('['.repeat(1e6))",
        "const o = { get x() { return this.x } }; o.x"
      ]) {
        const run = yield* session.runCode(code)
        assert.strictEqual(run.outcome, "failed")
        assert.include(`${run.error?.value}`, "stack overflow")
      }
    })
  )
})
