import { assert, describe, it } from "@effect/vitest"
import * as conventions from "@opentelemetry/semantic-conventions/incubating"
import { Effect, Fiber, Layer, Metric, Stream, Tracer } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { TestClock } from "effect/testing"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy, Tracing } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import * as http from "node:http"

const secret = "the launch code is 0000"
const reply = "I will not repeat that code"

const answer = (text = reply): Response =>
  Response.json({
    model: "some-model-2026",
    choices: [{ message: { role: "assistant", content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 12, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } }
  })

const events = (...chunks: ReadonlyArray<string>): Response =>
  new Response(chunks.map((chunk) => `data: ${chunk}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream", "x-request-id": "req_1" }
  })

const content = (text: string): string => JSON.stringify({ choices: [{ delta: { content: text } }] })
const finish = JSON.stringify({
  model: "some-model-2026",
  choices: [{ delta: {}, finish_reason: "stop" }],
  usage: { prompt_tokens: 12, completion_tokens: 5 }
})

const busy = (): Response => new Response("{}", { status: 429, headers: { "retry-after": "2" } })

const model = (script: Parameters<typeof TestHttpClient.layer>[0]) =>
  OpenAiLlm.layer({
    model: "some-model",
    baseUrl: "https://user:pass@models.example.com:8443/v1",
    policy: Policy.make({ retry: { jitter: "none" } })
  }).pipe(Layer.provide(TestHttpClient.layer(script)))

/** Runs under a tracer that keeps its spans, with metrics of its own. */
const traced = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return Effect.map(
    Effect.all([Effect.result(self), Metric.snapshot]).pipe(
      Effect.withTracer(tracer),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ),
    ([result, metrics]) => ({ result, metrics, spans })
  )
}

const parentOf = (span: Tracer.NativeSpan): string | undefined =>
  span.parent._tag === "Some" ? span.parent.value.spanId : undefined

const statusOf = ({ status }: Tracer.NativeSpan): string =>
  status._tag === "Started" ? "open" : status.exit._tag === "Success" ? "ok" : "failed"

const secondsOf = (span: Tracer.NativeSpan | undefined): number =>
  span?.status._tag === "Ended" ? Number(span.status.endTime - span.status.startTime) / 1e9 : Number.NaN

const find = (metrics: ReadonlyArray<Metric.Metric.Snapshot>, name: string) => metrics.find(({ id }) => id === name)
const stateOf = (metrics: ReadonlyArray<Metric.Metric.Snapshot>, name: string) => ({ ...find(metrics, name)?.state })
const attributesOf = (metrics: ReadonlyArray<Metric.Metric.Snapshot>, name: string) => ({
  ...find(metrics, name)?.attributes
})

interface Traces {
  readonly resourceSpans: ReadonlyArray<{
    readonly scopeSpans: ReadonlyArray<{
      readonly spans: ReadonlyArray<{
        readonly name: string
        readonly kind: number
        readonly traceId: string
        readonly spanId: string
        readonly parentSpanId?: string
        readonly status: { readonly code: number; readonly message?: string }
      }>
    }>
  }>
}

/** An OTLP endpoint on loopback that keeps what each path got. */
const collector = (received: Map<string, Array<string>>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<http.Server>((resume) => {
        const server = http.createServer((request, response) => {
          let body = ""
          request.on("data", (chunk) => (body += String(chunk)))
          request.on("end", () => {
            received.set(request.url ?? "", [...(received.get(request.url ?? "") ?? []), body])
            response.end("{}")
          })
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => {
      const address = server.address()
      return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`
    }
  )

const told = (spans: ReadonlyArray<Tracer.NativeSpan>): string =>
  JSON.stringify(
    spans.map(({ attributes, events, name, status }) => ({
      name,
      events,
      attributes: [...attributes],
      failure: status._tag === "Ended" && status.exit._tag === "Failure" ? String(status.exit.cause) : undefined
    })),
    (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)
  )

describe("OpenAiLlm's telemetry", () => {
  it.effect("is one span for a call, one for each attempt, and the client's below each", () =>
    Effect.gen(function* () {
      const program = Llm.generateText({ messages: [{ role: "user", content: secret }], maxTokens: 9, topP: 0.5 })
      const layer = model((_, call) => (call === 1 ? Effect.succeed(busy()) : Effect.succeed(answer())))
      const running = yield* Effect.forkChild(traced(program.pipe(Effect.provide(layer))))
      yield* TestClock.adjust("2 seconds")
      const { result, spans } = yield* Fiber.join(running)

      assert.strictEqual(result._tag, "Success")
      const [call, first, firstHttp, second, secondHttp] = spans
      assert.deepStrictEqual(
        spans.map((span) => [span.name, span.kind, statusOf(span)]),
        [
          ["chat some-model", "client", "ok"],
          ["Policy.attempt", "internal", "failed"],
          ["POST", "client", "failed"],
          ["Policy.attempt", "internal", "ok"],
          ["POST", "client", "ok"]
        ]
      )
      if (!call || !first || !firstHttp || !second || !secondHttp) return assert.fail("a span is missing")
      assert.deepStrictEqual(
        [first, firstHttp, second, secondHttp].map(parentOf),
        [call, first, call, second].map(({ spanId }) => spanId)
      )
      assert.deepStrictEqual(Object.fromEntries(call.attributes), {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "some-model",
        "server.address": "models.example.com",
        "server.port": 8443,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.response.model": "some-model-2026",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4
      })
      assert.strictEqual(first.attributes.get("error.type"), "RateLimited")
      assert.strictEqual(second.attributes.get("holdfast.attempt.number"), 2)
      assert.strictEqual(second.attributes.get("holdfast.wait.cause"), "retryAfter")
      assert.strictEqual(second.attributes.get("holdfast.wait.millis"), 2000)
      assert.notInclude(told(spans), secret)
      assert.notInclude(told(spans), reply)
      assert.notInclude(told(spans), "user:pass")
    })
  )

  it.effect("tells of a failed call its tag, not its words", () =>
    Effect.gen(function* () {
      const refusal = Response.json({ error: { message: `we do not answer "${secret}"` } }, { status: 400 })
      const { result, spans } = yield* traced(
        Llm.generateText(secret).pipe(Effect.provide(model(() => Effect.succeed(refusal))))
      )
      assert.strictEqual(result._tag, "Failure")
      assert.deepStrictEqual(spans.map(statusOf), ["failed", "failed", "failed"])
      assert.strictEqual(spans[0]?.attributes.get("error.type"), "InvalidRequest")
      assert.strictEqual(spans[1]?.attributes.get("error.type"), "InvalidRequest")
      assert.notInclude(told(spans), secret)
    })
  )

  it.effect("records what was said only where it is asked to", () =>
    Effect.gen(function* () {
      const program = Llm.generateText({ messages: [{ role: "user", content: secret }], stop: ["0000"] })
      const { spans } = yield* program.pipe(
        Effect.provide(model(() => Effect.succeed(answer()))),
        traced,
        Effect.provideService(Tracing.RecordContent, true)
      )
      assert.deepStrictEqual(
        ["gen_ai.input.messages", "gen_ai.output.messages"].map((name) => spans[0]?.attributes.get(name)),
        [
          JSON.stringify([{ role: "user", parts: [{ type: "text", content: secret }] }]),
          JSON.stringify([{ role: "assistant", parts: [{ type: "text", content: reply }], finish_reason: "stop" }])
        ]
      )
      assert.deepStrictEqual(spans[0]?.attributes.get("gen_ai.request.stop_sequences"), ["0000"])
    })
  )

  it.effect("makes no span where there is no tracer", () =>
    Effect.gen(function* () {
      const script = () => Effect.map(Effect.option(Effect.currentParentSpan), (span) => answer(span._tag))
      const ask = Llm.generateText("hi").pipe(
        Effect.provide(model(script)),
        Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
      )
      assert.strictEqual((yield* ask).text, "None")
      assert.strictEqual((yield* traced(ask)).spans.length, 2)
      assert.strictEqual((yield* ask.pipe(Effect.withSpan("around"))).text, "Some")
    })
  )

  it.effect("ends the span of a stream with the stream, and tells when its first content came", () =>
    Effect.gen(function* () {
      const script = () =>
        Effect.delay(Effect.succeed(events(content("Hel"), content("lo"), finish, "[DONE]")), "3 seconds")
      const seen: Array<string> = []
      const stream = Llm.streamText(secret).pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => seen.push(event.type)).pipe(Effect.andThen(Effect.sleep("1 second")))
        ),
        Effect.provide(model(script))
      )
      const running = yield* Effect.forkChild(traced(stream))
      yield* TestClock.adjust("10 seconds")
      const { metrics, spans } = yield* Fiber.join(running)
      assert.deepStrictEqual(seen, ["text", "text", "finish"])
      const [call, attempt] = spans
      assert.deepStrictEqual(spans.map(statusOf), ["ok", "ok", "ok"])
      assert.strictEqual(call?.attributes.get("gen_ai.request.stream"), true)
      assert.strictEqual(call?.attributes.get("gen_ai.response.time_to_first_chunk"), 3)
      assert.strictEqual(call?.attributes.get("holdfast.request.id"), "req_1")
      assert.strictEqual(call?.attributes.get("gen_ai.usage.output_tokens"), 5)
      assert.isTrue(secondsOf(call) >= 3)
      assert.strictEqual(secondsOf(attempt), secondsOf(call))
      assert.notInclude(told(spans), "Hel")
      assert.deepInclude(stateOf(metrics, "gen_ai.client.operation.time_to_first_chunk"), { count: 1, sum: 3 })
    })
  )

  it.effect("ends the span of a stream that its reader leaves, and of one that breaks", () =>
    Effect.gen(function* () {
      const layer = model(() => Effect.succeed(events(content("Hel"), content("lo"))))
      const left = yield* traced(Llm.streamText("hi").pipe(Stream.take(1), Stream.runDrain, Effect.provide(layer)))
      assert.deepStrictEqual(left.spans.map(statusOf), ["failed", "failed", "ok"])
      assert.isUndefined(left.spans[0]?.attributes.get("error.type"))

      const cut = yield* traced(Llm.streamText("hi").pipe(Stream.runDrain, Effect.provide(layer)))
      assert.strictEqual(cut.result._tag, "Failure")
      assert.deepStrictEqual(cut.spans.map(statusOf), ["failed", "failed", "ok"])
      assert.strictEqual(cut.spans[0]?.attributes.get("error.type"), "StreamTruncated")
      assert.strictEqual(cut.spans[1]?.attributes.get("error.type"), "StreamTruncated")
    })
  )

  it.effect("ends the span of a call that is interrupted", () =>
    Effect.gen(function* () {
      const ask = Llm.generateText("hi").pipe(
        Effect.provide(model(() => Effect.never)),
        Effect.timeoutOption("1 minute")
      )
      const running = yield* Effect.forkChild(traced(ask))
      yield* TestClock.adjust("1 minute")
      const { metrics, spans } = yield* Fiber.join(running)
      assert.deepStrictEqual(spans.map(statusOf), ["failed", "failed", "failed"])
      assert.deepInclude(attributesOf(metrics, "gen_ai.client.operation.duration"), { "error.type": "interrupted" })
    })
  )

  it.effect("says that an attempt timed out, not that it was interrupted", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ retry: { retries: 0 }, timeout: { attempt: "5 seconds" } })
      const layer = OpenAiLlm.layer({ model: "m", policy }).pipe(
        Layer.provide(TestHttpClient.layer(() => Effect.never))
      )
      const running = yield* Effect.forkChild(traced(Llm.generateText("hi").pipe(Effect.provide(layer))))
      yield* TestClock.adjust("5 seconds")
      const { spans } = yield* Fiber.join(running)
      assert.deepStrictEqual(
        spans.map((span) => span.attributes.get("error.type")),
        ["AttemptTimeout", "AttemptTimeout", undefined]
      )
    })
  )

  it.effect("counts tokens, times and outcomes under OpenTelemetry's names", () =>
    Effect.gen(function* () {
      const script = () => Effect.delay(Effect.succeed(answer()), "2 seconds")
      const running = yield* Effect.forkChild(traced(Llm.generateText("hi").pipe(Effect.provide(model(script)))))
      yield* TestClock.adjust("2 seconds")
      const { metrics, spans } = yield* Fiber.join(running)
      assert.deepInclude(stateOf(metrics, "gen_ai.client.operation.duration"), { count: 1, sum: 2 })
      assert.deepStrictEqual(attributesOf(metrics, "gen_ai.client.operation.duration"), {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "some-model",
        "server.address": "models.example.com",
        "server.port": "8443",
        unit: "s"
      })
      const tokens = metrics.filter(({ id }) => id === "gen_ai.client.token.usage")
      assert.deepStrictEqual(
        tokens.map(({ attributes, state }) => [attributes?.["gen_ai.token.type"], "sum" in state && state.sum]),
        [
          ["input", 12],
          ["output", 5]
        ]
      )
      const known = new Set<unknown>(Object.values(conventions))
      const names = [
        ...spans.flatMap((span) => [...span.attributes.keys()]),
        ...metrics.flatMap(({ attributes, id }) => [id, ...Object.keys(attributes ?? {})])
      ].filter((name) => name.includes(".") && !name.startsWith("holdfast.") && !/^http\.\w+\.header\./.test(name))
      assert.isAbove(names.length, 20)
      assert.deepStrictEqual(
        names.filter((name) => !known.has(name)),
        []
      )
    })
  )

  it.effect("names providers as the conventions do, and tells a bounded number of models apart", () =>
    Effect.gen(function* () {
      const layer = OpenAiLlm.layer({ provider: "gemini", model: "m", baseUrl: "http://[::1]/v1" }).pipe(
        Layer.provide(TestHttpClient.layer(() => Effect.succeed(answer())))
      )
      const models = Array.from({ length: 100 }, (_, n) => `model-${n}`)
      const asked = Effect.forEach(models, (model) =>
        Llm.generateText({ model, messages: [{ role: "user", content: "hi" }] })
      )
      const { metrics, spans } = yield* traced(asked.pipe(Effect.provide(layer)))
      assert.strictEqual(spans[0]?.name, "chat model-0")
      assert.strictEqual(spans[0]?.attributes.get("gen_ai.provider.name"), "gcp.gemini")
      assert.strictEqual(spans[0]?.attributes.get("server.address"), "::1")
      assert.strictEqual(spans[0]?.attributes.get("server.port"), 80)
      const durations = metrics.filter(({ id }) => id === "gen_ai.client.operation.duration")
      assert.strictEqual(durations.length, 65)
      const others = durations.find(({ attributes }) => attributes?.["gen_ai.request.model"] === "_OTHER")
      assert.deepInclude({ ...others?.state }, { count: 36 })
    })
  )

  it.effect("counts what a stream used until it broke", () =>
    Effect.gen(function* () {
      const usage = JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2 } })
      const script = () => Effect.succeed(events(content("Hel"), usage))
      const { metrics, spans } = yield* traced(
        Llm.streamText("hi").pipe(Stream.runDrain, Effect.provide(model(script)))
      )
      assert.strictEqual(spans[0]?.attributes.get("error.type"), "StreamTruncated")
      assert.strictEqual(spans[0]?.attributes.get("gen_ai.usage.input_tokens"), 7)
      assert.deepInclude(stateOf(metrics, "gen_ai.client.token.usage"), { count: 1, sum: 7 })
      assert.deepInclude(attributesOf(metrics, "gen_ai.client.operation.duration"), { "error.type": "StreamTruncated" })
    })
  )

  it.live("arrives at an OpenTelemetry collector", () =>
    Effect.gen(function* () {
      const received = new Map<string, Array<string>>()
      const url = yield* collector(received)
      const exporter = Otlp.layerJson({
        baseUrl: url,
        resource: { serviceName: "test" },
        tracerExportInterval: "20 millis",
        metricsExportInterval: "20 millis"
      }).pipe(Layer.provide(FetchHttpClient.layer))
      // Closing the layer sends what is left.
      yield* Llm.generateText(secret).pipe(
        Effect.provide(model((_, call) => Effect.succeed(call === 1 ? new Response("{}", { status: 503 }) : answer()))),
        Effect.provide(exporter),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      const spans = (received.get("/v1/traces") ?? [])
        .flatMap((body): Traces["resourceSpans"] => JSON.parse(body).resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      const call = spans.find(({ name }) => name === "chat some-model")
      const attempts = spans.filter(({ name }) => name === "Policy.attempt")
      assert.strictEqual(call?.kind, 3)
      assert.deepStrictEqual(
        attempts.map(({ parentSpanId, status }) => [parentSpanId, status.code, status.message]),
        [
          [call?.spanId, 2, "ServerError"],
          [call?.spanId, 1, undefined]
        ]
      )
      assert.isTrue(spans.every(({ traceId }) => traceId === call?.traceId))
      const metrics = String(received.get("/v1/metrics"))
      for (const name of ["gen_ai.client.token.usage", "holdfast_attempts_total", "holdfast_retries_total"]) {
        assert.include(metrics, name)
      }
      assert.include(metrics, '"unit":"{token}"')
      for (const [, bodies] of received) assert.notInclude(String(bodies), secret)
    }).pipe(Effect.scoped)
  )
})
