/** Choose how a client connects: HTTP/2 with a certificate of one's own, a small pool, or a proxy. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer, request as forward } from "node:http"
import { createSecureServer } from "node:http2"
import type { Server } from "node:net"
import { createClient } from "holdfast/promise"

// On loopback: a server that speaks HTTP/2, one that speaks HTTP/1.1, and a proxy before that one.
const pem = readFileSync(new URL("localhost.pem", import.meta.url), "utf8")
const secure = createSecureServer({ key: pem, cert: pem }, (request, response) =>
  response.end(`HTTP/${request.httpVersion}`)
)
let connections = 0
const plain = createServer((request, response) => response.end(`by way of ${request.headers.via ?? "nobody"}`))
plain.on("connection", () => connections++)
const proxy = createServer(({ headers, method, url = "" }, response) =>
  forward(url, { method, headers: { ...headers, via: "1.1 proxy" } }, (answer) => answer.pipe(response)).end()
)
const hostOf = async (server: Server) => {
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return `127.0.0.1:${typeof address === "object" ? address?.port : address}`
}
const [secureUrl, plainUrl, proxyUrl] = [
  `https://${await hostOf(secure)}`,
  `http://${await hostOf(plain)}`,
  `http://ada:secret@${await hostOf(proxy)}`
]

{
  // HTTP/2 is spoken where the server offers it over TLS; `http2: false` keeps to HTTP/1.1.
  await using client = createClient({ http: { baseUrl: secureUrl, tls: { ca: pem } } })
  console.log(await (await client.http.get("/")).text())
}
{
  // The defaults are those of httpx: 100 connections to each origin, 20 of them kept when they are not used.
  await using client = createClient({ http: { baseUrl: plainUrl, connections: 3, keepAliveConnections: 1 } })
  await client.map(Array(12).keys(), () => client.http.get("/"), { concurrency: 12 })
  console.log(`12 requests at once, ${connections} connections`)
}
{
  await using client = createClient({ http: { baseUrl: plainUrl, proxy: { url: proxyUrl } } })
  console.log(await (await client.http.get("/")).text())
}
for (const server of [secure, plain, proxy]) server.close()
// Output:
// HTTP/2.0
// 12 requests at once, 3 connections
// by way of 1.1 proxy
