/** Print an answer while the model is still writing it, and have the whole of it afterwards. */
import { Effect, Exit, Scope } from "effect"
import { createClient } from "holdfast/promise"
import { ReplayServer } from "holdfast/testing"

// A model server on loopback with recorded answers.
const scope = Scope.makeUnsafe()
const answer = () => "The sky is blue because of scattering."
const server = await Effect.runPromise(Scope.provide(ReplayServer.make({ answer }), scope))

{
  await using client = createClient({ llm: { provider: "openai", baseUrl: server.url, model: "some-model" } })

  const stream = client.streamText("Why is the sky blue?")
  for await (const event of stream) if (event.type === "text") process.stdout.write(`${event.text}|`)

  // Before, beside or after the loop, or without one.
  const { finishReason, text, usage } = await stream.result()
  console.log(`\n${finishReason}, ${usage.outputTokens} tokens, ${text.length} characters`)

  // What a server sends on: a web stream, in the place of a loop.
  const response = new Response(client.streamText("Why?").toTextStream().pipeThrough(new TextEncoderStream()))
  console.log(await response.text())
}
await Effect.runPromise(Scope.close(scope, Exit.void))
// Output:
// The| sky| is| blue| because| of| scattering.|
// stop, 10 tokens, 38 characters
// The sky is blue because of scattering.
