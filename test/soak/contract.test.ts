/** The contract of every Sandbox through the promise client. Only in the soak. */
import { Duration, Effect, Layer, Stream } from "effect"
import { createClient, type Session as PlainSession, type Time } from "holdfast/promise"
import { Sandbox, SandboxError } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.ts"

/** What a promise rejects with is what the effect fails with; anything else is a defect. */
const failing = (error: unknown): SandboxError.SandboxError => {
  if (error instanceof SandboxError.SandboxError) return error
  throw error
}

const millis = (input: Duration.Input | undefined): Time | undefined =>
  input === undefined ? undefined : Duration.toMillis(Duration.fromInputUnsafe(input))

type PlainExecution = Awaited<ReturnType<PlainSession["runCode"]>>

const toExecution = ({ durationMs, ...rest }: PlainExecution): Sandbox.Execution => ({
  ...rest,
  durationMillis: durationMs
})

const runOptions = ({ timeout, ...rest }: Sandbox.RunOptions = {}) => ({ ...rest, timeout: millis(timeout) })

const toSession = (session: PlainSession): Sandbox.Session => ({
  id: session.id,
  userId: session.userId,
  languages: session.languages,
  isolation: session.isolation,
  runCode: (code, options) =>
    Effect.map(
      Effect.tryPromise({
        try: (signal) => session.runCode(code, { ...runOptions(options), signal }),
        catch: failing
      }),
      toExecution
    ),
  streamCode: (code, options) =>
    Stream.map(
      Stream.suspend(() => Stream.fromAsyncIterable(session.streamCode(code, runOptions(options)), failing)),
      (event): Sandbox.ExecutionEvent =>
        event.type === "done" ? { type: "done", execution: toExecution(event.execution) } : event
    )
})

const asSandbox: Layer.Layer<Sandbox.Sandbox> = Layer.effect(
  Sandbox.Sandbox,
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => createClient({ sandbox: { provider: "local", maxSessions: 4 } })),
      (client) => Effect.promise(() => client.close())
    ),
    (client) =>
      Sandbox.Sandbox.of({
        create: ({ createTimeout, ...options } = {}) =>
          Effect.map(
            Effect.acquireRelease(
              Effect.tryPromise({
                try: (signal) => client.createSession({ ...options, createTimeout: millis(createTimeout), signal }),
                catch: failing
              }),
              (session) => Effect.promise(() => session.close())
            ),
            toSession
          )
      })
  )
)

contract("the promise client", asSandbox, ["javascript", "python"])
