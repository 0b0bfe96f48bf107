/** Compiled, never run: what the types of the promise client promise. */
import {
  type Client,
  type CloseReport,
  closeOnSignals,
  createClient,
  type Derived,
  type Execution,
  type LlmError,
  type LogFields,
  SandboxError,
  type Settled,
  type Time
} from "holdfast/promise"
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
// @ts-expect-error a time has a unit
createClient({ retry: { base: "500" } })
// @ts-expect-error the name is maxConcurrency
createClient({ concurrency: 20 })

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

// Clients, sessions and streams end with the block that they are made in.
expectTypeOf(client).toExtend<AsyncDisposable>()
expectTypeOf(client.createSession()).resolves.toExtend<AsyncDisposable>()
expectTypeOf(client.streamText("?")).toExtend<AsyncDisposable & AsyncIterable<{ readonly type: string }>>()

// A client with other defaults does all but closing.
expectTypeOf(client.with({ tenant: "acme", timeout: "1 minute", headers: { "x-team": "a" } })).toEqualTypeOf<Derived>()
expectTypeOf(client.with({}).with({}).generateText("?")).toEqualTypeOf(client.generateText("?"))
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

// Errors are classes with a code from a closed list.
expectTypeOf<LlmError>().toExtend<Error>()
export const isBusy = (error: LlmError): boolean => error.code === "RateLimited" || error.code === "Overloaded"
// @ts-expect-error no such code
export const isTypo = (error: LlmError): boolean => error.code === "RateLimit"
export const traceback = (error: unknown): string | undefined =>
  error instanceof SandboxError && error.reason._tag === "ExecutionFailed" ? error.reason.traceback : undefined
