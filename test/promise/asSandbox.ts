/** A promise client as a `Sandbox`, so that the suite of every Sandbox asks it too. */
import { type Context, Duration, Effect, Layer, Stream } from "effect"
import type { Client, CommandResult, Execution, Session as PlainSession, Time } from "holdfast/promise"
import { Sandbox, SandboxError } from "holdfast/sandbox"

/** What a promise rejects with is what the effect fails with; anything else is a defect. */
const failing = (error: unknown): SandboxError.SandboxError => {
  if (error instanceof SandboxError.SandboxError) return error
  throw error
}

const asked = <A>(call: (signal: AbortSignal) => Promise<A>) => Effect.tryPromise({ try: call, catch: failing })

const read = <A>(make: () => AsyncIterable<A>) => Stream.suspend(() => Stream.fromAsyncIterable(make(), failing))

const millis = (input: Duration.Input | undefined): Time | undefined =>
  input === undefined ? undefined : Duration.toMillis(Duration.fromInputUnsafe(input))

const withMillis = <A extends Execution | CommandResult>({ durationMs, ...rest }: A) => ({
  ...rest,
  durationMillis: durationMs
})

const timed = <O extends { readonly timeout?: Duration.Input | undefined }>({ timeout, ...rest }: O) => ({
  ...rest,
  timeout: millis(timeout)
})

const filesOf = ({ files }: PlainSession): Sandbox.Files => ({
  read: (path) => asked((signal) => files.read(path, { signal })),
  readText: (path) => asked((signal) => files.readText(path, { signal })),
  write: (path, data) => asked((signal) => files.write(path, data, { signal })),
  list: (path) => asked((signal) => files.list(path, { signal })),
  remove: (path) => asked((signal) => files.remove(path, { signal })),
  // The stream's own failure comes back as it is, and is told apart by its type.
  upload: <E, R>(path: string, data: Stream.Stream<Uint8Array, E, R>) =>
    Effect.contextWith((context: Context.Context<R>) =>
      Effect.tryPromise({
        try: (signal) => files.upload(path, Stream.toReadableStreamWith(data, context), { signal }),
        catch: (error): E | SandboxError.SandboxError =>
          SandboxError.SandboxError.isInstance(error) ? error : (error as E)
      })
    ),
  download: (path) => read(() => files.download(path))
})

const toSession = (session: PlainSession): Sandbox.Session => ({
  id: session.id,
  userId: session.userId,
  language: session.language,
  languages: session.languages,
  isolation: session.isolation,
  hasShell: session.hasShell,
  runCode: (code, options = {}) =>
    Effect.map(
      asked((signal) => session.runCode(code, { ...timed(options), signal })),
      withMillis
    ),
  streamCode: (code, options = {}) =>
    Stream.map(
      read(() => session.streamCode(code, timed(options))),
      (event): Sandbox.ExecutionEvent =>
        event.type === "done" ? { type: "done", execution: withMillis(event.execution) } : event
    ),
  runCommand: (command, options = {}) =>
    Effect.map(
      asked((signal) => session.runCommand(command, { ...timed(options), signal })),
      withMillis
    ),
  streamCommand: (command, options = {}) =>
    Stream.map(
      read(() => session.streamCommand(command, timed(options))),
      (event): Sandbox.CommandEvent =>
        event.type === "done" ? { type: "done", result: withMillis(event.result) } : event
    ),
  files: filesOf(session),
  createContext: (options = {}) => asked((signal) => session.createContext({ ...options, signal })),
  interrupt: asked((signal) => session.interrupt({ signal })),
  reset: asked((signal) => session.reset({ signal })),
  extend: (lifetime) => asked((signal) => session.extend(millis(lifetime) ?? 0, { signal }))
})

/** The client is closed with the layer. */
export const asSandbox = (make: () => Client): Layer.Layer<Sandbox.Sandbox> =>
  Layer.effect(
    Sandbox.Sandbox,
    Effect.map(
      Effect.acquireRelease(Effect.sync(make), (client) => Effect.promise(() => client.close())),
      (client) =>
        Sandbox.Sandbox.of({
          create: ({ createTimeout, lifetime, ...options } = {}) =>
            Effect.map(
              Effect.acquireRelease(
                asked((signal) =>
                  client.createSession({
                    ...options,
                    lifetime: millis(lifetime),
                    createTimeout: millis(createTimeout),
                    signal
                  })
                ),
                (session) => Effect.promise(() => session.close())
              ),
              toSession
            )
        })
    )
  )
