/** The thread of one sync client: a promise client that is asked one call after another. Never imported, only run. */
import * as Effect from "effect/Effect"
import { runAsWorker } from "synckit"
import { after, defaultClock } from "../../policy/Timer.ts"
import type { Language } from "../../sandbox/Sandbox.ts"
import { SandboxError } from "../../sandbox/SandboxError.ts"
import { type Client, createClient } from "../Client.ts"
import type { Execution, RunOptions, Session } from "../Session.ts"
import { send } from "./syncCodec.ts"
import { SyncError } from "./syncError.ts"
import type { Asked, Reply, Serve, Settings } from "./syncThread.ts"

/** Killing sandboxes and closing sockets takes milliseconds; who closes must not wait for what hangs. */
const closeTimeout = "5 seconds"

let client: Client | undefined
let session: Promise<Session> | undefined
let current: { readonly over: AbortController; readonly done: Promise<unknown> } | undefined

/**
 * Runs a call with a signal that is aborted when it takes too long. One that still runs when the next one comes was left
 * by its caller, who blocks: Ctrl-C in a REPL. It is stopped.
 */
const bounded = async (millis: number, f: (signal: AbortSignal) => Promise<Reply>): Promise<Reply> => {
  const over = new AbortController()
  const cancel = after(defaultClock, millis, () =>
    over.abort(
      new SyncError({
        code: "TooLong",
        description: `the call was stopped after ${millis} ms, and may have been done; raise \`maxBlock\` or ask for less`
      })
    )
  )
  const before = current
  before?.over.abort()
  const reply = Promise.resolve(before?.done).then(() => f(over.signal))
  current = { over, done: reply.catch(() => {}) }
  try {
    return await reply
  } finally {
    cancel()
  }
}

const open = (client: Client, language: Language, signal: AbortSignal | undefined): Promise<Session> =>
  (session ??= client.createSession({ language, signal }).catch((error: unknown) => {
    session = undefined
    throw error
  }))

/** Closes the kept session, so that the next run has a new one. */
const leave = async (kept: Session): Promise<void> => {
  session = undefined
  await kept.close()
}

/** Runs code in the session that is kept. One that is lost is told of once, and the next run has a new one. */
const runKept = async (client: Client, code: string, options: RunOptions): Promise<Execution> => {
  const { language = "python", signal } = options
  const kept = await open(client, language, signal)
  try {
    const execution = await kept.runCode(code, { ...options, language })
    if (execution.sessionState === "lost") await leave(kept)
    return execution
  } catch (error) {
    if (error instanceof SandboxError && error.code === "SessionLost") await leave(kept)
    throw error
  }
}

const answer = (client: Client, asked: Exclude<Asked, { readonly call: "close" }>, signal: AbortSignal) => {
  switch (asked.call) {
    case "generateText":
      return client
        .generateText(asked.input, { ...asked.options, signal })
        .then((answer): Reply => ({ is: "answer", answer }))
    case "executeCode":
      return client
        .executeCode(asked.code, asked.language, { ...asked.options, signal })
        .then((execution): Reply => ({ is: "execution", execution }))
    case "runCode":
      return runKept(client, asked.code, { ...asked.options, signal }).then((execution): Reply => ({
        is: "execution",
        execution
      }))
  }
}

const close = async (): Promise<Reply> => {
  const closing = Effect.promise(async () => client?.close())
  await Effect.runPromise(Effect.timeoutOption(closing, closeTimeout))
  // The reply is posted first. Exiting ends this thread alone, with whatever still hangs in it.
  setImmediate(() => process.exit())
  return { is: "closed" }
}

const serve = async (settings: Settings, asked: Asked): Promise<Reply> => {
  try {
    if (asked.call === "close") return await close()
    const served = (client ??= createClient(settings.client))
    return await bounded(settings.maxBlockMillis, (signal) => answer(served, asked, signal))
  } catch (error) {
    return { is: "error", error: send(error) }
  }
}

runAsWorker<Serve>(serve)
