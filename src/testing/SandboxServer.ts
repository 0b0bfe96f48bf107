/**
 * A code interpreter's REST service on loopback, over any `Sandbox`: what `RestSandbox` talks to, for tests and for trying
 * it out. It is a reference of the protocol (docs/services/sandbox-rest.md), not a service for the open network.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { Feature } from "../sandbox/RestSandbox.ts"
import { type RunOptions, Sandbox, type Session } from "../sandbox/Sandbox.ts"
import type { SandboxError } from "../sandbox/SandboxError.ts"
import { type Kept, Shelf } from "./internal/sandboxShelf.ts"
import * as Wire from "./internal/sandboxWire.ts"

/** A request that came. */
export interface Logged {
  readonly method: string
  /** With its query. */
  readonly path: string
}

export interface Options {
  /** What clients must show, as `authorization: Bearer …` or as `x-api-key`. Default: nothing. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** How long a sandbox lives that was made without a lifetime: its client may be gone. Default: `"1 hour"`. */
  readonly lifetime?: Duration.Input | undefined
  /** What it says that it has beside `execute`. Default: all, `"commands"` where the sandbox has a shell. */
  readonly features?: ReadonlyArray<Feature> | undefined
  /** Default: a free one. */
  readonly port?: number | undefined
}

/** The server that runs. */
export class SandboxServer extends Context.Service<
  SandboxServer,
  {
    /** Base URL for clients, e.g. `"http://127.0.0.1:40123"`. */
    readonly url: string
    readonly requests: Effect.Effect<ReadonlyArray<Logged>>
    /** Sandboxes that are not deleted yet. */
    readonly open: Effect.Effect<number>
  }
>()("holdfast/testing/SandboxServer") {}

interface Call {
  readonly incoming: Http.IncomingMessage
  readonly outgoing: Http.ServerResponse
  readonly query: URLSearchParams
  readonly shelf: Shelf
  readonly options: Options
}

type Handled = Effect.Effect<void, SandboxError>

const defaultLifetime = "1 hour"

const all: ReadonlyArray<Feature> = ["timeout", "interrupt", "contexts", "lifetime", "files"]

/** Starts a server that lives as long as the scope. Its close breaks open connections and ends every sandbox. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<SandboxServer["Service"], never, Sandbox | Scope.Scope> {
  const log: Array<Logged> = []
  const shelf = new Shelf(yield* Sandbox, yield* Scope.Scope, options.lifetime ?? defaultLifetime)
  const run = yield* FiberSet.makeRuntime()
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => Http.createServer()),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  server.on("request", (incoming, outgoing) => {
    const { method = "GET", url: path = "/" } = incoming
    log.push({ method, path })
    const handled = Effect.suspend(() => {
      const { pathname, searchParams: query } = new URL(path, "http://localhost")
      return route({ incoming, outgoing, query, shelf, options }, method, pathname)
    })
    const fiber = run(
      Effect.catch(handled, (error) => Wire.refuse(outgoing, error)).pipe(
        // A defect of the sandbox, or a path that is no path: who asked must not wait for ever.
        Effect.catchDefect(() => Effect.sync(() => void outgoing.destroy()))
      )
    )
    outgoing.on("close", () => fiber.interruptUnsafe())
  })
  const port = yield* listen(server, options.port ?? 0)
  return SandboxServer.of({
    url: `http://127.0.0.1:${port}`,
    requests: Effect.sync(() => [...log]),
    open: Effect.sync(() => shelf.size)
  })
})

/** The server over the `Sandbox` in context. */
export const layer = (options: Options = {}): Layer.Layer<SandboxServer, never, Sandbox> =>
  Layer.effect(SandboxServer, make(options))

const listen = (server: Http.Server, port: number): Effect.Effect<number> =>
  Effect.callback((resume) => {
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
    })
  })

const isWelcome = ({ incoming: { headers }, options: { apiKey } }: Call): boolean => {
  if (apiKey === undefined) return true
  const key = Redacted.value(apiKey)
  return headers.authorization === `Bearer ${key}` || headers["x-api-key"] === key
}

const route = (call: Call, method: string, path: string): Handled => {
  const { outgoing, shelf } = call
  if (!isWelcome(call)) return Wire.answer(outgoing, 401, { error: { message: "no such key" } })
  const [, root, id, endpoint = "", more] = path.split("/").map(decodeURIComponent)
  if (root !== "sandboxes" || more !== undefined)
    return Wire.answer(outgoing, 404, { error: { message: `no route ${path}` } })
  if (id === undefined) {
    return method === "POST" ? create(call) : Wire.answer(outgoing, 405, { error: { message: `no ${method} here` } })
  }
  if (endpoint === "" && method === "DELETE")
    return Effect.flatMap(shelf.remove(id), (isThere) => Wire.answer(outgoing, isThere ? 204 : 404))
  const handler = handlers[`${method} ${endpoint}`]
  if (handler === undefined)
    return Wire.answer(outgoing, 405, { error: { message: `no ${method} /sandboxes/{id}/${endpoint}` } })
  return Effect.flatMap(shelf.find(id), (kept) => handler(call, kept))
}

const create = ({ incoming, options, outgoing, shelf }: Call): Handled =>
  Effect.gen(function* () {
    const given = incoming.headers["idempotency-key"]
    const key = shelf.keyOf(typeof given === "string" ? given : undefined)
    const { session } = yield* shelf.make(key, yield* Wire.jsonOf(incoming))
    const { hasShell, id, isolation, languages } = session
    const features = options.features ?? (hasShell ? [...all, "commands"] : all)
    const answered = Wire.answer(outgoing, 201, { id, languages, features, isolation })
    yield* Effect.onExit(Effect.andThen(answered, finished(outgoing)), (exit) =>
      exit._tag === "Success" ? Effect.void : shelf.unknown(key)
    )
  })

/** Ends when the answer has left; the request's fiber is interrupted when it cannot. */
const finished = (outgoing: Http.ServerResponse): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (outgoing.writableFinished) return resume(Effect.void)
    outgoing.once("finish", () => resume(Effect.void))
  })

type Body = Readonly<Record<string, unknown>>

const runOptions = (body: Body, { contexts }: Kept, { shelf }: Call): Effect.Effect<RunOptions, SandboxError> =>
  Effect.gen(function* () {
    const context = body.context === undefined ? undefined : contexts.get(String(body.context))
    if (body.context !== undefined && context === undefined)
      return yield* Wire.invalid(`there is no context ${String(body.context)}`)
    return {
      language: body.language === undefined ? undefined : yield* shelf.languageOf(body.language),
      timeout: Wire.millis(body.timeoutMillis),
      env: Wire.texts(body.env),
      cwd: Wire.text(body.cwd),
      context
    }
  })

const execute = (call: Call, kept: Kept): Handled =>
  Effect.gen(function* () {
    const body = yield* Wire.jsonOf(call.incoming)
    if (typeof body.code !== "string") return yield* Wire.invalid("there is no `code`")
    const options = yield* runOptions(body, kept, call)
    if (Wire.readsLines(call.incoming))
      return yield* Wire.events(call.outgoing, kept.session.streamCode(body.code, options))
    return yield* Effect.flatMap(kept.session.runCode(body.code, options), (execution) =>
      Wire.answer(call.outgoing, 200, execution)
    )
  })

const command = (call: Call, { session }: Kept): Handled =>
  Effect.gen(function* () {
    const body = yield* Wire.jsonOf(call.incoming)
    if (typeof body.command !== "string") return yield* Wire.invalid("there is no `command`")
    const bytes = Wire.text(body.stdinBase64)
    const options = {
      timeout: Wire.millis(body.timeoutMillis),
      env: Wire.texts(body.env),
      cwd: Wire.text(body.cwd),
      stdin: bytes === undefined ? Wire.text(body.stdin) : new Uint8Array(Buffer.from(bytes, "base64"))
    }
    if (Wire.readsLines(call.incoming))
      return yield* Wire.events(call.outgoing, session.streamCommand(body.command, options))
    return yield* Effect.flatMap(session.runCommand(body.command, options), (result) =>
      Wire.answer(call.outgoing, 200, result)
    )
  })

const createContext = ({ incoming, outgoing, shelf }: Call, { contexts, session }: Kept): Handled =>
  Effect.gen(function* () {
    const body = yield* Wire.jsonOf(incoming)
    const language = body.language === undefined ? undefined : yield* shelf.languageOf(body.language)
    const context = yield* session.createContext({ language, cwd: Wire.text(body.cwd) })
    contexts.set(context.id, context)
    return yield* Wire.answer(outgoing, 201, context)
  })

const extend = ({ incoming, options, outgoing, shelf }: Call, kept: Kept): Handled =>
  Effect.gen(function* () {
    const asked = Wire.millis((yield* Wire.jsonOf(incoming)).lifetimeMillis)
    const lifetime = asked ?? options.lifetime ?? defaultLifetime
    yield* kept.session.extend(lifetime)
    yield* shelf.reapAfter(kept, lifetime)
    return yield* Wire.answer(outgoing, 204)
  })

/** Something with a file; a path is needed for all but the list of the home. */
const withPath =
  (use: (call: Call, session: Session, path: string) => Handled) =>
  (call: Call, { session }: Kept): Handled => {
    const path = call.query.get("path")
    return path === null ? Effect.fail(Wire.invalid("there is no `path`")) : use(call, session, path)
  }

const download = withPath(({ outgoing }, { files }, path) =>
  Wire.pipe(outgoing, "application/octet-stream", files.download(path))
)

const list = ({ outgoing, query }: Call, { session }: Kept): Handled =>
  Effect.flatMap(session.files.list(query.get("path") ?? undefined), (files) => Wire.answer(outgoing, 200, files))

const handlers: Readonly<Record<string, (call: Call, kept: Kept) => Handled>> = {
  "POST execute": execute,
  "POST commands": command,
  "POST contexts": createContext,
  "POST interrupt": ({ outgoing }, { session }) => Effect.andThen(session.interrupt, Wire.answer(outgoing, 204)),
  "PUT lifetime": extend,
  "GET files": (call, kept) => (call.query.get("list") === "true" ? list(call, kept) : download(call, kept)),
  "PUT files": withPath(({ incoming, outgoing }, { files }, path) =>
    Effect.andThen(files.upload(path, Wire.bytesOf(incoming)), Wire.answer(outgoing, 204))
  ),
  "DELETE files": withPath(({ outgoing }, { files }, path) =>
    Effect.andThen(files.remove(path), Wire.answer(outgoing, 204))
  )
}
