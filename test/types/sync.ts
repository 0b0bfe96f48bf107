/** Compiled, never run: what the types of the sync client promise. */
import type { Duration } from "effect"
import type { Llm } from "holdfast/llm"
import { createClient, type ClientOptions } from "holdfast/promise"
import {
  createSyncClient,
  type Execution,
  LlmError,
  type SyncClient,
  type SyncError,
  type SyncOptions
} from "holdfast/sync"
import { expectTypeOf } from "vitest"

createSyncClient({})
createSyncClient({
  llm: { provider: "anthropic", model: "m" },
  retry: { retries: 3, base: "500 millis" },
  circuit: { failures: 5 },
  costBudget: { limit: 10_000 },
  timeout: { total: "1 minute" },
  maxBlock: "2 minutes"
})
// @ts-expect-error a model must be named
createSyncClient({ llm: { provider: "openai" } })
// @ts-expect-error a time has a unit that exists
createSyncClient({ maxBlock: "10 fortnights" })
// @ts-expect-error a function does not cross to a thread
createSyncClient({ retry: { onRetry: () => {} } })
// @ts-expect-error a function does not cross to a thread
createSyncClient({ retry: { classify: () => undefined } })
// @ts-expect-error a function does not cross to a thread
createSyncClient({ llm: { provider: "pool", members: [{ provider: "gemini", model: "m" }], onMove: () => {} } })
// @ts-expect-error a function does not cross to a thread
createSyncClient({ llm: { provider: "fallback", members: [{ provider: "gemini", model: "m" }], onFallback: () => {} } })
// @ts-expect-error a function does not cross to a thread
createSyncClient({ circuit: { failureIf: () => true } })
// @ts-expect-error a price is a function
createSyncClient({ costBudget: { limit: 1, unit: "USD", price: () => 1 } })
// @ts-expect-error a logger is functions
createSyncClient({ logger: console })
// @ts-expect-error it makes no requests of its own
createSyncClient({ http: { baseUrl: "http://127.0.0.1" } })
// @ts-expect-error it does not embed
createSyncClient({ embedder: { provider: "openai", model: "m" } })

/** The functions in options, however deep; none may be left. */
type Functions<T> = T extends (...args: never) => unknown
  ? T
  : T extends ReadonlyArray<infer Item>
    ? Functions<Item>
    : T extends object
      ? T extends Duration.Duration
        ? never
        : { [Name in keyof T]-?: Functions<T[Name]> }[keyof T]
      : never
expectTypeOf<Functions<SyncOptions>>().toBeNever()
expectTypeOf<Functions<ClientOptions["costBudget"]>>().not.toBeNever()

// But for `maxBlock`, what it takes the promise client takes.
declare const options: Omit<SyncOptions, "maxBlock">
createClient(options)
expectTypeOf<Omit<SyncOptions, "maxBlock">>().toExtend<ClientOptions>()

declare const client: SyncClient
declare const signal: AbortSignal

expectTypeOf(client).toExtend<Disposable>()
expectTypeOf(client.generateText("?", { timeout: "1 minute", maxTokens: 10 })).toEqualTypeOf<Llm.Answer>()
client.generateText([{ role: "user", content: "?" }])
client.generateText({ messages: [{ role: "user", content: "?" }], temperature: 0 })
// @ts-expect-error nobody can abort while the call blocks
client.generateText("?", { signal })
// @ts-expect-error a number is no question
client.generateText(42)
expectTypeOf(client.executeCode("1", "javascript", { timeout: 50 })).toEqualTypeOf<Execution>()
expectTypeOf(client.runCode("1", { language: "python", env: { A: "1" } })).toEqualTypeOf<Execution>()
// @ts-expect-error no such language
client.executeCode("1", "cobol")
// @ts-expect-error nobody can abort while the call blocks
client.runCode("1", { signal })
expectTypeOf(client.close()).toEqualTypeOf<void>()

// Errors are the classes of the promise client, and one more.
expectTypeOf<SyncError["code"]>().toEqualTypeOf<"TooLong" | "WorkerLost">()
export const isBusy = (error: unknown): boolean => error instanceof LlmError && error.code === "RateLimited"
