/** Bound the connections of a client, and how many of them are kept for later when there is nothing to do. */
import { once } from "node:events"
import { createServer } from "node:http"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"

// A server on loopback that counts its connections, and closes none itself.
const { promise: twoAreClosed, resolve } = Promise.withResolvers<void>()
let [opened, closed] = [0, 0]
const server = createServer((_, response) => response.end("hello")).on("connection", (socket) => {
  opened++
  socket.once("close", () => ++closed === 2 && resolve())
})
server.keepAliveTimeout = 0
await once(server.listen(0, "127.0.0.1"), "listening")
const address = server.address()
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/`

const get = Effect.flatMap(HttpClient.get(url), (response) => response.text)

const program = Effect.gen(function* () {
  yield* Effect.forEach(Array(12).keys(), () => get, { concurrency: "unbounded" })
  console.log(`12 requests at once, ${opened} connections`)
  yield* Effect.promise(() => twoAreClosed)
  console.log(`not used, ${opened - closed} is kept`)
  yield* get
  console.log(`one more request, ${opened} connections in all`)
})

// The defaults are those of httpx: 100 connections to each origin, 20 kept over all of them, each for 4 seconds.
const http = UndiciHttpClient.layer({ connections: 3, keepAliveConnections: 1, keepAlive: "1 minute" })
await Effect.runPromise(program.pipe(Effect.provide(http)))
server.close()
// Output:
// 12 requests at once, 3 connections
// not used, 1 is kept
// one more request, 3 connections in all
