/** Tell errors apart: a wrong key, nobody there, too late, a program that raised. Each service has one error with a reason. */
import { Effect, Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"
import { TestHttpClient } from "holdfast/testing"

// The compiler knows the reasons; those that are not caught here stay in the type.
const ask = Llm.generateText("What is 6 x 7?").pipe(
  Effect.map(({ text }) => text),
  Effect.catchReasons("LlmError", {
    Unauthorized: ({ status }) => Effect.succeed(`the key is wrong (${status})`),
    Unreachable: (_, { attempts }) => Effect.succeed(`nobody is there, asked ${attempts.length} times`),
    DeadlineExceeded: ({ totalMillis }) => Effect.succeed(`no answer within ${totalMillis} ms`)
  })
)

// Three models that do not answer: one refuses the key, one is not there, one is silent.
const apiKey = Redacted.make("your key")
const refusing = OpenAiLlm.layer({ apiKey, model: "some-model" }).pipe(
  Layer.provide(TestHttpClient.layer(() => new Response("{}", { status: 401 })))
)
const absent = OpenAiLlm.layer({
  baseUrl: "http://127.0.0.1:1/v1",
  model: "some-model",
  policy: Policy.make({ retry: { retries: 1, base: "10 millis" } })
}).pipe(Layer.provide(UndiciHttpClient.layer()))
const silent = OpenAiLlm.layer({
  apiKey,
  model: "some-model",
  policy: Policy.make({ timeout: { total: "300 millis" } })
}).pipe(Layer.provide(TestHttpClient.layer(() => Effect.never)))
for (const model of [refusing, absent, silent]) console.log(await Effect.runPromise(ask.pipe(Effect.provide(model))))

// A program that raises is an answer of the sandbox: the error channel is for the sandbox itself.
const run = Sandbox.runCode("function half(n) { return n.toFixed(0) / 2 }\nhalf(null)", {
  language: "javascript"
}).pipe(Effect.provide(LocalSandbox.layer({ languages: ["javascript"] })))
const { error } = await Effect.runPromise(run)
console.log(`${error?.name}: ${error?.value}`)
console.log(error?.traceback)
// Output:
// the key is wrong (401)
// nobody is there, asked 2 times
// no answer within 300 ms
// TypeError: cannot read property 'toFixed' of null
// TypeError: cannot read property 'toFixed' of null
//     at half (<cell 1>:1:28)
//     at <eval> (<cell 1>:2:5)
