/**
 * Model servers in a thread of their own: a sync client blocks the thread of the test. It posts the URLs: `replay` says
 * what it was told, `provider` is the strict fake of OpenAI, `silent` never answers, `page` is no API.
 */
import { createServer, type RequestListener } from "node:http"
import { once } from "node:events"
import { parentPort } from "node:worker_threads"
import { Effect, Scope } from "effect"
import { ReplayServer } from "holdfast/testing"
import { startEndpoint } from "../fixtures/endpoint.ts"

export interface Urls {
  readonly replay: string
  readonly provider: string
  readonly silent: string
  readonly page: string
}

const listen = async (listener: RequestListener): Promise<string> => {
  const server = createServer(listener)
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/v1`
}

const answer = ({ messages }: ReplayServer.Request): string => `you said ${messages.at(-1)?.content}`
const replay = await Effect.runPromise(Scope.provide(ReplayServer.make({ answer }), Scope.makeUnsafe()))
const provider = await startEndpoint("openai")
const urls: Urls = {
  replay: replay.url,
  provider: provider.url,
  silent: await listen(() => {}),
  page: await listen((request, response) => {
    // Some servers repeat the key.
    response.setHeader("content-type", "text/html").end(`<h1>Welcome ${request.headers.authorization}</h1>`)
  })
}
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of Node, not a window
parentPort?.postMessage(urls)
