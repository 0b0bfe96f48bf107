/** Give up on a stream that sends keep-alives but no content, and keep the text that had arrived. */
import { Effect, Layer, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { Fault, ReplayServer } from "holdfast/testing"

const policy = Policy.make({ timeout: { firstContent: "2 seconds", idleContent: "500 millis" } })

// A server on loopback: after the first word, only comments, for ever.
const model = Layer.unwrap(
  Effect.gen(function* () {
    const faults = yield* Fault.plan({ kinds: ["stall"], rate: 1, maxInARow: 1 })
    const server = yield* ReplayServer.make({ answer: () => "Once upon a time", faults })
    return OpenAiLlm.layer({ baseUrl: server.url, model: "some-model", policy })
  })
).pipe(Layer.provide(UndiciHttpClient.layer()))

const program = Llm.streamText("Tell me a story").pipe(
  Stream.runDrain,
  Effect.catch(({ reason }) =>
    reason._tag === "StreamStalled"
      ? Effect.sync(() =>
          console.log(`no content for ${reason.timeoutMillis} ms, after ${JSON.stringify(reason.partial)}`)
        )
      : Effect.sync(() => console.log(reason.message))
  )
)

await Effect.runPromise(program.pipe(Effect.provide(model)))
// Output:
// no content for 500 ms, after "Once"
