/** Give a program its environment and its time by options of one call; here a program that fails is an error. */
import { createClient, SandboxError } from "holdfast/promise"

await using client = createClient({ sandbox: { provider: "local" } })

const code = `
const { cwd, env, exit } = process
console.log(env.GREETING, "from", cwd())
if (env.GREETING === undefined) exit(3)`

// A session for one program: there before it, gone after it.
const run = await client.executeCode(code, "javascript", {
  timeout: "10 seconds",
  env: { GREETING: "Hello" },
  cwd: "/tmp"
})
console.log(run.stdout.trim())
console.log(`less than 10 s: ${run.durationMs < 10_000}, memory is known: ${run.memoryBytes > 0}`)

const error = await client.executeCode(code, "javascript").catch((error: unknown) => error)
if (error instanceof SandboxError && error.reason._tag === "ExecutionFailed") {
  console.log(`exit code ${error.reason.exitCode}, after ${JSON.stringify(error.reason.stdout)}`)
}
// Output:
// Hello from /tmp
// less than 10 s: true, memory is known: true
// exit code 3, after "undefined from /home/user\n"
