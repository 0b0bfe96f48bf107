/** Serve a chat with HttpApi: a browser that leaves interrupts the call to the model, and SIGTERM lets answers finish. */
import { createServer } from "node:http"
import { NodeHttpServer } from "@effect/platform-node"
import { Config, Console, Duration, Effect, Layer, Schema, Sink, Stream } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, type LlmError, OpenAiLlm } from "holdfast/llm"
import { Shutdown } from "holdfast/policy"

// What the browser may know. The rest, such as a wrong key or an empty account, is ours to mend: a 502, and a log.
class TooMany extends Schema.TaggedError<TooMany>()("TooMany", { seconds: Schema.Int }) {}
class TooLong extends Schema.TaggedError<TooLong>()("TooLong", {}, { httpApiStatus: 413 }) {}
class TooLate extends Schema.TaggedError<TooLate>()("TooLate", {}, { httpApiStatus: 504 }) {}
class Busy extends Schema.TaggedError<Busy>()("Busy", {}, { httpApiStatus: 503 }) {}
class BadGateway extends Schema.TaggedError<BadGateway>()("BadGateway", {}, { httpApiStatus: 502 }) {}
const Refusal = Schema.Union([TooMany, TooLong, TooLate, Busy, BadGateway])

const toRefusal = ({ code, retryAfter }: LlmError.LlmError): typeof Refusal.Type => {
  if (code === "RateLimited") return new TooMany({ seconds: Math.ceil(Duration.toSeconds(retryAfter ?? "1 second")) })
  if (code === "ContextLengthExceeded") return new TooLong()
  if (code === "FirstContentTimeout" || code === "DeadlineExceeded") return new TooLate()
  return ["Overloaded", "Shed", "CircuitOpen", "Draining"].includes(code) ? new Busy() : new BadGateway()
}

const error = [
  TooMany.pipe(
    HttpApiSchema.encodeToWithHeaders(
      { body: Schema.Struct({}).annotate({ httpApiStatus: 429 }), headers: { "retry-after": Schema.Int } },
      {
        decode: ({ headers }) => new TooMany({ seconds: headers["retry-after"] }),
        encode: ({ seconds }) => ({ body: {}, headers: { "retry-after": seconds } })
      }
    )
  ),
  TooLong,
  TooLate,
  Busy,
  BadGateway
]
const payload = Schema.Struct({ prompt: Schema.NonEmptyString.check(Schema.isMaxLength(64 * 1024)) })
const Text = Schema.Struct({ text: Schema.String })
const success = HttpApiSchema.StreamSse({ data: Text, error: Refusal })
const chat = HttpApiGroup.make("chat").add(
  HttpApiEndpoint.post("answer", "/chat", { payload, success: Text, error }),
  HttpApiEndpoint.post("stream", "/chat/stream", { payload, success, error })
)
const Api = HttpApi.make("Chat").add(chat)

const handlers = HttpApiBuilder.group(Api, "chat", (handlers) =>
  handlers
    .handle("answer", ({ payload }) =>
      Llm.generateText(payload.prompt).pipe(
        Effect.map(({ text }) => ({ text })),
        Effect.tapError(Effect.logError),
        Effect.mapError(toRefusal)
      )
    )
    .handle("stream", ({ payload }) => {
      const texts = Llm.streamText(payload.prompt).pipe(
        // An empty text, while the model thinks: it keeps proxies from closing the connection.
        Stream.map((event) => ({ text: event.type === "text" ? event.text : "" })),
        Stream.tapError(Effect.logError),
        Stream.mapError(toRefusal)
      )
      // Before anything is sent: a model that refuses is told by the status.
      return Effect.map(Stream.peel(texts, Sink.take(1)), ([first, rest]) => Stream.prepend(rest, first))
    })
)

const node = createServer()
// What is left when calls have drained is idle, or was opened in advance: it would hold the server for seconds.
const hangUp = Effect.addFinalizer(() => Effect.sync(() => void (node.close(), node.closeAllConnections())))
const Server = Layer.effectDiscard(hangUp).pipe(
  Layer.provideMerge(
    HttpRouter.serve(HttpApiBuilder.layer(Api).pipe(Layer.provide(handlers)), {
      disableLogger: true,
      disableListenLog: true
    })
  ),
  Layer.provideMerge(
    NodeHttpServer.layerConfig(() => node, {
      host: Config.String("HOST").pipe(Config.withDefault("127.0.0.1")),
      port: Config.Int("PORT").pipe(Config.withDefault(3000))
    })
  )
)

// OPENAI_API_KEY is its key.
const Model = OpenAiLlm.layerConfig({ model: "some-model" }).pipe(Layer.provide(UndiciHttpClient.layer()))
const listening = HttpServer.addressFormattedWith((url) => Console.log(`listening on ${url}`))

const program = Effect.andThen(listening, Effect.never).pipe(Effect.provide(Server), Effect.provide(Model))
Shutdown.run(program, { grace: "8 seconds" })
