/** Compiled, never run: what the types of the promise client promise. */
import {
  type Client,
  type CloseReport,
  closeOnSignals,
  type CommandResult,
  createClient,
  type Derived,
  type DrainReport,
  type Execution,
  type Flow,
  LlmError,
  type LogFields,
  type ObjectSource,
  type Reading,
  type RequestOptions,
  SandboxError,
  type Settled,
  type Time,
  tool,
  type Tool
} from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { TestHttpClient, TestLlm, TestSandbox } from "holdfast/testing"
import { expectTypeOf } from "vitest"

createClient({})
createClient({
  llm: { provider: "deepseek", model: "m" },
  sandbox: { provider: "local" },
  retry: { retries: 3, base: "500 millis", maxDelay: "20s", maxRetryAfter: 60_000 },
  timeout: { connect: "1.5 seconds", attempt: "60 seconds", total: "Infinity" },
  maxConcurrency: 20
})
// @ts-expect-error no such provider
createClient({ llm: { provider: "skynet", model: "m" } })
// @ts-expect-error a model must be named
createClient({ llm: { provider: "openai" } })
// @ts-expect-error no such sandbox
createClient({ sandbox: { provider: "cloud" } })
// @ts-expect-error a time has a unit that exists
createClient({ timeout: { total: "10 fortnights" } })

// Each sandbox has its own options.
createClient({ sandbox: { provider: "local", os: "require", grace: "1s", limits: { outputBytes: 1000 } } })
createClient({ sandbox: { provider: "process", readable: ["/data"], lifetime: "10 minutes" } })
createClient({ sandbox: { provider: "e2b", apiKey: "e2b_", template: "base", lifetime: "10m" } })
createClient({ sandbox: { provider: "rest", baseUrl: "http://127.0.0.1:8080", apiKey: "k", features: ["files"] } })
// @ts-expect-error walls are those of this machine
createClient({ sandbox: { provider: "e2b", os: "require" } })
// @ts-expect-error a service has an address
createClient({ sandbox: { provider: "rest" } })
// @ts-expect-error the embedded sandbox has no key
createClient({ sandbox: { provider: "local", apiKey: "k" } })
// @ts-expect-error templates are E2B's
createClient({ sandbox: { provider: "process", template: "base" } })
// @ts-expect-error a time has a unit that exists
createClient({ sandbox: { provider: "local", grace: "10 fortnights" } })
// @ts-expect-error no such language
createClient({ sandbox: { provider: "local", languages: ["cobol"] } })
// @ts-expect-error no such feature
createClient({ sandbox: { provider: "rest", baseUrl: "http://a", features: ["telepathy"] } })
// @ts-expect-error a time has a unit
createClient({ retry: { base: "500" } })
// @ts-expect-error the name is maxConcurrency
createClient({ concurrency: 20 })

// Each provider has its own options.
createClient({ llm: { provider: "openai", model: "m", jsonSchema: false, maxTokensField: "max_completion_tokens" } })
createClient({ llm: { provider: "anthropic", model: "m", version: "2023-06-01", maxTokens: 100, onCut: "continue" } })
createClient({ llm: { provider: "gemini", model: "m", onCut: "restart" } })
createClient({ llm: { provider: "evolution", baseUrl: "https://x.cloud.ru/v1", keyId: "a", secret: "b" } })
createClient({ llm: { provider: "evolution" } })
// @ts-expect-error JSON Schemas are a question to compatible servers only
createClient({ llm: { provider: "anthropic", model: "m", jsonSchema: true } })
// @ts-expect-error no such version
createClient({ llm: { provider: "anthropic", model: "m", version: "2024-01-01" } })
// @ts-expect-error versions are Anthropic's
createClient({ llm: { provider: "openai", model: "m", version: "2023-06-01" } })
// @ts-expect-error key pairs are Evolution's
createClient({ llm: { provider: "deepseek", model: "m", keyId: "a" } })
// @ts-expect-error nobody continues an answer of Gemini
createClient({ llm: { provider: "gemini", model: "m", onCut: "continue" } })
// @ts-expect-error no such recovery
createClient({ llm: { provider: "openai", model: "m", onCut: "repeat" } })

// Several of them: a pool of keys is a list, a fallback has a first.
declare const keys: ReadonlyArray<string>
createClient({
  llm: {
    provider: "pool",
    members: keys.map((apiKey) => ({ provider: "openai", model: "m", apiKey, weight: 2 })),
    strategy: "roundRobin",
    coolDown: "10s",
    onMove: ({ from, to }) => console.log(from, to)
  }
})
createClient({
  llm: {
    provider: "fallback",
    members: [
      { provider: "anthropic", model: "m", name: "first" },
      { provider: "gemini", model: "m", longerContext: true }
    ],
    onFallback: async ({ from, to }) => console.log(from, to)
  }
})
// @ts-expect-error a fallback has a first
createClient({ llm: { provider: "fallback", members: [] } })
// @ts-expect-error a weight is a pool's
createClient({ llm: { provider: "fallback", members: [{ provider: "openai", model: "m", weight: 2 }] } })
// @ts-expect-error a member is one endpoint
createClient({ llm: { provider: "pool", members: [{ provider: "fallback", members: [] }] } })
// @ts-expect-error each member has the options of its own provider
createClient({ llm: { provider: "pool", members: [{ provider: "gemini", model: "m", jsonSchema: true }] } })
// @ts-expect-error no such strategy
createClient({ llm: { provider: "pool", members: [{ provider: "gemini", model: "m" }], strategy: "random" } })

createClient({ embedder: { provider: "gemini", model: "m", dimensions: 256 } })
createClient({ embedder: { provider: "openai", model: "m", encoding: "float" } })
// @ts-expect-error Gemini has one encoding
createClient({ embedder: { provider: "gemini", model: "m", encoding: "float" } })
// @ts-expect-error nobody embeds there
createClient({ embedder: { provider: "anthropic", model: "m" } })
createClient({ prices: { "some-model": { input: 1, output: 2 } } })
// @ts-expect-error a price has an output
createClient({ prices: { "some-model": { input: 1 } } })

createClient({
  rateLimit: { requestsPerMinute: 500, tokensPerMinute: 100_000, window: "10s" },
  retryBudget: { ratio: 0.2 },
  circuit: { failures: 5, openFor: "30 seconds" },
  hedge: { percentile: 0.95, costly: true },
  costBudget: { limit: 10, unit: "USD", price: ({ outputTokens }) => outputTokens / 100_000 },
  adaptive: { min: 2 },
  ageing: "10s"
})
createClient({ retryBudget: false, adaptive: true })
// @ts-expect-error a budget has a limit
createClient({ costBudget: { name: "run" } })
// @ts-expect-error money has a price
createClient({ costBudget: { limit: 10, unit: "USD" } })
// @ts-expect-error a time has a unit that exists
createClient({ circuit: { openFor: "10 fortnights" } })
// @ts-expect-error a circuit's store is Effect's
createClient({ circuit: { store: undefined } })
// @ts-expect-error the name is requestsPerMinute
createClient({ rateLimit: { rpm: 500 } })

// Hooks are plain functions, and `console` is a logger.
createClient({
  retry: {
    retryIf: (error) => error instanceof TypeError,
    retryWhen: (value) => value === "",
    classify: (error) => (error === "busy" ? { isRetryable: true, retryAfter: "2s" } : undefined),
    onRetry: async ({ key, retry, waitMs, cause }) => console.log(key, retry, waitMs, cause)
  },
  logger: console
})
const silent = (_message: string, _fields: LogFields) => {}
createClient({ logger: { debug: silent, info: silent, warn: silent, error: silent } })
// @ts-expect-error it must be able to say all four
createClient({ logger: { error: silent } })
// @ts-expect-error no such phase
createClient({ retry: { classify: () => ({ isRetryable: true, phase: "lost" }) } })

expectTypeOf<"10 seconds" | "10s" | "1 minute" | 500 | "Infinity">().toExtend<Time>()
expectTypeOf<"10 fortnights">().not.toExtend<Time>()

declare const client: Client
declare const signal: AbortSignal

// A question, a conversation, or a whole request.
client.generateText("?", { signal, timeout: "1 minute", maxTokens: 10 })
client.generateText([{ role: "user", content: "?" }])
client.generateText({ messages: [{ role: "user", content: "?" }], temperature: 0 })
client.generateText("?", { priority: "high", tenant: "acme" })
// @ts-expect-error no such class
client.generateText("?", { priority: "urgent" })
// @ts-expect-error a number is no question
client.generateText(42)
// @ts-expect-error no such role
client.generateText([{ role: "robot", content: "?" }])
expectTypeOf(client.generateText("?")).resolves.toHaveProperty("text").toEqualTypeOf<string>()

// An object has the type of its schema, whichever way that is told.
interface City {
  readonly city: string
}
declare const city: ObjectSource<City>
declare const jsonSchema: Record<string, unknown>
expectTypeOf(client.generateObject(city, "?")).resolves.toHaveProperty("value").toEqualTypeOf<City>()
expectTypeOf(client.generateObject({ jsonSchema, decode: (value) => Number(value) }, "?"))
  .resolves.toHaveProperty("value")
  .toEqualTypeOf<number>()
expectTypeOf(client.generateObject({ jsonSchema, decode: async (value) => String(value) }, "?"))
  .resolves.toHaveProperty("value")
  .toEqualTypeOf<string>()
client.generateObject(city, "?", { maxAnswers: 2, name: "city", timeout: "1 minute", maxTokens: 100 })
// @ts-expect-error a JSON Schema alone decodes nothing
client.generateObject({ jsonSchema }, "?")
// @ts-expect-error rounds are of tools
client.generateObject(city, "?", { maxRounds: 2 })

// Each tool has the arguments of its own schema, made by `tool` or written in place.
const weather = tool({
  name: "weather",
  description: "",
  parameters: city,
  run: (input, context) => {
    expectTypeOf(input).toEqualTypeOf<City>()
    expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>()
    expectTypeOf(context.round).toEqualTypeOf<number>()
  }
})
const now = tool({ name: "now", description: "", run: (input) => expectTypeOf(input).toEqualTypeOf<undefined>() })
const double = tool({
  name: "double",
  description: "",
  parameters: { jsonSchema, decode: (value) => Number(value) },
  run: async (input) => expectTypeOf(input).toEqualTypeOf<number>()
})
client.runTools([weather, double, now], "?", { maxRounds: 3, onToolError: "caller" })
client.runTools(
  [
    {
      name: "weather",
      description: "",
      parameters: city,
      run: (input) => expectTypeOf(input).toEqualTypeOf<City>()
    },
    { name: "now", description: "", run: () => 1 }
  ],
  "?"
)
const several: ReadonlyArray<Tool> = [weather, now]
client.streamTools(several, "?")
client.streamTools([], "?")
// @ts-expect-error without parameters there is no input
tool({ name: "double", description: "", run: (input: number) => input * 2 })
// @ts-expect-error a tool says when to use it
tool({ name: "now", run: () => 1 })
// @ts-expect-error nobody else may hear of it
client.runTools([now], "?", { onToolError: "nobody" })
expectTypeOf(client.streamTools([now], "?")).toExtend<AsyncDisposable & AsyncIterable<{ readonly type: string }>>()

expectTypeOf(client.embed("a")).resolves.toEqualTypeOf<ReadonlyArray<number>>()
expectTypeOf(client.embedMany(["a"], { purpose: "query", signal }))
  .resolves.toHaveProperty("vectors")
  .toEqualTypeOf<ReadonlyArray<ReadonlyArray<number>>>()
// @ts-expect-error many texts are a list
client.embedMany("a")

// Clients, sessions and streams end with the block that they are made in.
expectTypeOf(client).toExtend<AsyncDisposable>()
expectTypeOf(client.createSession()).resolves.toExtend<AsyncDisposable>()
expectTypeOf(client.streamText("?")).toExtend<AsyncDisposable & AsyncIterable<{ readonly type: string }>>()

// What a stream comes to is there by promises, too, and it is a web stream.
const answering = client.streamText("?")
expectTypeOf(answering.text()).resolves.toEqualTypeOf<string>()
expectTypeOf(answering.usage).resolves.toHaveProperty("outputTokens").toEqualTypeOf<number>()
expectTypeOf(answering.result()).resolves.toHaveProperty("finishReason")
expectTypeOf(answering.toTextStream()).toEqualTypeOf<ReadableStream<string>>()
expectTypeOf(client.streamTools([], "?").result()).resolves.toHaveProperty("rounds")
answering.abort()
// @ts-expect-error nobody has seen it as a whole on the wire
answering.result().then(({ raw }) => raw)
client.createSession().then((session) => {
  expectTypeOf(session.streamCode("1").result()).resolves.toEqualTypeOf<Execution>()
  expectTypeOf(session.streamCode("1")).toExtend<Reading<{ readonly type: string }, Execution>>()
  // @ts-expect-error a program is no text
  session.streamCode("1").text()
})

client.createSession({ language: "typescript", cwd: "/tmp", lifetime: "10 minutes" }).then(async (session) => {
  expectTypeOf(session.runCommand("ls", { stdin: "a" })).resolves.toEqualTypeOf<CommandResult>()
  expectTypeOf(session.streamCommand("ls").result()).resolves.toEqualTypeOf<CommandResult>()
  expectTypeOf(session.files.read("a")).resolves.toEqualTypeOf<Uint8Array>()
  expectTypeOf(session.files.download("a")).toEqualTypeOf<Flow<Uint8Array>>()
  session.files.upload("a", new Blob(["a"]).stream(), { signal })
  session.files.upload("a", (async function* () {})())
  // @ts-expect-error texts are written, not uploaded
  session.files.upload("a", "text")
  // @ts-expect-error nobody promises all of it
  session.files.download("a").result()
  const context = await session.createContext({ language: "python" })
  session.runCode("1", { context })
  // @ts-expect-error a context is an object
  session.runCode("1", { context: "c-1" })
  // @ts-expect-error a lifetime has a unit
  session.extend("10")
  expectTypeOf(session.interrupt()).resolves.toEqualTypeOf<void>()
  expectTypeOf(session.reset({ signal })).resolves.toEqualTypeOf<void>()
  // @ts-expect-error a session of its own has no contexts
  client.executeCode("1", "python", { context })
})

// Each method takes the same beside its own.
declare const every: RequestOptions
expectTypeOf<keyof RequestOptions>().toEqualTypeOf<
  "signal" | "timeout" | "priority" | "tenant" | "headers" | "idempotencyKey"
>()
client.executeCode("1", "python", { signal, timeout: "5 seconds", env: { A: "1" }, priority: "high" })
client.executeCode("1", "python", every)
client.createSession({ tenant: "acme", headers: { "x-a": "1" }, idempotencyKey: "k" }).then((session) => {
  const { files } = session
  session.runCode("1", every)
  session.streamCode("1", every)
  session.runCommand("ls", every)
  session.streamCommand("ls", every)
  session.createContext(every)
  session.interrupt(every)
  session.reset(every)
  session.extend("10 minutes", every)
  files.read("a", every)
  files.readText("a", every)
  files.write("a", "text", every)
  files.list("a", every)
  files.remove("a", every)
  files.upload("a", new Blob(["a"]), every)
  files.download("a", every)
  // @ts-expect-error no such class
  session.runCode("1", { priority: "urgent" })
  // @ts-expect-error a header is a text
  files.read("a", { headers: { "x-a": 1 } })
})
client.vectors.upsert({ id: "a", vector: [1] }, every)
client.vectors.upsertMany([], every)
client.vectors.search({ vector: [1] }, every)
client.vectors.searchMany([], every)
client.vectors.remove("a", every)
client.vectors.get(["a"], { ...every, withVectors: true })
client.vectors.count(undefined, every)
client.vectors.stream({}, every)
// @ts-expect-error one key
client.vectors.upsert({ id: "a", vector: [1] }, { idempotencyKey: ["k"] })
client.generateText("?", { idempotencyKey: "k", headers: { "x-a": "1" } })
client.embed("?", every)
client.embedMany(["?"], { headers: { "x-a": "1" }, priority: "low", idempotencyKey: "k" })
client.http.get("/", every)

// `chat` is that of holdfast/openai.
expectTypeOf(client.chat.completions.create({ model: "m", messages: [] })).resolves.toHaveProperty("choices")

// A client over layers has the same type, and takes a layer that it can ask.
expectTypeOf(fromLayer(TestLlm.layer("?"))).toEqualTypeOf<Client>()
fromLayer(TestSandbox.layer("?"), { http: {}, maxConcurrency: 3 })
// @ts-expect-error no method asks it
fromLayer(TestHttpClient.layer([]))

// A client with other defaults does all but closing.
expectTypeOf(client.with({ tenant: "acme", timeout: "1 minute", headers: { "x-team": "a" } })).toEqualTypeOf<Derived>()
expectTypeOf(client.with({}).with({}).generateText("?")).toEqualTypeOf(client.generateText("?"))
client
  .with({ deadline: new Date() })
  .with({ deadline: "2 minutes" })
  .with({ deadline: Date.now() + 1000 })
// @ts-expect-error a time has a unit that exists
client.with({ deadline: "10 fortnights" })
expectTypeOf(client.drain({ grace: "5 seconds" })).resolves.toEqualTypeOf<DrainReport>()
expectTypeOf(client.with({}).chat).toEqualTypeOf<Client["chat"]>()
// @ts-expect-error closing is left to the client that it came from
client.with({}).close()
// @ts-expect-error a default changes what calls ask for, never what they share
client.with({ maxConcurrency: 3 })

// Signals close a client until the block ends that listens.
expectTypeOf(closeOnSignals(client, { grace: "8 seconds" })).toEqualTypeOf<Disposable>()
closeOnSignals(client, {
  onClosed: async ({ exitCode, report, signal }) => {
    expectTypeOf(exitCode).toEqualTypeOf<number>()
    expectTypeOf(report).toEqualTypeOf<CloseReport | undefined>()
    expectTypeOf<"SIGINT" | "SIGTERM">().toExtend<typeof signal>()
  }
})
// @ts-expect-error a derived client is not closed by itself
closeOnSignals(client.with({}))

client.executeCode("1", "python", { timeout: "5 seconds" })
// @ts-expect-error no such language
client.executeCode("1", "cobol")
// @ts-expect-error no such language
client.createSession({ language: "cobol" })
expectTypeOf<Execution["durationMs"]>().toEqualTypeOf<number>()
expectTypeOf(client.executeCode("1")).resolves.toEqualTypeOf<Execution>()

// `map` keeps the order and the type of the results, and an item's failure is a value.
expectTypeOf(client.map(["a"], (item) => item.length)).resolves.toEqualTypeOf<Array<Settled<number>>>()
expectTypeOf(client.map(new Set([1]), async (item) => String(item))).resolves.toEqualTypeOf<Array<Settled<string>>>()

client.map([1], (item, { index, signal }) => [item, index, signal.aborted], { concurrency: 2, stopOnError: true })
// @ts-expect-error it is called concurrency
client.map([1], (item) => item, { limit: 2 })

// Errors are classes with a code from a closed list.
expectTypeOf(LlmError.isInstance).guards.toEqualTypeOf<LlmError>()
expectTypeOf<LlmError["retryAfterMs"]>().toEqualTypeOf<number | undefined>()
expectTypeOf<LlmError["partial"]>().toEqualTypeOf<string | undefined>()
expectTypeOf<LlmError>().toExtend<Error>()
export const isBusy = (error: LlmError): boolean => error.code === "RateLimited" || error.code === "Overloaded"
// @ts-expect-error no such code
export const isTypo = (error: LlmError): boolean => error.code === "RateLimit"
export const traceback = (error: unknown): string | undefined =>
  error instanceof SandboxError && error.reason._tag === "ExecutionFailed" ? error.reason.traceback : undefined
