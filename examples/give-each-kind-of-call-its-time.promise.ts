/** Give each kind of call a time of its own with promises: a second to search, five to the model, and more where asked. */
import { VirtualTime } from "holdfast/testing"

// In a program of your own: `createClient({ llm, … })`. Here the seconds are virtual, and pass at once.
const time = VirtualTime.make()
const takes: Readonly<Record<string, number>> = { "/search": 2000, "/model": 4000, "/code": 8000 }
await using client = time.createClient({
  retry: { retries: 0 },
  timeout: { total: "1 minute" },
  // In place of the network.
  fetch: async (input) => {
    const { pathname } = new URL(String(input instanceof Request ? input.url : input))
    await time.sleep(takes[pathname] ?? 0)
    return new Response(`${pathname} is done`)
  },
  http: { baseUrl: "https://api.example.com" }
})

// The tiers. They share connections, slots and limits.
const quick = client.with({ timeout: "1 second" })
const patient = client.with({ timeout: "5 seconds" })
const slow = client.with({ timeout: "10 seconds" })

await time.run(async () => {
  for (const [tier, path] of [
    [quick, "/search"],
    [patient, "/model"],
    [slow, "/code"]
  ] as const) {
    const shown = await tier.http.get(path).then(
      (response) => response.text(),
      (error: Error) => error.message
    )
    console.log(shown)
  }
  // One call says it for itself, by the size of its work.
  const pages = 2
  console.log(await (await quick.http.get("/search", { timeout: pages * 1500 })).text())
})
// Output:
// https://api.example.com: the deadline of 1000 ms leaves no time; raise `total` or ask for less
// /model is done
// /code is done
// /search is done
