/** A server of chat completions on loopback that answers each request as the test says, and remembers its headers. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http"
import { once } from "node:events"

/** Answers one request; `n` counts from 0. */
export type Answer = (response: ServerResponse, n: number) => void

export interface Server extends AsyncDisposable {
  readonly url: string
  readonly headers: ReadonlyArray<IncomingHttpHeaders>
  /** Waits until this many requests have come and `answer` has seen them. */
  readonly requested: (count: number) => Promise<void>
}

/** A whole answer. */
export const text =
  (content: string): Answer =>
  (response) => {
    const message = { role: "assistant", content }
    const body = { id: "1", model: "some-model", choices: [{ message, finish_reason: "stop" }] }
    response.setHeader("content-type", "application/json").end(JSON.stringify(body))
  }

/** A refusal whose body repeats what it was asked, as some providers do. */
export const refusal =
  (status: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) => {
    response.writeHead(status, headers).end(JSON.stringify({ error: { message: "you asked: a secret prompt" } }))
  }

/** One answer for each request; the last one again and again. */
export const inTurn =
  (...answers: ReadonlyArray<Answer>): Answer =>
  (response, n) =>
    answers[Math.min(n, answers.length - 1)]?.(response, n)

export const serve = async (answer: Answer): Promise<Server> => {
  const headers: Array<IncomingHttpHeaders> = []
  const answered: Array<number> = []
  const server = createServer((request, response) => {
    const n = headers.push(request.headers) - 1
    request.resume().on("end", () => {
      answer(response, n)
      server.emit("answered", answered.push(n))
    })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/v1`,
    headers,
    requested: async (count) => {
      while (answered.length < count) await once(server, "answered")
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    }
  }
}
