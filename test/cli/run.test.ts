import { assert, describe, it } from "vitest"
import { files, holdfast } from "./program.ts"

const given = files({
  "exit.py": 'import sys\nprint("out")\nprint("err", file=sys.stderr)\nsys.exit(3)\n',
  "raise.py": "def f():\n    return 1 / 0\nf()\n",
  "hello.ts": 'const double = (n: number): number => n * 2\nconsole.log("hello from", [1, 2].map(double).join())\n',
  "escape.py": 'print("\\x1b[31mred\\x1b[0m\\x07 \\x1b]0;title\\x07end")\n',
  "endless.js": "for (;;) {}\n"
})

describe("holdfast run", () => {
  it("gives a program's output and its exit code", async () => {
    assert.deepStrictEqual(await holdfast(["run", given["exit.py"]]), { code: 3, stdout: "out\n", stderr: "err\n" })
  })

  it("runs TypeScript by the file's name", async () => {
    const { code, stdout } = await holdfast(["run", given["hello.ts"]])
    assert.strictEqual(stdout, "hello from 2,4\n")
    assert.strictEqual(code, 0)
  })

  it("prints the traceback of a failed program and ends with 1", async () => {
    const { code, stderr } = await holdfast(["run", given["raise.py"]])
    assert.include(stderr, "ZeroDivisionError: division by zero")
    assert.strictEqual(stderr.split("ZeroDivisionError").length, 2)
    assert.strictEqual(code, 1)
  })

  it("prints the value of a line's last expression", async () => {
    assert.deepInclude(await holdfast(["run", "-c", "x = 6\nx * 7"]), { code: 0, stdout: "42\n" })
  })

  it("stops a program at its timeout and ends with 124", async () => {
    const { code, stderr } = await holdfast(["run", given["endless.js"], "--timeout", "1s"])
    assert.include(stderr, "stopped after 1 s")
    assert.strictEqual(code, 124)
  })

  it("takes terminal escapes out of what a program prints", async () => {
    assert.strictEqual((await holdfast(["run", given["escape.py"]])).stdout, "red end\n")
  })
})
