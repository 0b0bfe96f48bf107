/** Give a whole piece of work ten seconds with promises; every call inside has what is left of them. */
import type { Derived } from "holdfast/promise"
import { VirtualTime } from "holdfast/testing"

// In a program of your own: `createClient({ … })`. Here the seconds are virtual, and pass at once.
const time = VirtualTime.make()
await using client = time.createClient({
  timeout: { total: "1 minute" },
  // In place of the network: each answer takes four seconds.
  fetch: async () => {
    await time.sleep("4 seconds")
    return new Response("done")
  },
  http: { baseUrl: "https://api.example.com" }
})

/** A piece of work, with as many calls as it likes. Each has a minute of its own, but the work around has less. */
const report = async ({ http }: Derived) => {
  for (const step of ["search", "read", "write"]) {
    await http.get(`/${step}`)
    console.log(`${step} is done after ${time.elapsed() / 1000} s`)
  }
}

await time.run(() =>
  report(client.with({ deadline: "10 seconds" })).catch((error: Error) =>
    console.log(`${error.name} after ${time.elapsed() / 1000} s`)
  )
)
// Output:
// search is done after 4 s
// read is done after 8 s
// DeadlineExceeded after 10 s
