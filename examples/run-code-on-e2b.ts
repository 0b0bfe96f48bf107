/** Run code in E2B's cloud, and be told the truth of a program that was too slow: the program of any sandbox, with another layer. */
import { Effect, Layer, Redacted } from "effect"
import { Sandbox, E2bSandbox } from "holdfast/sandbox"
import { TestHttpClient } from "holdfast/testing"

const program = Effect.gen(function* () {
  // POST /v2/sandboxes, and at the scope's end DELETE /sandboxes/{id}, on failure and interruption too.
  const session = yield* Sandbox.create({ language: "python", lifetime: "10 minutes" })
  const run = yield* session.runCode("print('adding')\n40 + 2")
  console.log(run.stdout.trim(), run.results[0]?.["text/plain"])

  const slow = yield* session.runCode("while True: pass", { timeout: "100 millis" })
  console.log(slow.outcome, "variables", slow.sessionState)

  const failed = yield* session.runCode("import sys\nsys.exit(3)")
  console.log(failed.outcome, failed.exitCode)
}).pipe(Effect.scoped)

// Stands for the cloud, so that this runs without a key. With one, leave it out:
// `E2bSandbox.layerConfig()` over `UndiciHttpClient.layer({ http2: false })` reads E2B_API_KEY.
const lines = (...all: ReadonlyArray<object>) => all.map((line) => `${JSON.stringify(line)}\n`).join("")
const end = { type: "end_of_execution" }
const sandboxOf = { sandboxID: "i1", templateID: "t", envdVersion: "0.6.4", envdAccessToken: "secret" }

/** An execution that says no more than that it lives. */
const endless = () =>
  new Response(
    new ReadableStream({
      start: (body) => body.enqueue(new TextEncoder().encode(lines({ type: "keepalive" })))
    })
  )

const executions = [
  () => new Response(lines({ type: "stdout", text: "adding\n" }, { type: "result", text: "42", extra: {} }, end)),
  endless,
  () => new Response(lines(end)),
  () => new Response(lines({ type: "error", name: "SystemExit", value: "3", traceback: "" }, end))
]

const cloud = TestHttpClient.layer((request) => {
  const asked = `${request.method} ${new URL(request.url).pathname}`
  if (asked === "POST /v2/sandboxes") return Response.json(sandboxOf, { status: 201 })
  if (asked === "GET /contexts") return Response.json([{ id: "c1", language: "python", cwd: "/home/user" }])
  if (asked === "POST /execute") return executions.shift()?.() ?? new Response(null, { status: 500 })
  console.log(asked)
  return new Response(null, { status: 204 })
})

const sandbox = E2bSandbox.layer({ apiKey: Redacted.make("e2b_0123") }).pipe(Layer.provide(cloud))

await Effect.runPromise(Effect.provide(program, sandbox))
// Output:
// adding 42
// timedOut variables kept
// failed 3
// DELETE /sandboxes/i1
