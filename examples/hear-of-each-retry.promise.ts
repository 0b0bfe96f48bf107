/** Hear of each retry before its wait, and look back at the attempts when the call is over, with promises. */
import { createClient } from "holdfast/promise"

// In place of the network: a server that is down twice. In production there is no `fetch`.
let requests = 0
const fetch: typeof globalThis.fetch = async () => {
  if (++requests < 3) return new Response("", { status: 503 })
  return new Response("done")
}

await using client = createClient({
  fetch,
  retry: {
    base: "10 millis",
    jitter: "none",
    // Before each wait; a promise that it returns is waited for.
    onRetry: ({ key, retry, waitMs }) => console.log(`${key}: retry ${retry} in ${waitMs} ms`)
  }
})

const response = await client.http.get("https://api.example.com/")
console.log(await response.text())
for (const { outcome, waitCause, waitMillis } of response.attempts)
  console.log(`${outcome}, after a wait of ${waitMillis} ms (${waitCause})`)
// Output:
// https://api.example.com: retry 1 in 10 ms
// https://api.example.com: retry 2 in 20 ms
// done
// Status503, after a wait of 0 ms (none)
// Status503, after a wait of 10 ms (backoff)
// ok, after a wait of 20 ms (backoff)
