/** Give a program its environment, its folder and its time, and know how it went: output, exit code, time and memory. */
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

const program = Effect.gen(function* () {
  const session = yield* Sandbox.create({ language: "javascript" })
  yield* session.files.write("/home/user/work/name.txt", "Ada")

  // For this run alone; `env` and `cwd` of `Sandbox.create` hold for all runs of the session.
  const run = yield* session.runCode(
    `const { env, exit } = process
     console.log(env.GREETING, require("fs").readFileSync("name.txt", "utf8"))
     exit(3)`,
    { timeout: "10 seconds", env: { GREETING: "Hello" }, cwd: "/home/user/work" }
  )
  console.log(run.stdout.trim())
  console.log(`${run.outcome}, exit code ${run.exitCode}`)
  console.log(`less than 10 s: ${run.durationMillis < 10_000}, memory is known: ${run.memoryBytes > 0}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(LocalSandbox.layer())))
// Output:
// Hello Ada
// failed, exit code 3
// less than 10 s: true, memory is known: true
