/** Call a JSON API with promises: a base URL and headers for every request, queries, JSON and forms. */
import { once } from "node:events"
import { createServer } from "node:http"
import { text } from "node:stream/consumers"
import { createClient } from "holdfast/promise"

// A server on loopback that tells what it was asked.
const server = createServer(async (request, response) => {
  const { authorization, "content-type": type } = request.headers
  const asked = `${request.method} ${request.url} by ${authorization}`
  const body = type === undefined ? "no body" : `${type} ${await text(request)}`
  response.setHeader("content-type", "application/json").end(JSON.stringify({ asked, body }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/api`

{
  await using client = createClient({ http: { baseUrl, headers: { authorization: "Bearer secret" } } })
  const responses = [
    await client.http.get("/users", { query: { limit: 2, sort: "name" } }),
    await client.http.post("/users", { json: { name: "Ada" } }),
    await client.http.post("/login", { form: { user: "ada", remember: true } })
  ]
  for (const response of responses) {
    const { asked, body }: Record<string, unknown> = { ...Object(await response.json()) }
    console.log(response.status, `${asked}: ${body}`)
  }
}
server.close()
// Output:
// 200 GET /api/users?limit=2&sort=name by Bearer secret: no body
// 200 POST /api/users by Bearer secret: application/json {"name":"Ada"}
// 200 POST /api/login by Bearer secret: application/x-www-form-urlencoded user=ada&remember=true
