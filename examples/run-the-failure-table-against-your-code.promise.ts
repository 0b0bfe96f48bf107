/** Does my code hold when the world misbehaves? Run the failure table against any function that makes a call. */
import { createClient } from "holdfast/promise"
import { Conformance } from "holdfast/testing"

/** The code under test, as somebody writes it first. */
const naive = async (url: string, { signal }: Conformance.Call) => {
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })
  const response = await fetch(`${url}/chat/completions`, { method: "POST", body, signal })
  const { choices } = await response.json()
  return choices[0].message.content
}

/** The same by a client of holdfast, made for the server of each row. */
const held = Conformance.ofClient(({ retries, times, url }) =>
  createClient({
    llm: { provider: "openai", apiKey: "k", baseUrl: url, model: "m" },
    timeout: times,
    retry: { retries, base: 1 }
  })
)

// In a test, all of them: for (const row of Conformance.rows) it(row.name, () => Conformance.check(row, held))
const only = Conformance.rows.filter(({ id }) => ["exhausted", "quota", "overload"].includes(id))

console.log(Conformance.print(await Conformance.run(naive, { only })))
console.log(Conformance.print(await Conformance.run(held, { only })))
// Output:
// failed  overload: 529 is asked again
//         1 requests reached the server, 2 were expected; the call failed: Cannot read properties of undefined (reading '0')
// failed  overload: 503 slow_down is asked again
//         1 requests reached the server, 2 were expected; the call failed: Cannot read properties of undefined (reading '0')
// failed  exhausted: a server that is down is an error, and never an answer
//         1 requests reached the server, 3 were expected
// 1 held, 3 failed, 0 skipped
// 4 held, 0 failed, 0 skipped
