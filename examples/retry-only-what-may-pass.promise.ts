/** Say with promises what to try again: by the failure, by the result, or as the server says. */
import { createClient, type RetryOptions } from "holdfast/promise"

// In place of the network: a server that says no at first. In production there is no `fetch`.
const seen = new Map<string, number>()
const fetch: typeof globalThis.fetch = async (input) => {
  const { pathname } = new URL(String(input instanceof Request ? input.url : input))
  const requests = (seen.get(pathname) ?? 0) + 1
  seen.set(pathname, requests)
  return new Response("", { status: requests === 1 ? Number(pathname.slice(1)) : 200 })
}

const statusOf = (u: unknown): unknown => (typeof u === "object" && u !== null && "status" in u ? u.status : undefined)

const show = async (name: string, retry: RetryOptions) => {
  seen.clear()
  await using client = createClient({ fetch, http: { baseUrl: "https://api.example.com" }, retry })
  const shown: Array<string> = []
  for (const path of ["/429", "/503", "/404", "/202"]) {
    const { attempts, status } = await client.http.get(path)
    shown.push(`${path} ${attempts.length === 1 ? "once" : "twice"}, ${status}`)
  }
  console.log(`${name}: ${shown.join("; ")}`)
}

await show("by default", { base: 1 })
// Only what is too busy, and not what is down.
await show("by the failure", { base: 1, retryIf: (error) => statusOf(error) === 429 })
// An answer that is not ready yet.
await show("by the result", { base: 1, retryWhen: (response) => statusOf(response) === 202 })
// Output:
// by default: /429 twice, 200; /503 twice, 200; /404 once, 404; /202 once, 202
// by the failure: /429 twice, 200; /503 once, 503; /404 once, 404; /202 once, 202
// by the result: /429 twice, 200; /503 twice, 200; /404 once, 404; /202 twice, 200
