/** Stop a program by its time, or by a signal when nobody waits for it any more, and go on in the same session. */
import { createClient, SandboxError } from "holdfast/promise"

// `grace` is how long a program may take to stop before it is killed, which loses its variables.
await using client = createClient({ sandbox: { provider: "local", languages: ["javascript"], grace: "5 seconds" } })
await using session = await client.createSession({ language: "javascript" })
await session.runCode("let answer = 42")

// In a session it is a value how a program ended.
const late = await session.runCode("for (;;);", { timeout: "300 millis" })
console.log(late.outcome, late.exitCode, late.sessionState)

// An abort rejects with the signal's reason, and stops the program.
const signal = AbortSignal.timeout(300)
const left = await session.runCode("for (;;);", { signal }).catch((error: unknown) => error)
if (left instanceof DOMException) console.log(left.name)

const { results } = await session.runCode("answer")
console.log("still there:", results[0]?.["text/plain"])

// `executeCode` gives the answer of a program that is done, or rejects.
const error = await client
  .executeCode("for (;;);", "javascript", { timeout: "300 millis" })
  .catch((error: unknown) => error)
if (error instanceof SandboxError) console.log(error.code)
// Output:
// timedOut 124 kept
// TimeoutError
// still there: 42
// ExecutionTimeout
