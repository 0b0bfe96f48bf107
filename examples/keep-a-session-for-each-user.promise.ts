/** Keep a session for each user across the requests of a server, and close it when its user leaves. */
import { createClient, type Session } from "holdfast/promise"

await using client = createClient({ sandbox: { provider: "local", languages: ["javascript"] } })

// Promises, so that two requests of one user that come at the same time share the session that is being made.
const sessions = new Map<string, Promise<Session>>()
const sessionOf = (userId: string): Promise<Session> => {
  const known = sessions.get(userId)
  if (known !== undefined) return known
  const session = client.createSession({ userId, language: "javascript", lifetime: "1 hour" })
  // One that could not be made is tried again with the next request.
  session.catch(() => sessions.delete(userId))
  sessions.set(userId, session)
  return session
}

/** What a request handler does; runs of one session go one after another. */
const add = async (userId: string, price: number): Promise<string | undefined> => {
  const session = await sessionOf(userId)
  const run = await session.runCode(`globalThis.total = (globalThis.total ?? 0) + ${price}`)
  return run.results[0]?.["text/plain"]
}

console.log(await Promise.all([add("ada", 3), add("bob", 10), add("ada", 4), add("bob", 20)]))
console.log(sessions.size, "sessions")

await (await sessionOf("ada")).close()
sessions.delete("ada")
console.log(await add("ada", 5))
// The end of the client's block closes those that are left.
// Output:
// [ '3', '10', '7', '30' ]
// 2 sessions
// 5
