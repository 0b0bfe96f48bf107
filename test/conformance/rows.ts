/** How a row of the failure table is run: against the server's process, through `Llm` and through the promise client. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { Cause, Context, Duration, Effect, Exit, Layer, Redacted, Scope, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, type LlmError, OpenAiLlm } from "holdfast/llm"
import { type Attempt, Policy } from "holdfast/policy"
import { type Client, type ClientOptions, createClient, type Time } from "holdfast/promise"
import { afterAll, beforeAll } from "vitest"

export interface Stats {
  readonly requests: number
  readonly connections: number
  readonly alive: number
  readonly closed: number
  readonly open: number
  readonly written: number
  readonly keys: ReadonlyArray<string>
  readonly secrets: ReadonlyArray<string>
  readonly tokens: number
}

/** Options that both doors understand. */
export interface Options {
  readonly retry?: {
    readonly retries?: number
    readonly base?: Time
    readonly minDelay?: Time
    readonly maxRetryAfter?: Time
  }
  readonly timeout?: NonNullable<ClientOptions["timeout"]>
  readonly maxConcurrency?: number
  /** What each request of the call says besides its message. */
  readonly request?: Pick<Llm.Request, "idempotencyKey">
}

/** What a call of either door ended with. */
export interface Outcome {
  readonly text: string
  readonly error: LlmError.LlmError | undefined
  readonly attempts: ReadonlyArray<Attempt.Attempt>
  readonly finishReason: string | undefined
  readonly raw?: unknown
  readonly usage?: { readonly inputTokens: number; readonly outputTokens: number } | undefined
}

/** One door, as the rows see it. */
export interface Door {
  readonly name: string
  readonly unary: (url: string, options?: Options) => Promise<Outcome>
  readonly stream: (url: string, options?: Options, onText?: (text: string) => Promise<void>) => Promise<Outcome>
}

let origin = ""
/** The same server on another port: another origin. */
let elsewhere = ""
let runs = 0

/** Starts the server's process for the tests of a file. */
export const useServer = (): void => {
  let child: ReturnType<typeof spawn> | undefined
  beforeAll(async () => {
    child = spawn(process.execPath, [new URL("server.ts", import.meta.url).pathname], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    const { stdout } = child
    if (stdout === null) throw new Error("the server has no stdout")
    const [ports] = await once(stdout, "data")
    const [port, otherPort] = String(ports).trim().split(" ")
    origin = `http://127.0.0.1:${port}`
    elsewhere = `http://127.0.0.1:${otherPort}`
  })
  afterAll(() => {
    child?.stdin?.end()
  })
}

export interface Row {
  readonly url: string
  /** What reached it. */
  readonly stats: () => Promise<Stats>
  /** What a redirect of it brought to the other origin. */
  readonly landed: () => Promise<Stats>
}

const read = async (url: string): Promise<Stats> => {
  const response = await fetch(`${url}/stats`)
  const stats: Stats = JSON.parse(await response.text())
  return stats
}

/** A fresh base URL of a row, and how to ask what reached it. */
export const row = (id: string): Row => {
  const url = `${origin}/${id}/${++runs}`
  const run = runs
  return { url: `${url}/v1`, stats: () => read(url), landed: () => read(`${elsewhere}/landed/${run}`) }
}

/** A row that answers `times` requests (default: all) with these words, and the next ones well. */
export const replying = (reply: {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly times?: number
}): Row => row(`reply.${Buffer.from(JSON.stringify(reply)).toString("base64url")}`)

/** A port at which nobody listens. */
export const closedPort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === "object" && address !== null ? address.port : 0
}

/** Asks again and again until the server has seen what is expected: it learns of a close when the packet arrives. */
export const eventually = async (stats: () => Promise<Stats>, isSeen: (stats: Stats) => boolean): Promise<Stats> => {
  const deadline = performance.now() + 5_000
  for (;;) {
    const seen = await stats()
    if (isSeen(seen) || performance.now() > deadline) return seen
  }
}

const outcomeOf = (error: unknown, text: string): Outcome => {
  if (!isLlmError(error)) throw error
  return { text, error, attempts: error.attempts, finishReason: undefined }
}

const isLlmError = (u: unknown): u is LlmError.LlmError => u instanceof Error && "_tag" in u && u._tag === "LlmError"

export const clientOptions = (url: string, { request: _request, ...options }: Options = {}): ClientOptions => ({
  llm: { provider: "openai", apiKey: "sk-secret", baseUrl: url, model: "test-model" },
  ...options,
  retry: { base: 1, ...options.retry }
})

const through = (name: string, more: ClientOptions): Door => {
  const withClient = async (url: string, options: Options | undefined, use: (client: Client) => Promise<Outcome>) => {
    await using client = createClient({ ...clientOptions(url, options), ...more })
    return await use(client)
  }
  return {
    name,
    unary: (url, options) =>
      withClient(url, options, async (client) => {
        try {
          const answer = await client.generateText("hi", options?.request)
          return { ...answer, error: undefined }
        } catch (error) {
          return outcomeOf(error, "")
        }
      }),
    stream: (url, options, onText) =>
      withClient(url, options, async (client) => {
        let text = ""
        try {
          for await (const event of client.streamText("hi", options?.request)) {
            if (event.type === "finish") return { ...event, text, error: undefined }
            if (event.type !== "text") continue
            text += event.text
            await onText?.(event.text)
          }
          throw new Error("the stream ended without a finish event")
        } catch (error) {
          return outcomeOf(error, text)
        }
      })
  }
}

export const promiseDoor = through("promise client", {})

/** The same, over Node's own `fetch`. */
export const fetchDoor = through("promise client over fetch", { fetch })

const duration = (time: Time | undefined): Duration.Duration | undefined =>
  time === undefined
    ? undefined
    : Duration.fromInputUnsafe(typeof time === "number" ? time : Duration.fromInputUnsafe(time as `${number} seconds`))

export const policyOf = ({ maxConcurrency, retry, timeout }: Options = {}): Policy.Policy =>
  Policy.make({
    maxConcurrency,
    retry: {
      retries: retry?.retries,
      base: duration(retry?.base) ?? 1,
      minDelay: duration(retry?.minDelay),
      maxRetryAfter: duration(retry?.maxRetryAfter)
    },
    timeout: {
      attempt: duration(timeout?.attempt),
      firstContent: duration(timeout?.firstContent),
      idleContent: duration(timeout?.idleContent),
      total: duration(timeout?.total)
    }
  })

export const llmLayer = (url: string, options?: Options): Layer.Layer<Llm.Llm> =>
  OpenAiLlm.layer({
    baseUrl: url,
    apiKey: Redacted.make("sk-secret"),
    model: "test-model",
    policy: policyOf(options)
  }).pipe(Layer.provide(UndiciHttpClient.layer({ connections: options?.maxConcurrency })))

const withLlm = async (
  url: string,
  options: Options | undefined,
  use: (llm: Llm.Llm["Service"]) => Effect.Effect<Outcome, LlmError.LlmError>,
  textSoFar: () => string
): Promise<Outcome> => {
  const scope = Scope.makeUnsafe()
  try {
    const context = await Effect.runPromise(Layer.buildWithScope(llmLayer(url, options), scope))
    const exit = await Effect.runPromiseExit(use(Context.get(context, Llm.Llm)))
    return Exit.isSuccess(exit) ? exit.value : outcomeOf(Cause.squash(exit.cause), textSoFar())
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

export const effectDoor: Door = {
  name: "Llm",
  unary: (url, options) =>
    withLlm(
      url,
      options,
      (llm) =>
        Effect.map(llm.generateText({ ...Llm.toRequest("hi"), ...options?.request }), (answer) => ({
          ...answer,
          error: undefined
        })),
      () => ""
    ),
  stream: (url, options, onText) => {
    let text = ""
    return withLlm(
      url,
      options,
      (llm) => {
        let outcome: Outcome = { text, error: undefined, attempts: [], finishReason: undefined }
        const read = Stream.runForEach(llm.streamText({ ...Llm.toRequest("hi"), ...options?.request }), (event) =>
          Effect.promise(async () => {
            if (event.type === "finish") {
              outcome = { ...event, text, error: undefined }
              return
            }
            if (event.type !== "text") return
            text += event.text
            await onText?.(event.text)
          })
        )
        return Effect.map(read, () => outcome)
      },
      () => text
    )
  }
}

/** A client of one of the doors that lives for many calls, for what is about its connections. */
export interface Asking {
  readonly ask: () => Promise<{ readonly text: string; readonly attempts: ReadonlyArray<Attempt.Attempt> }>
  readonly stream: () => AsyncIterable<Llm.StreamEvent>
  readonly close: () => Promise<unknown>
}

const openLlm = async (url: string, options?: Options): Promise<Asking> => {
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(llmLayer(url, options), scope))
  const llm = Context.get(context, Llm.Llm)
  return {
    ask: () => Effect.runPromise(llm.generateText(Llm.toRequest("hi"))),
    stream: () => Stream.toAsyncIterable(llm.streamText(Llm.toRequest("hi"))),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const openClient = async (url: string, options?: Options, more?: ClientOptions): Promise<Asking> => {
  const client = createClient({ ...clientOptions(url, options), ...more })
  return {
    ask: () => client.generateText("hi"),
    stream: () => client.streamText("hi"),
    close: () => client.close()
  }
}

export const openDoors = [
  { name: "Llm", open: openLlm },
  { name: "promise client", open: openClient }
] as const

/** And over Node's own `fetch`, whose connections are its own: how many, and which one is used again, is not ours to say. */
export const everyOpenDoor = [
  ...openDoors,
  { name: "promise client over fetch", open: (url: string, options?: Options) => openClient(url, options, { fetch }) }
] as const

export const doors = [effectDoor, promiseDoor, fetchDoor] as const
