/** Send more than a minute allows: at most five requests a minute and two at a time, the rest waits for its turn. */
import { VirtualTime } from "holdfast/testing"

// In a program of your own: `createClient({ … })`. Here the minutes are virtual, and pass at once.
const time = VirtualTime.make()
let inFlight = 0
let most = 0
await using client = time.createClient({
  rateLimit: { requestsPerMinute: 5 },
  maxConcurrency: 2,
  // In place of the network: a server that takes three seconds.
  fetch: async () => {
    most = Math.max(most, ++inFlight)
    await time.sleep("3 seconds")
    inFlight--
    return new Response("an answer")
  },
  http: { baseUrl: "https://api.example.com" }
})

const names = ["a", "b", "c", "d", "e", "f", "g"]
await time.run(() =>
  client.map(names, async (name) => {
    await client.http.get(`/${name}`)
    console.log(`${name} is answered after ${Math.floor(time.elapsed() / 1000)} s`)
  })
)
console.log(`at most ${most} at once`)
// Output:
// a is answered after 3 s
// b is answered after 3 s
// c is answered after 6 s
// d is answered after 6 s
// e is answered after 9 s
// f is answered after 63 s
// g is answered after 63 s
// at most 2 at once
