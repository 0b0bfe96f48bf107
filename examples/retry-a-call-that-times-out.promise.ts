/** Give up on a slow attempt and try again with promises, until the time of the whole call is over. */
import { VirtualTime } from "holdfast/testing"

// In a program of your own: `createClient({ … })`. Here the seconds are virtual, and pass at once.
const time = VirtualTime.make()
let slow = 2
await using client = time.createClient({
  timeout: { attempt: "2 seconds", total: "10 seconds" },
  retry: { retries: 10, base: "1 second", jitter: "none" },
  // In place of the network: slow at first.
  fetch: async () => {
    await time.sleep(slow-- > 0 ? "1 minute" : "100ms")
    return new Response("an answer")
  }
})

await time.run(async () => {
  const response = await client.http.get("https://api.example.com/")
  console.log(await response.text())
  for (const { outcome, waitMillis } of response.attempts)
    console.log(`${outcome} after a wait of ${waitMillis / 1000} s`)

  slow = 9
  await client.http.get("https://api.example.com/").catch((error: Error) => console.log(error.name))
})
// Output:
// an answer
// AttemptTimeout after a wait of 0 s
// AttemptTimeout after a wait of 1 s
// ok after a wait of 2 s
// DeadlineExceeded
