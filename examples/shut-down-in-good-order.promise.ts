/** Close a client at SIGTERM: calls under way finish, new ones are refused, and the process ends with 143. */
import { closeOnSignals, createClient, Draining, type SignalOptions } from "holdfast/promise"
import { ReplayServer } from "holdfast/testing"
import { Effect, Exit, Scope } from "effect"

// In place of a model, on loopback.
const scope = Scope.makeUnsafe()
const server = await Effect.runPromise(Scope.provide(ReplayServer.make({ answer: () => "A late answer" }), scope))

// In place of the process, so that this example ends with 0: a program of one's own leaves `host` out.
const { promise: exitCode, resolve: exit } = Promise.withResolvers<number>()
const host: SignalOptions["host"] = {
  onSignal: (listener) => {
    process.once("SIGTERM", () => listener("SIGTERM"))
    return () => {}
  },
  exit
}

const client = createClient({ llm: { provider: "openai", baseUrl: server.url, model: "some-model" } })
closeOnSignals(client, {
  grace: "8 seconds",
  onClosed: ({ report }) => console.log(`${report?.finished} finished, ${report?.interrupted} interrupted`),
  host
})

const answer = client.generateText("Take your time")
process.once("SIGTERM", async () => {
  const refused = await client.generateText("One more").catch((error: unknown) => error)
  console.log(refused instanceof Draining ? "a new call is refused" : "a new call is taken")
})
process.kill(process.pid, "SIGTERM")

console.log((await answer).text)
console.log(`the exit code is ${await exitCode}`)
await Effect.runPromise(Scope.close(scope, Exit.void))
// Output:
// a new call is refused
// A late answer
// 1 finished, 0 interrupted
// the exit code is 143
