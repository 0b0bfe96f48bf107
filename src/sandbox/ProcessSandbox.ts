/**
 * Sandbox of the system's own interpreters: python3, Node and bash behind the operating system's wall.
 *
 * Real CPython with the packages that are installed, a real shell, and no engine to install; in exchange the wall is
 * all there is, so without one nothing is run. On Linux the wall is bubblewrap, on macOS `sandbox-exec` (written from
 * its documentation, never run by us). What it contains and what not is in docs/services/sandbox.md.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Places } from "./internal/places.ts"
import * as Bash from "./internal/processBash.ts"
import type { Boot } from "./internal/processFrame.ts"
import * as Guest from "./internal/processGuest.ts"
import * as Python from "./internal/processPython.ts"
import * as ProcessSession from "./internal/processSession.ts"
import * as Wall from "./internal/processWall.ts"
import { Sandbox, type CreateOptions, type Language } from "./Sandbox.ts"
import { SandboxError, Unavailable, UnsupportedLanguage } from "./SandboxError.ts"

/** What a session may use. */
export interface Limits {
  /** Resident memory of all processes of a session; over it, the session is lost. Default: 900 MiB. */
  readonly memoryBytes?: number | undefined
  /** Address space of each Python. The guest sees a `MemoryError`. Default: 640 MiB, a Python and 512 MiB of data. */
  readonly pythonMemoryBytes?: number | undefined
  /** Heap of each Node; over it, the session is lost. Default: 256 MiB. */
  readonly javascriptMemoryBytes?: number | undefined
  /** Processes and threads of a session. Default: `256`; a Node takes a dozen. */
  readonly processes?: number | undefined
  /** What the home holds, and `/tmp` beside it; the guest sees "no space left on device". Default: 128 MiB. */
  readonly fileBytes?: number | undefined
  /** Files and folders; over it, the session is lost. Default: `20_000`. */
  readonly fileCount?: number | undefined
  /** What one `files.read` or `files.write` carries; streams may carry more. Default: 16 MiB. */
  readonly transferBytes?: number | undefined
  /** stdout and stderr of one run together; the head is kept and `truncated` set. Default: 1 MiB. */
  readonly outputBytes?: number | undefined
  /** All results of one run together. Default: 8 MiB, a few plots. */
  readonly resultBytes?: number | undefined
  /** The code of one run. Default: 1 MiB, more than any model writes. */
  readonly codeBytes?: number | undefined
}

/** How the sandbox works. Every option has a default. */
export interface Options {
  /** The languages it runs. Default: Python, JavaScript, TypeScript and bash, as far as they are on this machine. */
  readonly languages?: ReadonlyArray<Language> | undefined
  /** Path of Python. Default: `/usr/bin/python3` or `/usr/local/bin/python3`. */
  readonly python?: string | undefined
  /** Path of Node, 22.19 or later. Default: the one that runs this program. */
  readonly node?: string | undefined
  /** Path of bash. Default: `/usr/bin/bash` or `/bin/bash`. */
  readonly bash?: string | undefined
  /** Path of the program that builds the wall. Default: bubblewrap at `/usr/bin/bwrap`; on macOS `sandbox-exec`. */
  readonly wall?: string | undefined
  /**
   * Runs code with this user's own rights where there is no wall, after a warning: it can read and write this user's
   * files and reach the network. For machines that are sandboxes themselves. Default: `false`.
   */
  readonly unsafeNoIsolation?: boolean | undefined
  /** Folders of the host that the guest may read, at the same paths: a virtual environment, data. Default: none. */
  readonly readable?: ReadonlyArray<string> | undefined
  /** Sessions at once; the next ones wait. Default: the number of cores, at least 2: more would only share them. */
  readonly maxSessions?: number | undefined
  /** Sessions that may wait; more fail with `LimitExceeded`. Default: `32`. */
  readonly maxQueue?: number | undefined
  /** What a run has between the request to stop and the kill. Default: `"500 millis"`. */
  readonly grace?: Duration.Input | undefined
  /** The longest timeout of a run, whatever it asks for. Default: `"5 minutes"`. */
  readonly maxTimeout?: Duration.Input | undefined
  /** How long a session lives that does not say. Default: `"1 hour"`. */
  readonly lifetime?: Duration.Input | undefined
  readonly limits?: Limits | undefined
}

const provider = "process"
const mebibyte = 1024 * 1024

const refuse = (reason: SandboxError["reason"]) => new SandboxError({ provider, reason })

/** Programs of the system, by absolute path: a `PATH` with a stranger's folder in it changes nothing. */
const usual = {
  python: ["/usr/bin/python3", "/usr/local/bin/python3"],
  bash: ["/usr/bin/bash", "/bin/bash"]
}

const exists = (path: string) => Fs.existsSync(path)

const programs = (options: Options) => ({
  python: (options.python === undefined ? usual.python : [options.python]).find(exists),
  javascript: options.node,
  bash: (options.bash === undefined ? usual.bash : [options.bash]).find(exists)
})

const kernelOf = (language: Language) =>
  language === "python" || language === "bash"
    ? language
    : language === "javascript" || language === "typescript"
      ? "javascript"
      : undefined

/** What the layer needs to start sessions, found once. */
interface Found {
  readonly cage: Wall.Cage
  readonly start: Omit<Guest.Start, "env">
  readonly languages: ReadonlyArray<Language>
}

const limitsOf = (limits: Limits = {}) => ({
  memoryBytes: limits.memoryBytes ?? 900 * mebibyte,
  pythonMemoryBytes: limits.pythonMemoryBytes ?? 640 * mebibyte,
  javascriptMemoryBytes: limits.javascriptMemoryBytes ?? 256 * mebibyte,
  processes: limits.processes ?? 256,
  fileBytes: limits.fileBytes ?? 128 * mebibyte,
  fileCount: limits.fileCount ?? 20_000,
  transferBytes: limits.transferBytes ?? 16 * mebibyte,
  outputBytes: limits.outputBytes ?? mebibyte,
  resultBytes: limits.resultBytes ?? 8 * mebibyte,
  codeBytes: limits.codeBytes ?? mebibyte
})

/** The commands that start each kernel inside the cage; empty where its program is not there. */
const kernelsOf = (cage: Wall.Cage, options: Options): Boot["kernels"] => {
  const { pythonMemoryBytes, javascriptMemoryBytes } = limitsOf(options.limits)
  const { python, javascript = cage.node, bash } = programs(options)
  const heap = `--max-old-space-size=${Math.max(16, Math.floor(javascriptMemoryBytes / mebibyte))}`
  const file = `${cage.folder}/processJavascript${Wall.extension}`
  return {
    python:
      python === undefined
        ? []
        : Wall.withAddressSpace(cage, pythonMemoryBytes, [python, "-I", "-u", "-c", Python.source]),
    javascript: [javascript, "--disable-sigusr1", heap, "--no-warnings", file],
    bash: bash === undefined ? [] : [bash, "--norc", "--noprofile", "-c", Bash.source, "cell"]
  }
}

const find = Effect.fnUntraced(function* (options: Options) {
  const limits = limitsOf(options.limits)
  const { wall, unsafeNoIsolation = false, readable = [] } = options
  const cage = yield* Wall.find({ wall, unsafeNoIsolation, readable, ...limits })
  for (const program of Object.values(programs(options)))
    if (program !== undefined && (!exists(program) || !Wall.isVisible(cage, program, readable)))
      return yield* Effect.fail(
        new Unavailable({ description: `${program} is not behind the wall: add its folder to \`readable\`` })
      )
  const kernels = kernelsOf(cage, options)
  const isThere = (language: Language) => {
    const kernel = kernelOf(language)
    return kernel !== undefined && kernels[kernel].length > 0
  }
  const known: ReadonlyArray<Language> = options.languages ?? ["python", "javascript", "typescript", "bash"]
  const found: Found = { cage, start: { cage, kernels, ...limits, ceiling: limits }, languages: known.filter(isThere) }
  return found
})

/** Says what is missing of a language that the layer would run. */
const missing = (language: Language, options: Options) => {
  const wanted = options.languages ?? ["python", "javascript", "typescript", "bash"]
  const kernel = wanted.includes(language) ? kernelOf(language) : undefined
  if (kernel !== "python" && kernel !== "bash") return undefined
  const program = kernel === "python" ? "python3" : "bash"
  const place = options[kernel] ?? usual[kernel].join(" nor at ")
  return new Unavailable({
    description: `${program} is not at ${place}: \`apt-get install ${program}\`, or name its path in \`${kernel}\``
  })
}

const make = Effect.fnUntraced(function* (options: Options) {
  const found = yield* Effect.cached(find(options))
  const maxSessions = options.maxSessions ?? Math.max(2, Os.availableParallelism())
  const places = new Places(provider, maxSessions, options.maxQueue)
  const limits = limitsOf(options.limits)
  const duration = (input: Duration.Input | undefined, otherwise: Duration.Input) =>
    Duration.fromInputUnsafe(input ?? otherwise)

  const open = Effect.fnUntraced(function* (request: CreateOptions) {
    const { cage, start, languages } = yield* Effect.mapError(found, refuse)
    const language = request.language ?? "python"
    if (!languages.includes(language))
      return yield* refuse(missing(language, options) ?? new UnsupportedLanguage({ language, supported: languages }))
    yield* places.takeIn(yield* Effect.scope)
    const boot = Effect.mapError(Guest.boot({ ...start, env: request.env ?? {} }), (cause) =>
      refuse(
        new Unavailable({
          description: `no session could be started: ${cause.description}`,
          transient: true,
          cause
        })
      )
    )
    return yield* ProcessSession.make({
      id: Crypto.randomUUID(),
      userId: request.userId,
      language,
      languages,
      hasShell: start.kernels.bash.length > 0,
      isolation: { engine: "system", process: "child", os: cage.os, network: cage.os === "none" ? "host" : "none" },
      cwd: request.cwd,
      lifetime: duration(request.lifetime ?? options.lifetime, "1 hour"),
      boot,
      grace: duration(options.grace, "500 millis"),
      maxTimeout: duration(options.maxTimeout, "5 minutes"),
      ...limits
    })
  })

  const create = Effect.fn("ProcessSandbox.create")(function* (request: CreateOptions = {}) {
    const timeout = duration(request.createTimeout, "30 seconds")
    // A scope of its own, so that a create that fails half-way gives back what it took now, not when the caller's closes.
    const scope = yield* Scope.fork(yield* Effect.scope)
    const late = new Unavailable({
      description: `no session within ${Duration.format(timeout)}: raise \`createTimeout\` or \`maxSessions\``,
      transient: true
    })
    return yield* open(request).pipe(
      Scope.provide(scope),
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(refuse(late)) }),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  })
  return Sandbox.of({ create })
})

/** The system's interpreters as a sandbox. Nothing is started, nor is the wall looked for, before the first `create`. */
export const layer = (options: Options = {}): Layer.Layer<Sandbox> => Layer.effect(Sandbox, make(options))
