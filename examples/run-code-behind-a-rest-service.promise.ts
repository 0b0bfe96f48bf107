/** Run code behind a plain REST service with promises: ten sandboxes at once, and none is left. */
import { Layer, ManagedRuntime } from "effect"
import { createClient } from "holdfast/promise"
import { SandboxServer, TestSandbox } from "holdfast/testing"

// A service of your own in the place of this one, which is scripted.
const scripted = TestSandbox.layer(({ code }) => {
  const [a, b] = code.match(/\d+/g) ?? []
  return `${Number(a) * Number(b)}\n`
})
const service = ManagedRuntime.make(SandboxServer.layer().pipe(Layer.provide(scripted)))
const { open, requests, url } = await service.runPromise(SandboxServer.SandboxServer)

{
  await using client = createClient({ sandbox: { provider: "rest", baseUrl: url } })
  const sessions = await Promise.all(Array.from({ length: 10 }, () => client.createSession({ language: "python" })))
  console.log("open:", await service.runPromise(open))

  const runs = await Promise.all(sessions.map((session, n) => session.runCode(`print(${n} * ${n})`)))
  console.log(runs.map(({ stdout }) => stdout.trim()).join(" "))
}
console.log("open after the client's block:", await service.runPromise(open))

const [{ method, path } = {}] = await service.runPromise(requests)
console.log(`the first request: ${method} ${path}`)
await service.dispose()
// Output:
// open: 10
// 0 1 4 9 16 25 36 49 64 81
// open after the client's block: 0
// the first request: POST /sandboxes
