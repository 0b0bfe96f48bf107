/** Effect's HttpClient as it comes, on its undici layer. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect, Schedule, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { Sse } from "effect/encoding"
import { chatBody, type Contender } from "../Contender.ts"
import { ofEffects, ofEffectStreams } from "../ofEffects.ts"

const requestTo = (url: string, stream: boolean): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyText(HttpClientRequest.post(`${url}/chat/completions`), chatBody(stream), "application/json")

const transient = { times: 2, schedule: Schedule.spaced("1 millis") }

interface Chunk {
  readonly choices: ReadonlyArray<{ readonly delta: { readonly content?: string } }>
}

export const contender: Contender = {
  name: "effect HttpClient",
  unary: async (url) =>
    ofEffects(
      Effect.gen(function* () {
        const http = HttpClient.retryTransient(yield* HttpClient.HttpClient, transient)
        const response = yield* http.execute(requestTo(url, false))
        yield* response.json
      }),
      NodeHttpClient.layerUndici
    ),
  stream: async (url) =>
    ofEffectStreams(
      Stream.unwrap(
        Effect.gen(function* () {
          const http = yield* HttpClient.HttpClient
          const response = yield* http.execute(requestTo(url, true))
          return response.stream.pipe(
            Stream.decodeText(),
            Stream.pipeThroughChannel(Sse.decode()),
            Stream.filter((event) => event.data !== "[DONE]"),
            Stream.map((event): Chunk => JSON.parse(event.data))
          )
        })
      ),
      (chunk) => Boolean(chunk.choices[0]?.delta.content),
      NodeHttpClient.layerUndici
    )
}
