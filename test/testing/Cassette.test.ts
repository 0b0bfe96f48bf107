import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Redacted, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { ConnectionFailure, UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, GeminiLlm, Llm, LlmError, Message, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { Cassette, Fault, TestHttpClient } from "holdfast/testing"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { type Name, startEndpoint } from "../fixtures/endpoint.ts"

const folder = mkdtempSync(join(tmpdir(), "holdfast-cassette-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const freshPath = (): string => join(folder, `${++files}`, "tape.json")

const undici = UndiciHttpClient.layer()

/** The layer that records whatever is below. */
const recording = (path: string, more: Partial<Cassette.Options> = {}) =>
  Cassette.layer({ path, mode: "record", ...more })

const settings = { model: "some-model", apiKey: Redacted.make("sk-test-0123456789") }
const options = { ...settings, policy: Policy.make({ retry: { base: 1 }, timeout: { idleContent: "5 seconds" } }) }

const models: Readonly<
  Record<"openai" | "anthropic" | "gemini", (baseUrl: string) => Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>>
> = {
  openai: (baseUrl) => OpenAiLlm.layer({ ...options, baseUrl }),
  anthropic: (baseUrl) => AnthropicLlm.layer({ ...options, baseUrl }),
  gemini: (baseUrl) => GeminiLlm.layer({ ...options, baseUrl })
}

const asking = (text: string): Llm.Request => ({ messages: [Message.user(text)], maxTokens: 99 })

/** Everything that a caller sees of a stream, without the times that its attempts took. */
const streamed = (text: string) =>
  Effect.gen(function* () {
    const events: Array<unknown> = []
    const exit = yield* Effect.exit(
      Stream.runForEach(Llm.streamText(asking(text)), (event) =>
        Effect.sync(() =>
          events.push(event.type === "finish" ? { ...event, attempts: outcomes(event.attempts) } : event)
        )
      )
    )
    return { events, error: failureOf(exit) }
  })

const whole = (text: string) =>
  Effect.map(Effect.exit(Llm.generateText(asking(text))), (exit) => ({
    answer: Exit.isSuccess(exit) ? { ...exit.value, attempts: outcomes(exit.value.attempts) } : undefined,
    error: failureOf(exit)
  }))

const outcomes = (attempts: ReadonlyArray<{ readonly outcome: string }>) => attempts.map(({ outcome }) => outcome)

const failureOf = (exit: Exit.Exit<unknown, LlmError.LlmError>) => {
  if (Exit.isSuccess(exit)) return undefined
  const error = Cause.squash(exit.cause)
  if (!(error instanceof LlmError.LlmError)) throw error
  const { attempts, code, reason, requestId, usage } = error
  const partial = "partial" in reason ? reason.partial : undefined
  return { code, partial, requestId, usage, description: reason.message, attempts: outcomes(attempts) }
}

/** Runs a program against a live endpoint and then, with the endpoint closed, against what was recorded. */
const twice = <A, E>(name: keyof typeof models & Name, program: Effect.Effect<A, E, Llm.Llm>) =>
  Effect.gen(function* () {
    const path = freshPath()
    const endpoint = yield* Effect.promise(() => startEndpoint(name))
    const model = models[name](endpoint.url)
    const recorded = yield* Effect.provide(program, Layer.provide(model, Layer.provide(recording(path), undici)))
    yield* Effect.promise(() => endpoint.close())
    const replayed = yield* Effect.provide(program, Layer.provide(model, Cassette.replay({ path })))
    return { recorded, replayed, path, requests: endpoint.requests }
  })

/** A server of one handler on loopback. */
const serving = (handler: http.RequestListener) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<{ readonly url: string; readonly server: http.Server }>((resolve) => {
          const server = http.createServer(handler)
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            resolve({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`, server })
          })
        })
    ),
    ({ server }) =>
      Effect.promise(
        () =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            server.closeAllConnections()
          })
      )
  )

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  HttpClient.execute(HttpClientRequest.post(url, { headers, body: HttpBody.jsonUnsafe(body) }))

const textOf = (sent: ReturnType<typeof post>) => Effect.flatMap(sent, (response) => response.text)

const url = "http://api.test/v1/chat"

/** A cassette of plain answers, recorded without a network. */
const recordedWith = <A, E>(
  program: Effect.Effect<A, E, HttpClient.HttpClient>,
  replies: Parameters<typeof TestHttpClient.layer>[0] = (_, call) => `answer ${call}`,
  more: Partial<Cassette.Options> = {}
) => {
  const path = freshPath()
  return Effect.as(Effect.provide(program, Layer.provide(recording(path, more), TestHttpClient.layer(replies))), path)
}

const replaying =
  (path: string, more: Partial<Cassette.ReplayOptions> = {}) =>
  <A, E>(program: Effect.Effect<A, E, HttpClient.HttpClient>) =>
    Effect.provide(program, Cassette.replay({ path, ...more }))

/** The error of a request that a cassette refuses. */
const refusalOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    if (HttpClientError.isHttpClientError(error)) return error.reason
    throw new Error(`not an error of a request: ${String(error)}`)
  })

const messageOf = <A, E extends Error, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.message)

describe("Cassette", () => {
  for (const name of ["openai", "anthropic", "gemini"] as const) {
    it.live(`replays the streams of ${name} with equal events, cuts and attempts`, () =>
      Effect.gen(function* () {
        const busy = `length@${name === "anthropic" ? "error-529" : "error-503"}*1`
        const cases = ["text", "unicode", "text@cut:2", "text@end:2", "text@error:2", "tools@bytes", busy, "error-401"]
        const { path, recorded, replayed } = yield* twice(name, Effect.forEach(cases, streamed))
        assert.deepStrictEqual(replayed, recorded)
        assert.strictEqual(recorded[2]?.error?.code, "StreamCut")
        assert.isNotEmpty(recorded[2]?.error?.partial)
        assert.deepInclude(recorded[6]?.events.at(-1), {
          attempts: ["Overloaded", "ok"]
        })
        assert.include(readFileSync(path, "utf8"), '"base64"', "some frames end inside a character")
      })
    )

    it.live(`replays the whole answers of ${name}`, () =>
      Effect.gen(function* () {
        const { recorded, replayed, requests } = yield* twice(
          name,
          Effect.forEach(["text", "unicode", "refusal", "error-401"], whole)
        )
        assert.deepStrictEqual(replayed, recorded)
        assert.strictEqual(recorded[0]?.answer?.text, "Paris is the capital of France.")
        assert.strictEqual(recorded[3]?.error?.code, "Unauthorized")
        assert.strictEqual(requests.length, 4)
      })
    )
  }

  it.live("keeps the edges of frames, also inside a character", () =>
    Effect.gen(function* () {
      const pieces = ["one ", "two ", "é", "three"].map((text) => Buffer.from(text))
      pieces.push(Buffer.from("🎉").subarray(0, 2), Buffer.from("🎉").subarray(2))
      let push: (() => void) | undefined
      const { url } = yield* serving((_, outgoing) => {
        const left = [...pieces]
        push = () => {
          const piece = left.shift()
          if (piece === undefined) outgoing.end()
          else outgoing.write(piece)
        }
        push()
      })
      // The next piece is sent when the one before has been seen, so each is a frame.
      const chunks = Effect.flatMap(HttpClient.get(url), (response) => {
        const seen: Array<string> = []
        return Effect.as(
          Stream.runForEach(response.stream, (chunk) =>
            Effect.sync(() => {
              seen.push(Buffer.from(chunk).toString("hex"))
              push?.()
            })
          ),
          seen
        )
      })
      const path = freshPath()
      const recorded = yield* Effect.provide(chunks, Layer.provide(recording(path), undici))
      assert.deepStrictEqual(
        recorded,
        pieces.map((piece) => piece.toString("hex"))
      )
      assert.deepStrictEqual(yield* chunks.pipe(replaying(path)), recorded)
    }).pipe(Effect.scoped)
  )

  it.live("fails as the connection failed: reset before the headers, refused", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serving((_, outgoing) => outgoing.socket?.resetAndDestroy())
      const both = Effect.gen(function* () {
        const reset = yield* Effect.flip(HttpClient.get(`${url}/reset`))
        yield* Effect.promise(() => new Promise((resolve) => server.close(resolve)))
        const refused = yield* Effect.flip(HttpClient.get(`${url}/refused`))
        return [reset, refused].map(({ reason }) => {
          const { cause } = reason
          if (!(cause instanceof ConnectionFailure.ConnectionFailure)) throw new Error(`not a connection: ${cause}`)
          return [reason._tag, reason.description, cause.code, cause.phase]
        })
      })
      const path = freshPath()
      const recorded = yield* Effect.provide(both, Layer.provide(recording(path), undici))
      assert.deepStrictEqual(
        recorded.map(([, , , phase]) => phase),
        ["maybeSent", "notSent"]
      )
      assert.deepStrictEqual(yield* Effect.exit(both.pipe(replaying(path))), Exit.succeed(recorded))
    }).pipe(Effect.scoped)
  )

  it.effect("is silent where its reader did not wait, so that the reader's own times end it again", () =>
    Effect.gen(function* () {
      const plan = yield* Fault.plan({ kinds: ["stall"] })
      const stalling = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, Fault.httpClient(plan))
      ).pipe(Layer.provide(TestHttpClient.layer("0123456789")))
      const read = Effect.gen(function* () {
        const seen: Array<string> = []
        const first = yield* Deferred.make<void>()
        const reading = yield* Effect.forkChild(
          Effect.flatMap(HttpClient.get(url), (response) =>
            Stream.runForEach(Stream.decodeText(response.stream), (text) =>
              Effect.andThen(
                Effect.sync(() => seen.push(text)),
                Deferred.succeed(first, undefined)
              )
            )
          ).pipe(Effect.timeout("30 seconds"))
        )
        yield* Deferred.await(first)
        yield* TestClock.adjust("30 seconds")
        const error = yield* Effect.flip(Fiber.join(reading))
        return [seen.join(""), error._tag]
      })
      const path = freshPath()
      const recorded = yield* Effect.provide(read, Layer.provide(recording(path), stalling))
      assert.deepStrictEqual(recorded, ["01234", "TimeoutError"])
      assert.deepStrictEqual(yield* read.pipe(replaying(path)), recorded)
    })
  )

  it.effect("keeps a request whose answer nobody waited for", () =>
    Effect.gen(function* () {
      const ask = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.timeout(HttpClient.get(url), "5 seconds"))
        yield* TestClock.adjust("5 seconds")
        return [(yield* Effect.flip(Fiber.join(fiber)))._tag, yield* textOf(HttpClient.get(url))]
      })
      const path = yield* recordedWith(ask, [Effect.never, "at last"])
      assert.deepStrictEqual(yield* ask.pipe(replaying(path)), ["TimeoutError", "at last"])
    })
  )

  it.effect("hands a large body to a slow reader piece by piece", () =>
    Effect.gen(function* () {
      const body = () =>
        new ReadableStream<Uint8Array>({
          start: (controller) => {
            for (let n = 0; n < 40; n++) controller.enqueue(new Uint8Array(10_000).fill(n))
            controller.close()
          }
        })
      const read = Effect.flatMap(HttpClient.get(url), (response) =>
        Stream.runFoldEffect(
          response.stream,
          () => new Array<string>(),
          (seen, { 0: first, length }) => Effect.as(Effect.yieldNow, [...seen, `${length} of ${first}`])
        )
      )
      const path = yield* recordedWith(read, () => new Response(body()))
      const expected = Array.from({ length: 40 }, (_, n) => `10000 of ${n}`)
      assert.deepStrictEqual(yield* read.pipe(replaying(path)), expected)
    })
  )

  it.effect("says of a body that nobody read that it is not there", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(HttpClient.get(url))
      const message = yield* messageOf(textOf(HttpClient.get(url)).pipe(replaying(path)))
      assert.include(message, "nobody read this body")
    })
  )

  it.effect("lets a policy wait again for what a 429 asked for, attempt by attempt", () =>
    Effect.gen(function* () {
      const network = TestHttpClient.layer([
        new Response("{}", { status: 429, headers: { "retry-after": "30" } }),
        JSON.stringify({ choices: [{ message: { role: "assistant", content: "at last" }, finish_reason: "stop" }] })
      ])
      const path = freshPath()
      const ask = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Llm.generateText("Are you there?"))
        yield* TestClock.adjust("29 seconds")
        const before = fiber.pollUnsafe()
        yield* TestClock.adjust("1 second")
        const { attempts, text } = yield* Fiber.join(fiber)
        return [before, text, outcomes(attempts)]
      })
      const model = OpenAiLlm.layer(settings)
      const recorded = yield* Effect.provide(ask, Layer.provide(model, Layer.provide(recording(path), network)))
      assert.deepStrictEqual(recorded, [undefined, "at last", ["RateLimited", "ok"]])
      const player = Layer.provide(model, Cassette.replay({ path }))
      assert.deepStrictEqual(yield* Effect.provide(ask, player), recorded)
    })
  )

  it.effect("answers in the recorded times, or by a factor, or at once", () =>
    Effect.gen(function* () {
      const encoder = new TextEncoder()
      let controller: ReadableStreamDefaultController<Uint8Array> | undefined
      const body = new ReadableStream<Uint8Array>({
        start: (it) => {
          controller = it
        }
      })
      const seen: Array<string> = []
      const read = Effect.flatMap(HttpClient.get(url), (response) =>
        Stream.runForEach(Stream.decodeText(response.stream), (text) => Effect.sync(() => seen.push(text)))
      )
      const record = Effect.gen(function* () {
        const reading = yield* Effect.forkChild(read)
        yield* TestClock.adjust("100 millis")
        for (const text of ["a", "b"]) {
          yield* TestClock.adjust("250 millis")
          controller?.enqueue(encoder.encode(text))
          while (!seen.includes(text)) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        controller?.close()
        yield* Fiber.join(reading)
      })
      const path = yield* recordedWith(record, () => Effect.delay(Effect.succeed(new Response(body)), "100 millis"))
      const heardAfter = (timing: Cassette.ReplayOptions["timing"], waits: ReadonlyArray<number>) =>
        Effect.gen(function* () {
          seen.length = 0
          const reading = yield* Effect.forkChild(read)
          const heard: Array<string> = []
          for (const wait of waits) {
            yield* TestClock.adjust(wait)
            heard.push(seen.join(""))
          }
          yield* Fiber.join(reading)
          return heard
        }).pipe(replaying(path, { timing }))
      assert.deepStrictEqual(yield* heardAfter("recorded", [349, 1, 249, 1]), ["", "a", "a", "ab"])
      assert.deepStrictEqual(yield* heardAfter(2, [699, 1, 499, 1]), ["", "a", "a", "ab"])
      assert.strictEqual(yield* textOf(HttpClient.get(url)).pipe(replaying(path)), "ab")
    })
  )

  it.effect("gives each of many concurrent calls its own answer, in whatever order they ask", () =>
    Effect.gen(function* () {
      const numbers = Array.from({ length: 40 }, (_, index) => index)
      const ask = (all: ReadonlyArray<number>) =>
        Effect.forEach(all, (n) => textOf(post(url, { n })), { concurrency: "unbounded" })
      const echo = (request: HttpClientRequest.HttpClientRequest) =>
        Effect.as(
          Effect.yieldNow,
          request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
        )
      const path = yield* recordedWith(ask(numbers), echo)
      const reversed = numbers.toReversed()
      const replayed = yield* ask(reversed).pipe(replaying(path))
      assert.deepStrictEqual(
        replayed,
        reversed.map((n) => `{"n":${n}}`)
      )
    })
  )

  it.effect("answers a request that was recorded more than once in that order, and then says so", () =>
    Effect.gen(function* () {
      const ask = textOf(post(url, { q: 1 }))
      const path = yield* recordedWith(Effect.all([ask, ask]))
      assert.deepStrictEqual(yield* Effect.all([ask, ask]).pipe(replaying(path)), ["answer 1", "answer 2"])
      const message = yield* messageOf(Effect.all([ask, ask, ask]).pipe(replaying(path)))
      assert.include(message, "recorded 2 times, asked once more")
      const repeated = yield* Effect.all([ask, ask, ask]).pipe(replaying(path, { repeat: true }))
      assert.deepStrictEqual(repeated, ["answer 1", "answer 2", "answer 2"])
    })
  )
})

describe("a stale Cassette", () => {
  const conversation = (last: string, more: object = {}) => ({
    model: "m",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: last }
    ],
    ...more
  })
  const recorded = Effect.all([post(url, conversation("What is 6 x 7?")), post(url, { model: "m", input: "other" })])

  it.effect("names the field of the nearest request, with what was recorded and what is asked", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(recorded)
      const asked = post(url, conversation("What is 6 x 8?", { temperature: 0 }))
      const { _tag, cause, description } = yield* refusalOf(asked.pipe(replaying(path)))
      assert.strictEqual(_tag, "EncodeError")
      assert.isTrue(cause instanceof Cassette.CassetteError && cause.reason === "unmatched")
      assert.strictEqual(
        description,
        `cassette ${path} has no answer for POST http://api.test/v1/chat; request 1, the nearest, has another ` +
          `body.messages[1].content: "What is 6 x 7?" recorded, "What is 6 x 8?" asked; also body.temperature`
      )
    })
  )

  it.effect("prefers a request to the same place, and tells which part of the place is another", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(recorded)
      const ask = post(`${url}/v2?page=3`, conversation("What is 6 x 7?"))
      const message = yield* messageOf(ask.pipe(replaying(path)))
      assert.include(message, 'another path: "/v1/chat" recorded, "/v1/chat/v2" asked; also query.page')
    })
  )

  it.effect("stays within a line of five hundred characters, and shows where long texts part", () =>
    Effect.gen(function* () {
      const long = "so it goes on and on ".repeat(5000)
      const path = yield* recordedWith(post(url, conversation(`${long}left`)))
      const ask = post(
        url,
        conversation(`${long}right\n\n`, Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`x${n}`, long])))
      )
      const { description = "" } = yield* refusalOf(ask.pipe(replaying(path)))
      assert.isBelow(description.length - path.length, 500)
      assert.notInclude(description, "\n")
      assert.match(description, /on and on left" recorded, .*on and on right/)
    })
  )

  it.live("is not sent again by a policy, and tells the caller of a model the same", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(recorded)
      const model = Layer.provide(models.openai("http://api.test/v1"), Cassette.replay({ path }))
      const error = yield* Effect.provide(Effect.flip(Llm.generateText("never asked")), model)
      assert.deepInclude(error, { code: "InvalidRequest", isRetryable: false })
      assert.strictEqual(error.attempts.length, 1)
      assert.include(error.message, "has no answer for POST http://api.test/v1/chat/completions")
    })
  )

  it.effect("does not mind the order of keys, and minds no field that is ignored", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(
        post(`${url}?b=2&a=1`, { a: { b: 1, c: [1, 2] }, id: "x", list: [{ at: 1 }, { at: 2 }] })
      )
      const other = { list: [{ at: 8 }, { at: 9 }], id: "y", a: { c: [1, 2], b: 1 } }
      const ask = post("http://elsewhere.test/v1/chat?a=1&b=2", other)
      const ignore = ["origin", "body.id", "body.list[*].at"]
      assert.strictEqual((yield* ask.pipe(replaying(path, { ignore }))).status, 200)
      for (const one of ignore) {
        const message = yield* messageOf(ask.pipe(replaying(path, { ignore: ignore.filter((other) => other !== one) })))
        assert.include(message, `another ${one.replace("*", "0")}:`)
      }
      const swapped = post("http://api.test/v1/chat?a=1&b=2", { ...other, a: { b: 1, c: [2, 1] } })
      assert.include(
        yield* messageOf(swapped.pipe(replaying(path, { ignore }))),
        "another body.a.c[0]: 1 recorded, 2 asked"
      )
    })
  )

  it.effect("refuses an `ignore` that names no part of a request", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(recorded)
      const exit = yield* Effect.exit(HttpClient.get(url).pipe(replaying(path, { ignore: ["messages"] })))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), '"messages" does not begin with one of')
    })
  )

  it.effect("compares headers that it is told to, and lets a function decide in place of all that", () =>
    Effect.gen(function* () {
      const headers = ["X-Region"]
      const ask = (region: string) => post(url, { q: 1 }, { "x-region": region })
      const path = yield* recordedWith(textOf(ask("eu")), "in the eu", { headers })
      assert.strictEqual(yield* textOf(ask("eu")).pipe(replaying(path, { headers })), "in the eu")
      const message = yield* messageOf(ask("us").pipe(replaying(path, { headers })))
      assert.include(message, 'another headers.x-region: "eu" recorded, "us" asked')
      assert.strictEqual((yield* ask("us").pipe(replaying(path))).status, 200)
      const match: Cassette.ReplayOptions["match"] = (asked, recorded) => asked.method === recorded.method
      assert.strictEqual((yield* post("http://other.test", {}).pipe(replaying(path, { match }))).status, 200)
      assert.include(yield* messageOf(HttpClient.get(url).pipe(replaying(path, { match }))), "`match` accepts none")
    })
  )
})

describe("the file of a Cassette", () => {
  it.effect("is printed the same each time, and replays a form and a stream of bytes", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const form = new FormData()
        form.set("name", "value")
        form.set("file", new Blob([Uint8Array.of(0xff, 0x00)]), "a.bin")
        const sent = yield* HttpClient.execute(HttpClientRequest.post(url, { body: HttpBody.formData(form) }))
        const bytes = Stream.make(Uint8Array.of(1, 2), Uint8Array.of(3))
        const streamed = yield* HttpClient.execute(HttpClientRequest.put(url, { body: HttpBody.stream(bytes) }))
        return [yield* sent.text, yield* streamed.text]
      })
      const first = yield* recordedWith(program)
      const second = yield* recordedWith(program)
      assert.strictEqual(readFileSync(second, "utf8"), readFileSync(first, "utf8"))
      assert.deepStrictEqual(yield* program.pipe(replaying(first)), ["answer 1", "answer 2"])
    })
  )

  it.effect("is needed to replay", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(HttpClient.get(url).pipe(replaying("no/such/tape.json")))
      assert.deepInclude(error, { _tag: "CassetteError", reason: "missing" })
      assert.strictEqual(error.message, 'cassette no/such/tape.json does not exist: record it with mode "record"')
    })
  )

  it.effect("says in one line that it is no cassette, or too large", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(post(url, { q: 1 }))
      const good = readFileSync(path, "utf8")
      for (const bad of ["", "{", "[]", good.replace('"cassette": 1', '"cassette": 2'), good.replace("200", '"200"')]) {
        writeFileSync(path, bad)
        const error = yield* Effect.flip(HttpClient.get(url).pipe(replaying(path)))
        assert.deepInclude(error, { _tag: "CassetteError", reason: "corrupt" })
        assert.match(error.message, /^cassette \S+ is not a cassette: [^\n]+; record it again with mode "record"$/)
      }
      writeFileSync(path, good)
      const error = yield* Effect.flip(HttpClient.get(url).pipe(replaying(path, { maxBytes: 100 })))
      assert.deepInclude(error, { _tag: "CassetteError", reason: "tooLarge" })
      assert.match(error.message, /has \d+ bytes, and may have 100: raise `maxBytes`$/)
    })
  )

  it.effect("stays as it was when a recording is interrupted, dies, or is too large", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(post(url, { q: "old" }))
      const old = readFileSync(path, "utf8")
      const over = (more: Partial<Cassette.Options> = {}) =>
        Layer.provide(recording(path, more), TestHttpClient.layer("0123456789".repeat(10)))
      const ask = textOf(post(url, { q: "new" }))
      const running = yield* Effect.forkChild(Effect.provide(Effect.andThen(ask, Effect.never), over()), {
        startImmediately: true
      })
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* Fiber.interrupt(running)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.provide(Effect.andThen(ask, Effect.die("bug")), over()))))
      const message = yield* messageOf(Effect.provide(ask, over({ maxBytes: 100 })))
      assert.include(message, "would be over 100 bytes, and nothing of it is saved")
      const closed = yield* Effect.exit(Effect.provide(ask, over({ maxBytes: 400 })))
      assert.match(
        String(Exit.isFailure(closed) && Cause.squash(closed.cause)),
        /would have \d+ bytes, and may have 400/
      )
      // A program that makes no request says nothing of the old answers.
      yield* Effect.provide(Effect.void, over())
      assert.strictEqual(readFileSync(path, "utf8"), old)
      assert.deepStrictEqual(readdirSync(join(path, "..")), ["tape.json"], "no half of a file is left beside it")
      // One that fails has said all that it had to say.
      yield* Effect.exit(Effect.provide(Effect.andThen(ask, Effect.fail("expected")), over()))
      assert.include(readFileSync(path, "utf8"), '"new"')
    })
  )

  it.effect("is checked before the first request of a recording", () =>
    Effect.gen(function* () {
      const taken = freshPath()
      mkdirSync(join(taken, ".."), { recursive: true })
      writeFileSync(taken, "a file and no folder")
      const path = join(taken, "tape.json")
      const network = TestHttpClient.layer("never asked")
      const error = yield* Effect.flip(Effect.provide(HttpClient.get(url), Layer.provide(recording(path), network)))
      assert.deepInclude(error, { _tag: "CassetteError", reason: "unwritable" })
    })
  )

  it.effect("grows by what is missing in it, in the mode `auto`", () =>
    Effect.gen(function* () {
      const path = freshPath()
      let asked = 0
      const network = TestHttpClient.layer(() => `answer ${++asked}`)
      const auto = Layer.provide(Cassette.layer({ path, mode: "auto" }), network)
      const ask = (q: number) => textOf(post(url, { q }))
      assert.deepStrictEqual(yield* Effect.provide(Effect.all([ask(1), ask(2)]), auto), ["answer 1", "answer 2"])
      const before = readFileSync(path, "utf8")
      assert.deepStrictEqual(yield* Effect.provide(Effect.all([ask(2), ask(1)]), auto), ["answer 2", "answer 1"])
      assert.strictEqual(readFileSync(path, "utf8"), before)
      assert.deepStrictEqual(yield* Effect.provide(Effect.all([ask(3), ask(1)]), auto), ["answer 3", "answer 1"])
      assert.strictEqual(asked, 3)
      const all = Effect.all([ask(1), ask(2), ask(3)])
      assert.deepStrictEqual(yield* all.pipe(replaying(path)), ["answer 1", "answer 2", "answer 3"])
    })
  )

  it.effect("is all that a replaying layer reads, whatever is below it", () =>
    Effect.gen(function* () {
      const path = yield* recordedWith(post(url, { q: 1 }))
      const network = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response("live")))
      )
      const below = Layer.succeed(HttpClient.HttpClient, network)
      const error = yield* Effect.flip(
        Effect.provide(post(url, { q: 2 }), Layer.provide(Cassette.layer({ path }), below))
      )
      assert.include(error.message, "has no answer for")
      assert.isTrue(existsSync(path))
    })
  )
})
