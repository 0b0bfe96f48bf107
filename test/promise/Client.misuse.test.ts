/** What is done wrong with a client: a clear error each time, and no rejection that nobody hears of. */
import { createServer, type ServerResponse } from "node:http"
import { once } from "node:events"
import { type Client, createClient, Draining, LlmError, MapStopped, SandboxError } from "holdfast/promise"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { inTurn, refusal, serve, type Server, text } from "./server.ts"

const unheard: Array<unknown> = []
const onUnheard = (reason: unknown): void => void unheard.push(reason)

/** A stream of text that does not end by itself. */
const endless = (response: ServerResponse): void => {
  response.setHeader("content-type", "text/event-stream")
  const chunk = { choices: [{ index: 0, delta: { content: "more " } }] }
  const write = (): void => {
    while (!response.destroyed && response.write(`data: ${JSON.stringify(chunk)}\n\n`));
  }
  response.on("drain", write)
  write()
}

let server: Server
let hanging: Server
let streaming: Server
let client: Client

const make = (url = server.url, options = {}): Client =>
  createClient({
    llm: { provider: "openai", apiKey: "k", baseUrl: url, model: "m" },
    retry: { retries: 0 },
    ...options
  })

/** Rejections are told of when the queue of promises is empty. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const settled = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error
  )

const thrown = (run: () => unknown): unknown => {
  try {
    return { value: run() }
  } catch (error) {
    return error
  }
}

const wrong = (start: string) => ({ name: "TypeError", message: expect.stringMatching(new RegExp(`^${start}`)) })

beforeAll(async () => {
  process.on("unhandledRejection", onUnheard)
  server = await serve(text("fine"))
  hanging = await serve(() => {})
  streaming = await serve(endless)
})

beforeEach(() => {
  unheard.length = 0
  client = make()
})

afterAll(async () => {
  process.off("unhandledRejection", onUnheard)
  await Promise.all([server, hanging, streaming].map((each) => each[Symbol.asyncDispose]()))
})

/** Every case ends with its client closed and nobody's rejection. */
const misuse = (name: string, run: () => unknown) =>
  it(name, async () => {
    await run()
    await client.close()
    await turns()
    expect(unheard).toEqual([])
  })

describe("a call", () => {
  misuse("that nobody awaits fails without ending the process", async () => {
    await using refused = await serve(refusal(400))
    await using own = make(refused.url)
    void own.generateText("hello")
    void own.embed("hello")
    void own.http.get("nowhere")
    await refused.requested(1)
    await turns()
  })

  misuse("that nobody awaits is interrupted by the closing client", async () => {
    const own = make(hanging.url)
    void own.generateText("hello")
    void own.runTools([], "hello")
    expect(await own.close()).toEqual({ finished: 0, interrupted: 2 })
  })

  misuse("with a signal that is aborted already sends nothing", async () => {
    const before = server.headers.length
    const reason = new Error("no longer needed")
    const signal = AbortSignal.abort(reason)
    expect(await settled(client.generateText("hello", { signal }))).toBe(reason)
    expect(await settled(client.streamText("hello", { signal }).next())).toBe(reason)
    expect(await settled(client.http.get(server.url, { signal }))).toBe(reason)
    expect(server.headers.length).toBe(before)
  })

  misuse("with the signal in the place of the options says so", async () => {
    const { signal } = new AbortController()
    // @ts-expect-error: the options are an object with a signal
    expect(await settled(client.generateText("hello", signal))).toMatchObject(wrong("options: this is a signal"))
  })

  misuse("with a controller in the place of its signal says so", async () => {
    const signal = new AbortController()
    // @ts-expect-error: a controller is no signal
    expect(await settled(client.generateText("hello", { signal }))).toMatchObject(wrong("signal: "))
    // @ts-expect-error: a controller is no signal
    expect(await settled(client.streamText("hello", { signal }).text())).toMatchObject(wrong("signal: "))
    // @ts-expect-error: a controller is no signal
    expect(await settled(client.http.get(server.url, { signal }))).toMatchObject(wrong("signal: "))
    // @ts-expect-error: a controller is no signal
    expect(await settled(client.executeCode("1", "python", { signal }))).toMatchObject(wrong("signal: "))
  })

  misuse("with null for its options says so", async () => {
    // @ts-expect-error: null is no object of options
    expect(await settled(client.generateText("hello", null))).toMatchObject(wrong("options: null"))
    // @ts-expect-error: null is no object of options
    expect(await settled(client.streamText("hello", null).next())).toMatchObject(wrong("options: null"))
  })

  misuse("with a time that is none names it", async () => {
    // @ts-expect-error: not a time
    expect(await settled(client.generateText("hello", { timeout: "soon" }))).toMatchObject(wrong('timeout: "soon"'))
    expect(await settled(client.generateText("hello", { timeout: -1 }))).toMatchObject(wrong("timeout: -1"))
  })

  misuse("with a class or a tenant that is none names it", async () => {
    // @ts-expect-error: no such class
    expect(await settled(client.generateText("hello", { priority: "urgent" }))).toMatchObject(wrong("priority: "))
    // @ts-expect-error: a tenant is a text
    expect(await settled(client.generateText("hello", { tenant: 7 }))).toMatchObject(wrong("tenant: 7"))
  })

  misuse("with headers or a key that are no texts names them", async () => {
    // @ts-expect-error: headers are an object of texts
    expect(await settled(client.generateText("hello", { headers: "x-a: 1" }))).toMatchObject(wrong("headers: "))
    const headers = { "x-a": 1 }
    // @ts-expect-error: headers are texts
    expect(await settled(client.embed("hello", { headers }))).toMatchObject(wrong("headers: "))
    expect(await settled(client.generateText("hello", { idempotencyKey: "" }))).toMatchObject(wrong("idempotencyKey: "))
  })

  misuse("without a question says what a question is", async () => {
    // @ts-expect-error: a number is no question
    expect(await settled(client.generateText(42))).toMatchObject(wrong("input: 42"))
    // @ts-expect-error: nothing is no question
    expect(await settled(client.streamText(null).text())).toMatchObject(wrong("input: null"))
    expect(await settled(client.generateText([]))).toMatchObject({ code: "InvalidRequest" })
  })

  misuse("after the client has closed is refused, by every method", async () => {
    await client.close()
    const after = [
      client.generateText("hello"),
      client.streamText("hello").result(),
      client.embed("hello"),
      client.createSession(),
      client.executeCode("1"),
      client.http.get(server.url),
      client.with({ tenant: "a" }).generateText("hello")
    ]
    for (const call of after) expect(await settled(call)).toBeInstanceOf(Draining)
    const chat = client.chat.completions.create({ model: "m", messages: [] })
    expect(await settled(chat)).toMatchObject({ cause: { code: "Draining" } })
  })

  misuse("to a model that was not named says how to name one", async () => {
    await using none = createClient({})
    expect(await settled(none.generateText("hello"))).toMatchObject(wrong("this client has no model; "))
    expect(await settled(none.embed("hello"))).toMatchObject(wrong("this client has no embedder; "))
  })

  misuse("of one text where there are many, or the other way round, says so", async () => {
    // @ts-expect-error: many texts are a list
    expect(await settled(client.embedMany("hello"))).toMatchObject(wrong("embed: "))
    // @ts-expect-error: one text is a text
    expect(await settled(client.embed(["hello"]))).toMatchObject(wrong("embed: "))
  })
})

describe("a stream", () => {
  misuse("that nobody reads sends nothing, and may be dropped", async () => {
    const before = server.headers.length
    client.streamText("hello")
    await turns()
    expect(server.headers.length).toBe(before)
  })

  misuse("that is looped over twice throws", async () => {
    await using own = make(streaming.url)
    const events = own.streamText("hello")
    for await (const _ of events) break
    expect(thrown(() => events[Symbol.asyncIterator]())).toMatchObject(wrong("this stream is read already"))
    expect(thrown(() => events.toReadableStream())).toMatchObject(wrong("this stream is read already"))
    expect(await settled(Array.fromAsync(events))).toMatchObject(wrong("this stream is read already"))
  })

  misuse("whose loop throws is closed, and the loop's error is the one that is thrown", async () => {
    await using own = make(streaming.url)
    const looping = async () => {
      for await (const _ of own.streamText("hello")) throw new Error("in the loop")
    }
    expect(await settled(looping())).toEqual(new Error("in the loop"))
    expect(await own.close()).toEqual({ finished: 0, interrupted: 0 })
  })

  misuse("that was left has no result, and says so", async () => {
    await using own = make(streaming.url)
    const events = own.streamText("hello")
    for await (const _ of events) break
    expect(await settled(events.result())).toMatchObject(wrong("this stream was left before its end"))
    expect(await settled(events.usage)).toMatchObject(wrong("this stream was left before its end"))
  })

  misuse("whose usage is asked for and not awaited fails in silence there, and loudly in the loop", async () => {
    await using refused = await serve(refusal(400))
    await using own = make(refused.url)
    const events = own.streamText("hello")
    void events.usage
    void events.text()
    void events.result()
    await refused.requested(1)
    await turns()
    expect(await settled(Array.fromAsync(events))).toBeInstanceOf(LlmError)
    expect(await settled(events.usage)).toBeInstanceOf(LlmError)
  })

  misuse("that is aborted before it begins sends nothing", async () => {
    const before = server.headers.length
    const events = client.streamText("hello")
    const reason = new Error("changed my mind")
    events.abort(reason)
    expect(await settled(events.next())).toBe(reason)
    expect(await settled(events.text())).toBe(reason)
    expect(server.headers.length).toBe(before)
  })

  misuse("that is aborted twice, and after its end, keeps what it was first", async () => {
    await using own = make(streaming.url)
    const events = own.streamText("hello")
    await events.next()
    events.abort()
    events.abort(new Error("again"))
    expect(await settled(events.next())).toMatchObject({ name: "AbortError" })
    const whole = client.streamText("hello")
    await settled(whole.result())
    whole.abort()
    expect(await settled(whole.result())).not.toMatchObject({ name: "AbortError" })
  })

  misuse("that is open when its client closes is told so, once it is read again", async () => {
    const own = make(streaming.url)
    const events = own.streamText("hello")
    await events.next()
    expect(await own.close()).toEqual({ finished: 0, interrupted: 1 })
    expect(await settled(events.next())).toBeInstanceOf(Draining)
    expect(await settled(events.result())).toBeInstanceOf(Draining)
  })

  misuse("whose `next` nobody awaits fails in silence", async () => {
    await using refused = await serve(refusal(400))
    await using own = make(refused.url)
    void own.streamText("hello").next()
    await refused.requested(1)
    await turns()
  })

  misuse("that is returned while a `next` waits ends it without an error", async () => {
    await using own = make(hanging.url)
    const events = own.streamText("hello")
    const waiting = events.next()
    await events.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
  })

  misuse("as a web stream that is cancelled before it is read sends nothing", async () => {
    const before = server.headers.length
    await client.streamText("hello").toReadableStream().cancel()
    await turns()
    expect(server.headers.length).toBe(before)
  })
})

describe("a client", () => {
  misuse("is closed twice, at once and later", async () => {
    const [one, two] = await Promise.all([client.close(), client.close()])
    expect(two).toBe(one)
    expect(await client.close()).toBe(one)
    expect(await client.drain()).toEqual({ finished: 0, open: 0 })
  })

  misuse("is not closed by nonsense", async () => {
    // @ts-expect-error: not a time
    expect(await settled(client.close({ grace: "later" }))).toMatchObject(wrong("close.grace"))
    // @ts-expect-error: not a time
    expect(await settled(client.drain({ grace: "later" }))).toMatchObject(wrong("drain.grace"))
    expect(await client.generateText("hello")).toMatchObject({ text: "fine" })
  })

  misuse("is not derived with nonsense", () => {
    // @ts-expect-error: no such default
    expect(thrown(() => client.with({ maxConcurrency: 3 }))).toMatchObject(wrong("with.maxConcurrency: "))
    // @ts-expect-error: no options
    expect(thrown(() => client.with(undefined))).toMatchObject(wrong("with: give an object"))
    // @ts-expect-error: no such class
    expect(thrown(() => client.with({ priority: "urgent" }))).toMatchObject(wrong("priority: "))
    expect(thrown(() => client.with({ deadline: 5000 }))).toMatchObject(wrong("deadline: 5000 is no point in time"))
    expect(thrown(() => client.with({ deadline: new Date("nonsense") }))).toMatchObject(wrong("deadline: "))
    // @ts-expect-error: not a time
    expect(thrown(() => client.with({ deadline: "tomorrow" }))).toMatchObject(wrong('deadline: "tomorrow"'))
  })

  misuse("is not made of nonsense", () => {
    // @ts-expect-error: no options
    expect(thrown(() => createClient())).toMatchObject(wrong("createClient: give an object"))
    // @ts-expect-error: no such option
    expect(thrown(() => createClient({ model: "m" }))).toMatchObject(wrong("createClient.model: there is no such"))
  })
})

describe("a tool", () => {
  const call = { id: "1", type: "function", function: { name: "now", arguments: "{}" } }
  const asking = (response: ServerResponse): void => {
    const message = { role: "assistant", content: null, tool_calls: [call] }
    const body = { choices: [{ message, finish_reason: "tool_calls" }] }
    response.setHeader("content-type", "application/json").end(JSON.stringify(body))
  }

  misuse("that rejects, now or later, is told to the model", async () => {
    await using asked = await serve(inTurn(asking, text("sorry")))
    await using own = make(asked.url)
    const run = async () => {
      await new Promise((_, reject) => setImmediate(() => reject(new Error("later"))))
    }
    expect(await own.runTools([{ name: "now", description: "", run }], "hello")).toMatchObject({ text: "sorry" })
  })

  misuse("that rejects to the caller rejects the call with its own error", async () => {
    await using asked = await serve(asking)
    await using own = make(asked.url)
    const run = () => Promise.reject(new Error("no clock"))
    const options = { onToolError: "caller" } as const
    const failed = own.runTools([{ name: "now", description: "", run }], "hello", options)
    expect(await settled(failed)).toEqual(new Error("no clock"))
  })

  misuse("without a function, a name, or a list around it is refused", async () => {
    // @ts-expect-error: it runs nothing
    expect(await settled(client.runTools([{ name: "now", description: "" }], "?"))).toMatchObject(wrong("tools.*run"))
    // @ts-expect-error: tools are a list
    expect(await settled(client.runTools({}, "?"))).toMatchObject(wrong("tools: give a list"))
  })
})

describe("a map", () => {
  misuse("without items or a function is refused", async () => {
    // @ts-expect-error: a number is no list
    expect(await settled(client.map(3, () => 1))).toMatchObject(wrong("map: give a list"))
    // @ts-expect-error: nothing is called
    expect(await settled(client.map([1]))).toMatchObject(wrong("map: give a function"))
    expect(await settled(client.map([1], () => 1, { concurrency: 0 }))).toMatchObject(wrong("map.concurrency: 0"))
    // @ts-expect-error: it is called `concurrency`
    expect(await settled(client.map([1], () => 1, { limit: 2 }))).toMatchObject(wrong("map.limit: there is no such"))
  })

  misuse("whose callbacks throw, reject, and forget their calls keeps every result", async () => {
    const results = await client.map([0, 1, 2], (item) => {
      if (item === 0) throw new Error("thrown")
      void client.with({ timeout: 0 }).generateText("hello")
      return item === 1 ? Promise.reject(new Error("rejected")) : item
    })
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"])
  })

  misuse("that stops at its first error begins nothing more, and says why", async () => {
    const begun: Array<number> = []
    const seen: Array<unknown> = []
    const results = await client.map(
      [0, 1, 2, 3],
      async (item, { signal }) => {
        begun.push(item)
        if (item === 1) throw new Error("one")
        await once(signal, "abort")
        seen.push(signal.reason)
        throw signal.reason
      },
      { concurrency: 2, stopOnError: true }
    )
    expect(begun).toEqual([0, 1])
    const stopped = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []))
    expect(stopped[1]).toEqual(new Error("one"))
    for (const at of [0, 2, 3]) expect(stopped[at]).toBeInstanceOf(MapStopped)
    expect(seen).toEqual([stopped[0]])
    expect(stopped[3]).toMatchObject({ code: "MapStopped", index: 1, message: expect.stringContaining("item 1") })
  })
})

describe("a request", () => {
  misuse("to no address, or with two bodies, is refused", async () => {
    expect(await settled(client.http.get("nowhere"))).toMatchObject({ code: "InvalidUrl" })
    expect(await settled(client.http.post(server.url, { json: 1, body: "1" }))).toMatchObject(wrong("json and body"))
  })

  misuse("whose body is read twice gives it twice, and streamed twice says why not", async () => {
    const response = await client.http.post(`${server.url}/chat`, { json: {} })
    expect(await response.text()).toBe(await response.text())
    const big = createServer((_, reply) => void reply.end("x".repeat(100_000))).listen(0, "127.0.0.1")
    await once(big, "listening")
    const address = big.address()
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`
    const streamed = await client.http.get(url)
    for await (const _ of streamed.stream()) break
    expect(await settled(Array.fromAsync(streamed.stream()))).toBeInstanceOf(Error)
    big.close()
  })
})

describe("a session", { timeout: 60_000 }, () => {
  misuse("is closed twice, and used after that", async () => {
    const session = await client.createSession()
    await Promise.all([session.close(), session.close()])
    expect(await settled(session.runCode("1"))).toMatchObject({ code: "SessionLost" })
    expect(await settled(session.streamCode("1").result())).toBeInstanceOf(SandboxError)
    // @ts-expect-error: code is a text
    expect(await settled(session.runCode(42))).toMatchObject(wrong("code: 42"))
    // @ts-expect-error: no such language
    expect(await settled(client.executeCode("1", "cobol"))).toMatchObject({ code: "UnsupportedLanguage" })
  })

  misuse("is left open, with code that runs and that nobody awaits", async () => {
    const session = await client.createSession()
    void session.runCode("while True: pass")
    const events = session.streamCode("1")
    void events.next()
    expect(await client.close()).toMatchObject({ finished: 0 })
    expect(await settled(session.runCode("1"))).toBeInstanceOf(Draining)
  })
})
