/** Send many requests at once over one connection: HTTP/2, with a certificate of one's own. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createSecureServer } from "node:http2"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"

// A server on loopback, and its key and certificate in one file.
const pem = readFileSync(new URL("localhost.pem", import.meta.url), "utf8")
let connections = 0
const server = createSecureServer({ key: pem, cert: pem }, (request, response) =>
  response.end(`HTTP/${request.httpVersion}`)
).on("secureConnection", () => connections++)
await once(server.listen(0, "127.0.0.1"), "listening")
const address = server.address()
const url = `https://127.0.0.1:${typeof address === "object" ? address?.port : address}/`

// HTTP/2 is spoken where the server offers it over TLS. `tls` is for servers whose certificate nobody else knows.
const http = UndiciHttpClient.layer({ connections: 1, tls: { ca: pem } })

const get = Effect.flatMap(HttpClient.get(url), (response) => response.text)
const program = Effect.gen(function* () {
  const answers = yield* Effect.forEach(Array(20).keys(), () => get, { concurrency: "unbounded" })
  console.log(`${answers.length} answers by ${answers[0]}, over ${connections} connection`)
})

await Effect.runPromise(program.pipe(Effect.provide(http)))
server.close()
// Output:
// 20 answers by HTTP/2.0, over 1 connection
