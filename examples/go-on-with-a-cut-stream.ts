/** Get the whole answer from a stream whose connection breaks in the middle: begin again, or go on where it broke. */
import { createServer, type ServerResponse } from "node:http"
import { text } from "node:stream/consumers"
import { Effect, Layer, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"

const story = ["Once", " upon", " a", " time", " there", " was", " a", " robot."]

const say = (outgoing: ServerResponse, delta: object, finish: string | null = null): Promise<void> =>
  new Promise((resolve) => {
    const chunk = { choices: [{ index: 0, delta, finish_reason: finish }] }
    outgoing.write(`data: ${JSON.stringify(chunk)}\n\n`, () => resolve())
  })

// A server on loopback that goes on from an answer's beginning, as vLLM does. Its first answer breaks after three words.
let requests = 0
const server = createServer(async (incoming, outgoing) => {
  const isBroken = requests++ === 0
  const { messages } = JSON.parse(await text(incoming))
  const last = messages.at(-1)
  const begun = last.role === "assistant" ? last.content : ""
  const rest = story.filter((_, index) => story.slice(0, index + 1).join("").length > begun.length)
  outgoing.writeHead(200, { "content-type": "text/event-stream" })
  for (const word of isBroken ? rest.slice(0, 3) : rest) await say(outgoing, { content: word })
  if (isBroken) {
    outgoing.destroy()
    return
  }
  await say(outgoing, {}, "stop")
  outgoing.end("data: [DONE]\n\n")
})

const url = Effect.acquireRelease(
  Effect.callback<string>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/v1`))
    })
  }),
  () => Effect.sync(() => server.close())
)

// How the server documents going on; for DeepSeek, Mistral and Anthropic's version 2023-06-01 the layer knows.
const model = Layer.unwrap(
  Effect.map(url, (baseUrl) => OpenAiLlm.layer({ baseUrl, model: "some-model", prefix: "continue_final_message" }))
).pipe(Layer.provide(UndiciHttpClient.layer()))

const read = Effect.fn(function* (onCut: Llm.OnCut) {
  requests = 0
  const question = Llm.toRequest("Tell me a story")
  const seen: Array<string> = []
  const said = yield* Llm.streamText({ ...question, onCut }).pipe(
    Stream.tap((event) => Effect.sync(() => seen.push(event.type === "text" ? event.text : `<${event.type}>`))),
    // A `reset` takes back what was said before it.
    Stream.runFold(() => Llm.collected, Llm.collect)
  )
  console.log(`${onCut}: ${seen.join("|")}`)
  console.log(`  ${said.text} (${said.finish?.attempts.map(({ outcome }) => outcome).join(", ")})`)
})

const program = Effect.gen(function* () {
  yield* read("restart")
  yield* read("continue")
  // The default: what arrived is in the error, and what to do is for the reader to say.
  const { reason } = yield* Effect.flip(read("fail"))
  console.log(`fail: ${reason._tag}${reason._tag === "StreamCut" ? `, after ${JSON.stringify(reason.partial)}` : ""}`)
})

await Effect.runPromise(program.pipe(Effect.provide(model)))
// Output:
// restart: Once| upon| a|<reset>|Once| upon| a| time| there| was| a| robot.|<finish>
//   Once upon a time there was a robot. (StreamCut, ok)
// continue: Once| upon| a| time| there| was| a| robot.|<finish>
//   Once upon a time there was a robot. (StreamCut, ok)
// fail: StreamCut, after "Once upon a"
