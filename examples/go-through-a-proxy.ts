/** Send requests through a proxy that asks for a user and a password. */
import { once } from "node:events"
import { createServer, request as forward } from "node:http"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"

// A server on loopback, and a proxy before it. What goes to https: a proxy tunnels by CONNECT.
const server = createServer((request, response) => response.end(`hello by way of ${request.headers["via"]}`))
const proxy = createServer((request, response) => {
  const { "proxy-authorization": login = "", ...headers } = request.headers
  const user = Buffer.from(login.slice("Basic ".length), "base64").toString()
  console.log(`${user} asks for ${request.method} ${new URL(String(request.url)).pathname}`)
  const { method, url = "" } = request
  request.pipe(forward(url, { method, headers: { ...headers, via: "1.1 proxy" } }, (answer) => answer.pipe(response)))
})
const portOf = async (listener: typeof server) => {
  await once(listener.listen(0, "127.0.0.1"), "listening")
  const address = listener.address()
  return typeof address === "object" ? address?.port : address
}
const url = `http://127.0.0.1:${await portOf(server)}/page`

const http = UndiciHttpClient.layer({ proxy: { url: `http://ada:secret@127.0.0.1:${await portOf(proxy)}` } })

const program = Effect.flatMap(HttpClient.get(url), (response) => response.text)
console.log(await Effect.runPromise(program.pipe(Effect.provide(http))))
server.close()
proxy.close()
// Output:
// ada:secret asks for GET /page
// hello by way of 1.1 proxy
