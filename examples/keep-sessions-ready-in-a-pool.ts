/** Keep sandbox sessions ready, so that nobody waits for a machine to start. */
import { Effect, Layer } from "effect"
import { LocalSandbox, Sandbox, SandboxPool } from "holdfast/sandbox"

// In constants: a pool, and what it stands on, are made once. Below could be E2B as well.
const machines = LocalSandbox.layer({ languages: ["javascript"], maxSessions: 4 })
const pool = SandboxPool.layer({ classes: [{ language: "javascript" }], min: 2, max: 4 })
const sandbox = Layer.provide(pool, machines)

const seen = new Set<string>()

const request = (name: string) =>
  Effect.gen(function* () {
    // One that is ready, checked by a run. No other caller has had it, and none will: it ends with this scope.
    const session = yield* Sandbox.create({ language: "javascript" })
    seen.add(session.id)
    const run = yield* session.runCode(`typeof before + ((globalThis.before = "${name}"), "")`)
    return run.results[0]?.["text/plain"]
  }).pipe(Effect.scoped)

const program = Effect.forEach(["a", "b", "c", "d", "e"], request, { concurrency: 2 })

const results = await Effect.runPromise(Effect.provide(program, sandbox))
console.log(results.join(" "))
console.log(seen.size, "sessions")
// Output:
// 'undefined' 'undefined' 'undefined' 'undefined' 'undefined'
// 5 sessions
