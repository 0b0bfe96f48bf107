/** Keys, key pairs and tokens appear nowhere: not in logs, spans, errors or printed services, nor at another origin. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Logger, Redacted, References, Stream } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, DeepSeekLlm, EvolutionLlm, GeminiLlm, Llm, OpenAiLlm, TokenAuth } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import * as http from "node:http"
import { text as readText } from "node:stream/consumers"
import { inspect } from "node:util"
import { recording } from "../policy/tracer.ts"

const key = "sk-the-very-secret-key"
const pairSecret = "the-secret-of-the-key-pair"
const token = "eyJhbGciOiJSUzI1NiJ9.the-token.c2lnbmF0dXJl"

const secrets = [key, pairSecret, token]

const shared = { model: "m", policy: Policy.make({ retry: { retries: 1, base: 0 } }) }
const apiKey = Redacted.make(key)
const pair = { keyId: "key-id-1", secret: Redacted.make(pairSecret) }

/** The tokens of the IAM behind a base URL. */
const tokensAt = (baseUrl: string) => TokenAuth.evolution({ ...pair, url: `${baseUrl}/iam` })

type Make = (baseUrl: string) => Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>

/** One line for each way in which a secret is sent. */
const rows: ReadonlyArray<readonly [name: string, make: Make]> = [
  ["OpenAI", (baseUrl) => OpenAiLlm.layer({ ...shared, apiKey, baseUrl })],
  ["Azure's header", (baseUrl) => OpenAiLlm.layer({ ...shared, headers: { "api-key": key }, baseUrl })],
  ["DeepSeek", (baseUrl) => DeepSeekLlm.layer({ ...shared, apiKey, baseUrl })],
  ["Evolution with a key", (baseUrl) => EvolutionLlm.layer({ ...shared, apiKey, baseUrl })],
  [
    "Evolution with a key pair",
    (baseUrl) => EvolutionLlm.layer({ ...shared, ...pair, baseUrl, tokenUrl: `${baseUrl}/iam` })
  ],
  ["Anthropic", (baseUrl) => AnthropicLlm.layer({ ...shared, apiKey, baseUrl })],
  ["Anthropic's x-api-key", (baseUrl) => AnthropicLlm.layer({ ...shared, apiKey, baseUrl, authScheme: "x-api-key" })],
  ["Gemini", (baseUrl) => GeminiLlm.layer({ ...shared, apiKey, baseUrl })],
  [
    "Gemini with tokens",
    (baseUrl) =>
      Layer.effect(
        Llm.Llm,
        Effect.flatMap(tokensAt(baseUrl), (auth) => GeminiLlm.make({ ...shared, auth, baseUrl }))
      )
  ]
]

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
}

const json = (status: number, body: unknown): Reply => ({
  status,
  type: "application/json",
  body: JSON.stringify(body)
})

/** An error in the shapes of all providers at once. */
const problem = (message: string): object => ({
  type: "error",
  error: { type: "api_error", code: 500, status: "INTERNAL", message },
  message
})

/** How a server says again what it was told. */
const behaviours: Readonly<Record<string, (told: string) => Reply>> = {
  "in the error of a refusal": (told) => json(401, problem(`Incorrect API key provided: ${told}.`)),
  "in the error of a failure": (told) => json(500, problem(`cannot serve ${told}`)),
  "in an error that is no JSON": (told) => ({ status: 502, type: "text/html", body: `<p>${told}</p>` }),
  "in an answer that is no JSON": (told) => ({ status: 200, type: "application/json", body: `<p>${told}</p>` }),
  "in an answer without an answer": (told) => json(200, { told }),
  "in an error inside a stream": (told) => ({
    status: 200,
    type: "text/event-stream",
    body: `event: error\ndata: ${JSON.stringify(problem(`cannot serve ${told}`))}\n\n`
  }),
  "in a stream that is none": (told) => ({ status: 200, type: "text/event-stream", body: `data: <p>${told}</p>\n\n` })
}

const credentials = ["authorization", "api-key", "x-api-key", "x-goog-api-key"]

const listening = (answer: (path: string, told: string) => Reply | string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      // Headers and bodies, as they came.
      const received: Array<string> = []
      const server = http.createServer((incoming, outgoing) => {
        void readText(incoming).then((body) => {
          received.push(JSON.stringify([incoming.url, incoming.headers, body]))
          const told = credentials.flatMap((name) => incoming.headers[name] ?? []).join(" ") || body
          const reply = answer(decodeURIComponent(incoming.url ?? ""), told)
          if (typeof reply === "string") return outgoing.writeHead(307, { location: reply }).end()
          return outgoing.writeHead(reply.status, { "content-type": reply.type }).end(reply.body)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      return { url: `http://127.0.0.1:${port}`, received, server }
    }),
    ({ server }) =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      })
  )

/** Gives tokens where it is asked for them, and behaves everywhere else as the path's first part says. */
const echoing = listening((path, told) => {
  const [, name = ""] = path.split("/")
  if (path.endsWith("/iam")) return json(200, { access_token: token, expires_in: 3600 })
  return behaviours[name]?.(told) ?? json(404, problem("no such behaviour"))
})

/** Runs a call with everything recorded that is recorded anywhere, and gives back all of it as text. */
const printedBy = <E>(call: Effect.Effect<unknown, E, Llm.Llm | HttpClient.HttpClient>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const keep = (line: unknown): void => void lines.push(typeof line === "string" ? line : inspect(line, depths))
    const loggers = [Logger.formatJson, Logger.formatLogFmt, Logger.formatSimple, Logger.formatStructured]
    const { spans, tracer } = recording()
    const failure = yield* Effect.flip(call).pipe(
      Effect.tap((error) => Effect.logError("failed", error, Cause.fail(error))),
      Effect.tap(() => Effect.flatMap(Llm.Llm, (llm) => Effect.logInfo(llm))),
      Effect.withTracer(tracer),
      Effect.provideService(HttpClient.TracerHeaderFilter, () => true),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.provide(Logger.layer(loggers.map((logger) => Logger.map<unknown, unknown, void>(logger, keep))))
    )
    assert.isAbove(lines.length, 7)
    assert.isAbove(spans.length, 1)
    for (const { attributes, events, name } of spans) lines.push(inspect([name, attributes, events], depths))
    return { failure, printed: [...lines, ...spans.map((span) => inspect(span, depths))].join("\n") }
  })

const depths = { depth: 9, showHidden: true, maxArrayLength: null, maxStringLength: null } as const

const isError = (u: unknown): u is Error => u instanceof Error

/** All that an error says of itself, in whatever way it is asked. */
const wordsOf = (failure: unknown): string => {
  if (!isError(failure)) return assert.fail("no error")
  const own = Object.getOwnPropertyNames(failure).map((name) => inspect(Reflect.get(failure, name), depths))
  const whole = [failure.message, failure.stack, String(failure), JSON.stringify(failure), inspect(failure, depths)]
  return [...whole, inspect(Cause.fail(failure), depths), Cause.pretty(Cause.fail(failure)), ...own].join("\n")
}

const readAll = Stream.runDrain(Llm.streamText("hi"))
const ask = Llm.generateText("hi")

const assertClean = (text: string): void => {
  for (const secret of secrets) assert.notInclude(text, secret)
}

describe("Secrets", () => {
  describe.each(rows)("of %s", (_name, make) => {
    it.live.each(Object.keys(behaviours))("are not printed when a server repeats them %s", (behaviour) =>
      Effect.gen(function* () {
        const { received, url } = yield* echoing
        const calls = behaviour.includes("stream") ? [readAll] : [ask, readAll]
        for (const call of calls) {
          const llm = make(`${url}/${encodeURIComponent(behaviour)}`)
          const { failure, printed } = yield* Effect.provide(printedBy(call), llm)
          assertClean(printed + wordsOf(failure))
          // It was there to be printed: the server got it, and what it said of it is told without it.
          assert.isTrue(secrets.some((secret) => received.at(-1)?.includes(secret)))
        }
      }).pipe(Effect.provide(UndiciHttpClient.layer()))
    )

    it.live("are told of, where a server repeats them, by a mark", () =>
      Effect.gen(function* () {
        const { url } = yield* echoing
        const llm = make(`${url}/${encodeURIComponent("in the error of a refusal")}`)
        const failure = yield* Effect.flip(Effect.provide(ask, llm))
        assert.include(failure.message, "Incorrect API key provided: ")
        assert.include(failure.message, "<redacted>")
      }).pipe(Effect.provide(UndiciHttpClient.layer()))
    )

    it.live.each([
      ["undici", UndiciHttpClient.layer()],
      ["fetch", FetchHttpClient.layer]
    ] as const)("do not follow a redirect to another origin, over %s", ([, client]) =>
      Effect.gen(function* () {
        const landed = yield* listening(() => json(200, {}))
        const { received, url } = yield* listening((path) =>
          path.endsWith("/iam") ? json(200, { access_token: token }) : `${landed.url}/landed`
        )
        for (const call of [ask, readAll]) {
          const failure = yield* Effect.flip(Effect.provide(Effect.asVoid(call), make(url)))
          assertClean(wordsOf(failure))
        }
        assert.isTrue(secrets.some((secret) => received.join().includes(secret)))
        assertClean(landed.received.join())
      }).pipe(Effect.provide(client))
    )

    it("are not in the service", async () => {
      const service = await Effect.runPromise(
        Effect.provide(Llm.Llm, make("http://127.0.0.1:1")).pipe(Effect.provide(UndiciHttpClient.layer()))
      )
      assertClean(inspect(service, depths) + JSON.stringify(service))
    })
  })

  it.live.each([
    ["undici", UndiciHttpClient.layer()],
    ["fetch", FetchHttpClient.layer]
  ] as const)("of a key pair do not follow the IAM's redirect to another origin, over %s", ([, client]) =>
    Effect.gen(function* () {
      const landed = yield* listening(() => json(200, { access_token: token }))
      const { received, url } = yield* listening(() => `${landed.url}/landed`)
      const auth = yield* tokensAt(url)
      const reason = yield* Effect.flip(auth.token)
      assert.strictEqual(reason._tag, "InvalidRequest")
      assertClean(wordsOf(reason))
      assert.include(received.join(), pairSecret)
      assert.deepStrictEqual(landed.received, [])
    }).pipe(Effect.provide(client))
  )

  it.live("of a key pair are not printed when the IAM repeats them", () =>
    Effect.gen(function* () {
      for (const [status, body] of [
        [401, (told: string) => ({ message: told })],
        [400, (told: string) => ({ error: told })],
        [500, (told: string) => told],
        [200, (told: string) => ({ token, told })]
      ] as const) {
        const { received, url } = yield* listening((_path, told) => json(status, body(told)))
        const llm = EvolutionLlm.layer({ ...shared, ...pair, baseUrl: url, tokenUrl: `${url}/iam` })
        const { failure, printed } = yield* Effect.provide(printedBy(ask), llm)
        assertClean(printed + wordsOf(failure))
        assert.include(received.at(-1), pairSecret)
      }
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )
})
