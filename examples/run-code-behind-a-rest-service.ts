/** Run code behind a plain REST service, ten sandboxes at once: the program of any other sandbox, with another layer. */
import { Effect, Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { RestSandbox, Sandbox } from "holdfast/sandbox"
import { SandboxServer, TestSandbox } from "holdfast/testing"

const program = Effect.gen(function* () {
  // POST /sandboxes, POST /sandboxes/{id}/execute, and at the scope's end DELETE /sandboxes/{id}.
  const session = yield* Sandbox.create({ language: "python" })
  const run = yield* session.runCode("print(6 * 7)", { timeout: "5 seconds" })
  console.log(run.outcome, run.stdout.trim())

  const squares = yield* Effect.forEach(
    Array.from({ length: 10 }, (_, n) => n),
    (n) => Sandbox.runCode(`print(${n} * ${n})`),
    { concurrency: "unbounded" }
  )
  console.log(squares.map((square) => square.stdout.trim()).join(" "))
}).pipe(Effect.scoped)

// A service of your own in the place of this one, which is scripted; `LocalSandbox.layer()` behind it runs the code.
const scripted = TestSandbox.layer(({ code }) => {
  const [a, b] = code.match(/\d+/g) ?? []
  return `${Number(a) * Number(b)}\n`
})
const server = SandboxServer.layer().pipe(Layer.provide(scripted))

const checked = Effect.gen(function* () {
  const { open, url } = yield* SandboxServer.SandboxServer
  const sandbox = RestSandbox.layer({ baseUrl: url }).pipe(Layer.provide(UndiciHttpClient.layer()))
  yield* Effect.provide(program, sandbox)
  console.log("left on the server:", yield* open)
})

await Effect.runPromise(Effect.provide(checked, server))
// Output:
// ok 42
// 0 1 4 9 16 25 36 49 64 81
// left on the server: 0
