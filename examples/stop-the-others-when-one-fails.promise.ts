/** Stop the others when one fails: those that run are aborted, those that wait do not begin, and each says how it ended. */
import { createClient, MapStopped } from "holdfast/promise"

// In place of the network: one page is not there, the others take for ever.
const fetch = async (input: string | URL | Request, init?: RequestInit) => {
  const { signal, url } = new Request(input, init)
  const { pathname } = new URL(url)
  if (pathname === "/b") return new Response("", { status: 404 })
  return new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
}

await using client = createClient({ http: { baseUrl: "https://pages.example" }, fetch })

const read = async (path: string, signal: AbortSignal): Promise<string> => {
  const response = await client.http.get(path, { signal })
  if (!response.ok) throw new Error(`${path} is ${response.status}`)
  return response.text()
}

// `Promise.all` rejects as soon, and leaves the others running. Here the signal that each is given ends them.
const pages = ["/a", "/b", "/c", "/d"]
const results = await client.map(pages, (path, { signal }) => read(path, signal), { concurrency: 3, stopOnError: true })
for (const result of results) {
  const { reason } = result.status === "rejected" ? result : { reason: undefined }
  console.log(reason instanceof MapStopped ? `stopped by ${pages[reason.index]}` : String(reason))
}
// Output:
// stopped by /b
// Error: /b is 404
// stopped by /b
// stopped by /b
