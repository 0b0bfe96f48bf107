/** The endpoint behind the failure server: it gives the good answers, and the begin of the streams that break. */
import * as Http from "node:http"
import * as Https from "node:https"

/** What belongs to one connection and not to the message. */
const ofConnection = new Set([
  "host",
  "connection",
  "keep-alive",
  "content-length",
  "transfer-encoding",
  "accept-encoding"
])

const without = (headers: Http.IncomingHttpHeaders): Http.OutgoingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !ofConnection.has(name)))

/** Sends the request on: `/<behaviour>/<run>/v1/models` is `/models` behind the endpoint's own path. */
const send = (
  upstream: string,
  { headers, method, url = "/" }: Http.IncomingMessage,
  body: string,
  client: Http.ServerResponse,
  onAnswer: (answer: Http.IncomingMessage) => void
): void => {
  const path = url.split("/").slice(4).join("/")
  const address = new URL(`${upstream.replace(/\/+$/, "")}/${path}`)
  const { request } = address.protocol === "https:" ? Https : Http
  const sent = request(address, { method, headers: without(headers), agent: false }, onAnswer)
  sent.once("error", (error) => {
    if (client.headersSent) return void client.destroy(error)
    client.writeHead(502, { "content-type": "application/json" })
    client.end(JSON.stringify({ error: { message: `the endpoint does not answer: ${error.message}` } }))
  })
  client.once("close", () => sent.destroy())
  sent.end(body)
}

/** Answers as the endpoint does. */
export const forward = (
  upstream: string,
  request: Http.IncomingMessage,
  body: string,
  client: Http.ServerResponse
): void =>
  send(upstream, request, body, client, (answer) => {
    client.writeHead(answer.statusCode ?? 502, without(answer.headers))
    answer.pipe(client)
  })

/** Words, reasoning or a call, in the words of chat completions. */
const hasContent = (event: string): boolean => /"(?:content|reasoning_content|arguments)":\s*"[^"]/.test(event)

/** The events of the endpoint's stream up to the first with content; then it is left, and `goOn` goes on. */
export const begin = (
  upstream: string,
  request: Http.IncomingMessage,
  body: string,
  client: Http.ServerResponse,
  goOn: (client: Http.ServerResponse) => void
): void =>
  send(upstream, request, body, client, (answer) => {
    client.writeHead(answer.statusCode ?? 502, without(answer.headers))
    if (answer.statusCode !== 200) return void answer.pipe(client)
    let text = ""
    let isBegun = false
    answer.setEncoding("utf8").on("data", (piece: string) => {
      text += piece
      const events = text.split(/(?<=\r?\n\r?\n)/)
      const first = events.findIndex(hasContent)
      if (isBegun || first === -1) return
      isBegun = true
      answer.destroy()
      client.write(events.slice(0, first + 1).join(""), () => goOn(client))
    })
    // It said nothing at all: then there is nothing to break.
    answer.once("end", () => {
      if (!isBegun) client.end(text)
    })
  })
