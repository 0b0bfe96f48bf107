/**
 * Sandbox on this machine, embedded: CPython and QuickJS as WebAssembly, in one locked process for each session.
 *
 * No key, no Docker, no network, no install script: the engines are npm packages. What contains the code and what
 * does not is in docs/services/sandbox.md; read it before you run code that somebody wrote to attack you.
 */
import * as Crypto from "node:crypto"
import * as Os from "node:os"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Child from "./internal/child.ts"
import * as Engines from "./internal/engines.ts"
import { Guests } from "./internal/guests.ts"
import { Places } from "./internal/places.ts"
import * as LocalSession from "./internal/session.ts"
import * as Snapshot from "./internal/snapshot.ts"
import * as Wall from "./internal/wall.ts"
import * as Warm from "./internal/warm.ts"
import { Sandbox, type CreateOptions, type Language } from "./Sandbox.ts"
import { SandboxError, Unavailable, UnsupportedLanguage } from "./SandboxError.ts"

/** What a session may use. Memory and files are counted apart; all of it lies in the guest process. */
export interface Limits {
  /** Python's memory. The guest sees a `MemoryError`. Default: 512 MiB, the data of a test and no more. */
  readonly pythonMemoryBytes?: number | undefined
  /** JavaScript's memory. Default: 256 MiB. */
  readonly javascriptMemoryBytes?: number | undefined
  /** What the guest's files hold. Default: 128 MiB; the guest sees "no space left on device". */
  readonly fileBytes?: number | undefined
  /** Files and folders. Default: `20_000`. */
  readonly fileCount?: number | undefined
  /** stdout and stderr of one run together; the head is kept and `truncated` set. Default: 1 MiB. */
  readonly outputBytes?: number | undefined
  /** All results of one run together. Default: 8 MiB, a few plots. */
  readonly resultBytes?: number | undefined
  /** The code of one run. Default: 1 MiB, more than any model writes. */
  readonly codeBytes?: number | undefined
  /**
   * What one `files.read` or `files.write` may carry; `upload` and `download` go in pieces and may be larger.
   * Default: 16 MiB, which this process holds for each call.
   */
  readonly transferBytes?: number | undefined
}

/** How the sandbox works. Every option has a default. */
export interface Options {
  /** The languages it runs. Default: `["python", "javascript", "typescript"]`, all that it can. */
  readonly languages?: ReadonlyArray<Language> | undefined
  /**
   * The operating system's wall (bubblewrap): `"auto"` uses it where a probe shows that it works, `"require"` fails
   * `create` where it does not, `"off"` goes without. `session.isolation.os` says what is in force.
   * Default: `"auto"`, because most machines cannot have it.
   */
  readonly os?: "auto" | "require" | "off" | undefined
  /**
   * Guests booted ahead, from the first `create` on; a warm guest makes `create` a matter of milliseconds and holds
   * its memory (190 MB for Python, 65 MB for JavaScript). Default: `{ python: 1, javascript: 0 }`.
   */
  readonly pool?: { readonly python?: number | undefined; readonly javascript?: number | undefined } | undefined
  /** Sessions at once; the next ones wait, by their priority. Default: the number of cores, at least 2: more would only share them. */
  readonly maxSessions?: number | undefined
  /** Sessions that may wait; more fail with `LimitExceeded`. Default: `32`. */
  readonly maxQueue?: number | undefined
  /** What a run has between the request to stop and the kill. Default: `"500 millis"`. */
  readonly grace?: Duration.Input | undefined
  /** The longest that a run may take, whatever its `timeout` says. Default: `"5 minutes"`. */
  readonly maxTimeout?: Duration.Input | undefined
  /** How long a session may live where `create` does not say. Default: `"1 hour"`. */
  readonly lifetime?: Duration.Input | undefined
  /** Where the snapshot of the booted Python is kept. Default: `holdfast` in the user's cache folder. */
  readonly cacheDir?: string | undefined
  readonly limits?: Limits | undefined
}

const provider = "local"
const mebibyte = 1024 * 1024

/** Making the snapshot takes 2.5 s, once; on a machine too busy for that, sessions start without it meanwhile. */
const snapshotWait = "10 seconds"

/**
 * The guest process without its guest: Node, the engine's code and the file system's glue. A guest that holds all of its
 * memory and all of its files was seen 2 MiB over 350, on a slow machine (2026-11).
 */
const overheadBytes = 420 * mebibyte

const refuse = (reason: SandboxError["reason"]) => new SandboxError({ provider, reason })

type EngineName = Engines.Engine["language"]

/** What runs each language. TypeScript is JavaScript once its types are off, and sees the same variables. */
const engineOf = (language: Language): EngineName | undefined => {
  if (language === "python") return "python"
  return language === "javascript" || language === "typescript" ? "javascript" : undefined
}

const bootLimits = (engine: EngineName, limits: Limits) => ({
  memoryBytes:
    engine === "python"
      ? (limits.pythonMemoryBytes ?? 512 * mebibyte)
      : (limits.javascriptMemoryBytes ?? 256 * mebibyte),
  fileBytes: limits.fileBytes ?? 128 * mebibyte,
  fileCount: limits.fileCount ?? 20_000,
  outputBytes: limits.outputBytes ?? mebibyte,
  resultBytes: limits.resultBytes ?? 8 * mebibyte
})

/** How guests of one language start. */
const starts = Effect.fnUntraced(function* (
  language: EngineName,
  options: Options,
  wall: Effect.Effect<Wall.Wall, Unavailable>
) {
  const engine = yield* Engines.find(language)
  const boot = { language, engine: engine.engine, variant: engine.variant, snapshot: "", snapshotOnly: false, env: {} }
  const plain: Child.Start = {
    wall: yield* wall,
    readable: engine.folders,
    boot: { ...boot, ...bootLimits(language, options.limits ?? {}) }
  }
  return { engine, plain }
})

/** With the snapshot it starts in a fifth of the time, but needs one file more. */
const withSnapshot = (plain: Child.Start, snapshot: string): Child.Start => ({
  ...plain,
  readable: [...plain.readable, snapshot],
  boot: { ...plain.boot, snapshot }
})

/** One language of the layer: what it starts from, and its warm guests. */
const station = Effect.fnUntraced(function* (
  language: EngineName,
  options: Options,
  wall: Effect.Effect<Wall.Wall, Unavailable>,
  guests: Set<Child.Child>
) {
  const scope = yield* Effect.scope
  const found = yield* Effect.cached(starts(language, options, wall))
  // In a fiber of the layer: whoever waits for it may be interrupted, and the others still get it.
  const preparing = yield* Effect.cached(
    Effect.gen(function* () {
      const { plain } = yield* found
      const folder = options.cacheDir ?? (yield* Snapshot.defaultFolder)
      return yield* Effect.forkIn(Snapshot.prepare(folder, plain), scope)
    })
  )
  const snapshot =
    language === "python"
      ? Effect.flatMap(preparing, Fiber.join).pipe(
          Effect.timeoutOption(snapshotWait),
          Effect.map(Option.getOrElse(() => ""))
        )
      : Effect.succeed("")
  const start = Effect.gen(function* () {
    const { plain } = yield* found
    const file = yield* snapshot
    if (file === "") return yield* Child.boot(plain, guests)
    return yield* Effect.catch(Child.boot(withSnapshot(plain, file), guests), () => Child.boot(plain, guests))
  })
  const boot = Effect.mapError(start, (reason) =>
    refuse(
      reason._tag === "Unavailable"
        ? reason
        : new Unavailable({
            description: `no guest could be started: ${reason.description}`,
            transient: true,
            cause: reason
          })
    )
  )
  const size = options.pool?.[language] ?? (language === "python" ? 1 : 0)
  const { take } = yield* Warm.make(boot, size)
  return { found, take }
})

const make = Effect.fnUntraced(function* (options: Options) {
  const languages = options.languages ?? ["python", "javascript", "typescript"]
  const grace = Duration.fromInputUnsafe(options.grace ?? "500 millis")
  const limits = options.limits ?? {}
  const maxSessions = options.maxSessions ?? Math.max(2, Os.availableParallelism())
  const places = new Places(provider, maxSessions, options.maxQueue)
  const guests = new Set<Child.Child>()
  yield* Effect.addFinalizer(() =>
    Effect.forEach([...guests], (child) => child.kill("closed", "the sandbox was closed"), {
      concurrency: "unbounded",
      discard: true
    })
  )
  const wall = yield* Effect.cached(Wall.find(options.os ?? "auto"))
  const stations = {
    python: yield* station("python", options, wall, guests),
    javascript: yield* station("javascript", options, wall, guests)
  }

  const open = Effect.fnUntraced(function* (request: CreateOptions, language: Language, engine: EngineName) {
    yield* places.takeIn(yield* Effect.scope)
    const bound = (name: EngineName) => bootLimits(name, limits)
    const { fileCount } = bound(engine)
    // A second engine is a second process: they share nothing, not even a bug. Files go from one to the other.
    const guests = yield* Guests.make({ provider, first: engine, take: (name) => stations[name].take, fileCount })
    const { name } = (yield* stations[engine].found.pipe(Effect.mapError(refuse))).engine
    const { os } = yield* wall.pipe(Effect.mapError(refuse))
    return yield* LocalSession.make({
      id: Crypto.randomUUID(),
      userId: request.userId,
      language,
      languages,
      env: request.env ?? {},
      cwd: request.cwd,
      lifetime: Duration.fromInputUnsafe(request.lifetime ?? options.lifetime ?? "1 hour"),
      isolation: { engine: name, process: "child", os, network: os === "none" ? "host" : "none" },
      guests,
      engineOf,
      grace,
      maxTimeout: Duration.fromInputUnsafe(options.maxTimeout ?? "5 minutes"),
      codeBytes: limits.codeBytes ?? mebibyte,
      transferBytes: limits.transferBytes ?? 16 * mebibyte,
      fileCount,
      residentBytes: (name) => bound(name).memoryBytes + bound(name).fileBytes + overheadBytes
    })
  })

  const create = Effect.fn("LocalSandbox.create")(function* (request: CreateOptions = {}) {
    const language = request.language ?? "python"
    const engine = languages.includes(language) ? engineOf(language) : undefined
    if (engine === undefined) return yield* refuse(new UnsupportedLanguage({ language, supported: languages }))
    const timeout = Duration.fromInputUnsafe(request.createTimeout ?? "30 seconds")
    // A scope of its own, so that a create that fails half-way gives back what it took now, not when the caller's closes.
    const scope = yield* Scope.fork(yield* Effect.scope)
    return yield* open(request, language, engine).pipe(
      Scope.provide(scope),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () =>
          Effect.fail(
            refuse(
              new Unavailable({
                description: `no session within ${Duration.format(timeout)}: raise \`createTimeout\` or \`maxSessions\``,
                transient: true
              })
            )
          )
      }),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  })
  return Sandbox.of({ create })
})

/** The embedded sandbox. Nothing is started before the first `create`; closing the layer kills every guest. */
export const layer = (options: Options = {}): Layer.Layer<Sandbox> => Layer.effect(Sandbox, make(options))
