/** The web servers of examples/, which run until a signal ends them: each as a process of its own between a browser and a model on loopback. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import { connect } from "node:net"
import { text } from "node:stream/consumers"
import { inspect } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { listFiles } from "./listFiles.ts"

const key = "sk-the-key-of-the-account"

/** A call that came to the model. The test writes its answer. */
interface Asked {
  readonly authorization: string | undefined
  readonly response: ServerResponse
  /** Whether the caller left before the answer was over. */
  readonly aborted: Promise<boolean>
}

interface Model extends AsyncDisposable {
  readonly url: string
  /** Waits for the call with this prompt. */
  readonly asked: (prompt: string) => Promise<Asked>
}

const startModel = async (): Promise<Model> => {
  const calls = new Map<string, PromiseWithResolvers<Asked>>()
  const call = (prompt: string): PromiseWithResolvers<Asked> => {
    const known = calls.get(prompt) ?? Promise.withResolvers<Asked>()
    calls.set(prompt, known)
    return known
  }
  const server = createServer(async (request, response) => {
    const { messages } = JSON.parse(await text(request))
    const aborted = once(response, "close").then(() => !response.writableFinished)
    call(messages[0].content).resolve({ authorization: request.headers.authorization, response, aborted })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/v1`,
    asked: (prompt) => call(prompt).promise,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), "close")
    }
  }
}

const whole = (content: string): string =>
  JSON.stringify({ choices: [{ message: { role: "assistant", content }, finish_reason: "stop" }] })
const piece = (content: string): string => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`
const end = `data: ${JSON.stringify({ choices: [{ delta: {}, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`

/** A server that runs, and what it has written. */
interface Running {
  readonly url: string
  readonly child: ReturnType<typeof spawn>
  readonly ended: Promise<unknown>
  readonly written: () => string
}

const start = async (file: string, model: Model): Promise<Running> => {
  const env = { PATH: process.env.PATH, NO_COLOR: "1", PORT: "0", OPENAI_BASE_URL: model.url, OPENAI_API_KEY: key }
  const child = spawn(process.execPath, ["--conditions=holdfast-source", file], { env })
  let written = ""
  const listening = Promise.withResolvers<string>()
  const onText = (text: string): void => {
    written += text
    const port = /^listening on .*\bport: (\d+)|^listening on http:\/\/\S+:(\d+)\n/m.exec(written)
    if (port !== null) listening.resolve(`http://127.0.0.1:${port[1] ?? port[2]}`)
  }
  child.stdout.setEncoding("utf8").on("data", onText)
  child.stderr.setEncoding("utf8").on("data", onText)
  const ended = once(child, "close").then(([code]) => code)
  void ended.then((code) => listening.reject(new Error(`${file} ended with ${code}: ${written}`)))
  return { url: await listening.promise, child, ended, written: () => written }
}

const post = (url: string, prompt: unknown, signal?: AbortSignal): Promise<Response> =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt }),
    ...(signal === undefined ? {} : { signal })
  })

/** Reads a stream until it has said this, as the bytes come. */
const readUntil = async (reader: ReadableStreamDefaultReader<Uint8Array>, said: RegExp): Promise<string> => {
  const decoder = new TextDecoder()
  let read = ""
  while (!said.test(read)) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`the stream ended with ${JSON.stringify(read)}`)
    read += decoder.decode(value, { stream: true })
  }
  return read
}

const readerOf = (response: Response): ReadableStreamDefaultReader<Uint8Array> => {
  if (response.body === null) throw new Error("no body")
  return response.body.getReader()
}

const examples = listFiles("examples", ".ts").filter((file) => file.startsWith("examples/serve-a-chat-with-"))

describe.each(examples)("%s", { timeout: 120_000 }, (file) => {
  let model: Model
  let server: Running
  beforeAll(async () => {
    model = await startModel()
    server = await start(file, model)
  }, 120_000)
  afterAll(async () => {
    server?.child.kill("SIGKILL")
    await server?.ended
    await model?.[Symbol.asyncDispose]()
  })

  it("answers with the whole text", async () => {
    const answering = post(`${server.url}/chat`, "whole")
    const asked = await model.asked("whole")
    asked.response.end(whole("One two"))
    const answer = await answering
    expect([answer.status, await answer.json()]).toEqual([200, { text: "One two" }])
    expect(asked.authorization).toBe(`Bearer ${key}`)
  })

  it("sends each piece while the model writes the next", async () => {
    const answering = post(`${server.url}/chat/stream`, "stream")
    const { response } = await model.asked("stream")
    response.setHeader("content-type", "text/event-stream").write(piece("One"))
    const answer = await answering
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream\b/)
    const reader = readerOf(answer)
    await readUntil(reader, /data: ?{"text":"One"}\n\n/)
    response.write(piece(" two"))
    await readUntil(reader, /data: ?{"text":" two"}\n\n/)
    response.end(end)
    for (let last = await reader.read(); !last.done; last = await reader.read());
  })

  it("aborts the call to the model when the browser leaves before the answer", async () => {
    const leaving = new AbortController()
    const answering = post(`${server.url}/chat`, "leave whole", leaving.signal)
    const { aborted } = await model.asked("leave whole")
    leaving.abort()
    await expect(answering).rejects.toThrow("abort")
    expect(await aborted).toBe(true)
  })

  it("aborts the call to the model when the browser leaves before the first piece", async () => {
    const leaving = new AbortController()
    const answering = post(`${server.url}/chat/stream`, "leave first", leaving.signal)
    const { aborted, response } = await model.asked("leave first")
    response.setHeader("content-type", "text/event-stream").flushHeaders()
    leaving.abort()
    await expect(answering).rejects.toThrow("abort")
    expect(await aborted).toBe(true)
  })

  it("aborts the call to the model when the browser leaves in the middle", async () => {
    const answering = post(`${server.url}/chat/stream`, "leave stream")
    const { aborted, response } = await model.asked("leave stream")
    response.setHeader("content-type", "text/event-stream").write(piece("One"))
    const reader = readerOf(await answering)
    await readUntil(reader, /One/)
    await reader.cancel()
    expect(await aborted).toBe(true)
  })

  it.each(["/chat", "/chat/stream"])("tells %s when to come back, with the model's status", async (path) => {
    const prompt = `throttled ${path}`
    const answering = post(server.url + path, prompt)
    const { response } = await model.asked(prompt)
    // Longer than the client waits by itself.
    response.writeHead(429, { "retry-after": "120" }).end(JSON.stringify({ error: { message: "org-4711 is over" } }))
    const answer = await answering
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "120"])
    expect(await answer.text()).not.toMatch(/org-4711/)
  })

  it("keeps the provider's words and the key from the browser", async () => {
    const answering = post(`${server.url}/chat`, "wrong key")
    const { response } = await model.asked("wrong key")
    response.writeHead(401).end(JSON.stringify({ error: { message: `org-4711: Incorrect API key provided: ${key}` } }))
    const answer = await answering
    expect(answer.status).toBe(502)
    const told = await answer.text()
    expect(told).toMatch(/Bad ?Gateway/)
    expect(told).not.toMatch(/org-4711|sk-the|Unauthorized|127\.0\.0\.1/)
    expect(server.written()).not.toContain(key)
  })

  it("says that a stream broke, in the stream", async () => {
    const answering = post(`${server.url}/chat/stream`, "cut")
    const { response } = await model.asked("cut")
    response.setHeader("content-type", "text/event-stream").write(piece("One"))
    const reader = readerOf(await answering)
    await readUntil(reader, /One/)
    response.destroy()
    const told = await readUntil(reader, /\n\n$/)
    expect(told).toMatch(/^event: (error|effect\/http-api\/stream\/failure)\n/)
    expect(told).toMatch(/Bad ?Gateway/)
    expect((await reader.read()).done).toBe(true)
  })

  it("refuses what is no prompt", async () => {
    const statuses = [undefined, "", 7].map(async (prompt) => (await post(`${server.url}/chat`, prompt)).status)
    expect(await Promise.all(statuses)).toEqual([400, 400, 400])
  })

  it("says nothing of browsers that left", () => {
    expect(server.written()).not.toMatch(/abort|premature|unhandled|interrupt/i)
  })

  it("lets a stream finish after SIGTERM, refuses new requests, and exits with 143", async () => {
    await using model = await startModel()
    const { child, ended, url, written } = await start(file, model)
    const answering = post(`${url}/chat/stream`, "last")
    const { response } = await model.asked("last")
    response.setHeader("content-type", "text/event-stream").write(piece("One"))
    const reader = readerOf(await answering)
    await readUntil(reader, /One/)
    // A browser that opened a connection in advance holds nobody up.
    const idle = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {})
    await once(idle, "connect")

    child.kill("SIGTERM")
    let refusal: unknown
    for (let n = 0; refusal === undefined; n++) {
      const answering = post(`${url}/chat`, `late ${n}`).then(
        ({ status }) => status,
        // A kept connection that is closed under a request is no refusal yet: the next request opens one of its own.
        (error: Error) => (/ECONNREFUSED/.test(inspect(error)) ? "ECONNREFUSED" : undefined)
      )
      const taken = model.asked(`late ${n}`).then(({ response }) => void response.end(whole("early enough")))
      refusal = await Promise.race([answering, taken])
      if (refusal === 200) refusal = undefined
    }
    expect(refusal).toBeOneOf([503, "ECONNREFUSED"])

    response.write(piece(" two"))
    await readUntil(reader, /two/)
    const before = performance.now()
    response.end(end)
    for (let last = await reader.read(); !last.done; last = await reader.read());
    expect(await ended, written()).toBe(143)
    // By itself: the grace is 8 seconds.
    expect(performance.now() - before).toBeLessThan(5000)
    idle.destroy()
  })
})
