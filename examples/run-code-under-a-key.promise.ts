/** Make a sandbox and run code under one key, so that a service that knows keys does neither twice. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient } from "holdfast/promise"

// A service that is busy at first.
let requests = 0
const service = createServer(({ headers, method, url }, response) => {
  console.log(method, url, headers["x-order"], headers["idempotency-key"] ?? "no key")
  if (++requests === 1) response.writeHead(503, { "retry-after": "0" }).end()
  else if (url === "/sandboxes") response.end(JSON.stringify({ id: "s1" }))
  else response.end(JSON.stringify({ stdout: "42\n", exitCode: 0 }))
}).listen(0, "127.0.0.1")
await once(service, "listening")
const address = service.address()
const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`

const client = createClient({ sandbox: { provider: "rest", baseUrl } })
const { stdout } = await client.executeCode("print(6 * 7)", "python", {
  idempotencyKey: "order-7",
  headers: { "x-order": "7" },
  priority: "high"
})
console.log(stdout.trim())

await client.close()
service.close()
// Output:
// POST /sandboxes 7 order-7
// POST /sandboxes 7 order-7
// POST /sandboxes/s1/execute 7 order-7-2
// DELETE /sandboxes/s1 7 no key
// 42
