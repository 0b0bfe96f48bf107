/** Print an answer while the model is still writing it. */
import { Effect, Layer, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { ReplayServer } from "holdfast/testing"

const model = Layer.unwrap(
  Effect.map(ReplayServer.make({ answer: () => "The sky is blue because of scattering." }), ({ url }) =>
    OpenAiLlm.layer({ baseUrl: url, model: "some-model" })
  )
).pipe(Layer.provide(UndiciHttpClient.layer()))

const program = Llm.streamText("Why is the sky blue?").pipe(
  Stream.runForEach((event) =>
    Effect.sync(() => {
      if (event.type === "text") process.stdout.write(`${event.text}|`)
      // A stream that did not fail always ends with this event.
      if (event.type === "finish") console.log(`\n${event.finishReason}, ${event.usage.outputTokens} tokens`)
    })
  )
)

await Effect.runPromise(program.pipe(Effect.provide(model)))
// Output:
// The| sky| is| blue| because| of| scattering.|
// stop, 10 tokens
