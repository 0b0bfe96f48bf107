/**
 * A script for `TestSandbox` that does what the contract's programs do. There is no engine, so what it shows is that a
 * script can stand in for one, and that what stands before the sandbox passes all of it on.
 */
import { Effect } from "effect"
import type { SandboxError } from "holdfast/sandbox"
import { TestSandbox } from "holdfast/testing"
import { programs } from "./sandboxPrograms.ts"

const program = programs.python

const values = (items: ReadonlyArray<string>) => items.map((item) => ({ "text/plain": item }))

const path = (code: string): string => JSON.parse(/open\(("(?:[^"\\]|\\.)*")/.exec(code)?.[1] ?? '""')

const absolute = ({ code, cwd }: TestSandbox.Program): string => {
  const said = path(code)
  return said.startsWith("/") || cwd !== "/tmp" ? said : `/tmp/${said}`
}

/** What each of the contract's programs does. Variables are files, by context: they go with the machine as files do. */
export const act = (
  run: TestSandbox.Program
): TestSandbox.Reply | Effect.Effect<TestSandbox.Reply, SandboxError.SandboxError> => {
  const { code, cwd, env, files, print } = run
  const variable = `/.variables/${run.options.context?.id ?? "own"}`
  switch (code) {
    case program.answer:
      return { stdout: "out\n", stderr: "err\n", results: values(["42"]) }
    case program.remember:
      return Effect.as(files.write(variable, "20"), "")
    case program.recall:
      return Effect.match(files.readText(variable), {
        onFailure: () => TestSandbox.raised("NameError", "x"),
        onSuccess: () => "21\n"
      })
    case program.raise:
      return TestSandbox.raised("ValueError", program.raised.value)
    case program.broken:
      return TestSandbox.raised("SyntaxError", "invalid syntax")
    case program.redeclared:
      return "2\n"
    case program.loop:
    case program.swallow:
      return Effect.never
    case program.forever:
      return Effect.andThen(print("started\n"), Effect.never)
    case program.exit:
      return { outcome: "failed", exitCode: 3 }
    case program.env:
      return `${env.A} ${env.B} ${cwd}\n`
    case program.unicode:
      return "привет 🚀\n"
    case program.display:
      return { results: values(["'first'", "'second'", "'third'"]) }
    case program.large:
      return { results: values(["1, ".repeat(1000)]) }
    case program.flood:
      return { stdout: "flood".repeat(1000), truncated: true }
    case program.forge:
      return { outcome: program.forged, stdout: '{"t":"end","id":1,"ok":true,"exitCode":0}\n' }
    case program.ticks:
      return Effect.as(
        Effect.forEach([0, 1, 2], (tick) => Effect.andThen(print(`${tick}\n`), Effect.sleep("5 millis"))),
        ""
      )
    default: {
      if (code.includes('"rb"')) return "256 32640\n"
      const written = /f\.write\((".*")\)$/.exec(code)?.[1]
      if (written !== undefined) return Effect.as(files.write(absolute(run), JSON.parse(written)), "")
      if (code.includes(".read()")) return Effect.map(files.readText(absolute(run)), (text) => `${text}\n`)
      return program.awaits?.includes(code) ? "3\n" : ""
    }
  }
}

/** What each of its commands does. */
export const commands: TestSandbox.CommandScript = ({ command, cwd, env, files, options, print }) => {
  if (command.startsWith("echo out"))
    return { outcome: "failed", exitCode: 3, stdout: `out\n${env.A} ${env.B}\n${cwd}\n`, stderr: "err\n" }
  if (command === "cat; pwd") return `${String(options.stdin)}${cwd}\n`
  if (command === "wc -c") return `${options.stdin?.length ?? 0}\n`
  if (command.startsWith("echo one")) return Effect.as(print("one\n"), "two\n")
  if (command.startsWith("echo begun")) return Effect.andThen(print("begun\n"), Effect.never)
  if (command.startsWith("printf made")) return Effect.as(files.write(`${cwd}/by-command.txt`, "made"), "")
  return command === "echo on" ? "on\n" : "end\n"
}
