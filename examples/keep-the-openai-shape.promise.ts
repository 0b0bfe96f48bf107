/** Keep a program that was written for the `openai` package: change its import line, and its calls hold. */
import { Effect, Exit, Scope } from "effect"
import OpenAI from "holdfast/openai" // was: import OpenAI from "openai"
import { Fault, ReplayServer } from "holdfast/testing"

// A model on loopback with recorded answers, which is overloaded whenever it is first asked.
const scope = Scope.makeUnsafe()
const answer = ReplayServer.recorded([{ prompt: "semicolons", answers: ["Arr, they be optional."] }])
const faults = Fault.planUnsafe({ kinds: ["unavailable"], rate: 1, maxInARow: 1 })
const server = await Effect.runPromise(Scope.provide(ReplayServer.make({ answer, faults }), scope))

const client = new OpenAI({ apiKey: "any", baseURL: server.url })

const messages: Array<OpenAI.Chat.Completions.ChatCompletionMessageParam> = [
  { role: "developer", content: "Talk like a pirate." },
  { role: "user", content: "Are semicolons optional in JavaScript?" }
]

const completion = await client.chat.completions.create({ model: "some-model", messages })
console.log(completion.choices[0]?.message.content)

let text = ""
for await (const chunk of await client.chat.completions.create({ model: "some-model", messages, stream: true })) {
  text += chunk.choices[0]?.delta.content ?? ""
}
console.log(text)

const error = await client.chat.completions
  .create({ model: "some-model", messages: [{ role: "user", content: "And tabs?" }] })
  .catch((error: unknown) => error)
if (error instanceof OpenAI.NotFoundError) console.log(error.status, error.code)

console.log((await Effect.runPromise(server.requests)).length, "requests")
await Effect.runPromise(Scope.close(scope, Exit.void))
// Output:
// Arr, they be optional.
// Arr, they be optional.
// 404 not_found
// 5 requests
