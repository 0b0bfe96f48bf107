/** How many calls at a time can the server take? Let a client find out, and follow when it changes. */
import { VirtualTime } from "holdfast/testing"

// In a program of your own: `createClient({ … })`. Here the minutes are virtual, and pass at once.
const time = VirtualTime.make()
// In place of the network: a server that answers 429 to more calls than it has room for.
const server = { room: 5, inFlight: 0, answers: 0 }
await using client = time.createClient({
  maxConcurrency: 100,
  adaptive: { initial: 10 },
  retry: { retries: 10 },
  retryBudget: false,
  fetch: async () => {
    const isTooMuch = ++server.inFlight > server.room
    await time.sleep(isTooMuch ? "50ms" : "1 second")
    server.inFlight--
    if (!isTooMuch) server.answers++
    return new Response("", { status: isTooMuch ? 429 : 200 })
  },
  http: { baseUrl: "https://api.example.com" }
})

for (const room of [5, 10, 5]) {
  Object.assign(server, { room, answers: 0 })
  const began = time.elapsed()
  await time.run(() => client.map(Array(100).keys(), () => client.http.get("/"), { concurrency: 30 }))
  const used = 100 / (room * ((time.elapsed() - began) / 1000))
  console.log(`room for ${room}: ${server.answers} answers, ${used > 0.5 ? "over" : "under"} half of it is used`)
}
// Output:
// room for 5: 100 answers, over half of it is used
// room for 10: 100 answers, over half of it is used
// room for 5: 100 answers, over half of it is used
