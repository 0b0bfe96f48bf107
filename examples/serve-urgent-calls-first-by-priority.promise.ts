/** Serve the people who wait before the reports that run at night, and every customer in turn, with promises. */
import { createClient } from "holdfast/promise"

// In place of the network. In production there is no `fetch`.
const served: Array<string> = []
const fetch: typeof globalThis.fetch = async (input) => {
  const { pathname } = new URL(new Request(input).url)
  served.push(pathname.slice(1).replace("-", " "))
  return new Response("")
}

await using client = createClient({ fetch, http: { baseUrl: "https://api.example.com" }, maxConcurrency: 1 })

// Who the calls are for. They share the slots of the client.
const reports = client.with({ priority: "low" }).http
const anna = client.with({ priority: "high", tenant: "anna" }).http
const bert = client.with({ priority: "high", tenant: "bert" }).http

// The first report has the slot when the others come.
await Promise.all([
  ...[1, 2, 3].map((n) => reports.get(`/report-${n}`)),
  client.http.get("/summary"),
  ...[1, 2, 3].map((n) => anna.get(`/anna-${n}`)),
  bert.get("/bert-1")
])
console.log(served.join(", "))
// Output:
// report 1, anna 1, bert 1, anna 2, anna 3, summary, report 2, report 3
