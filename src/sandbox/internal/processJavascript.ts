/**
 * The JavaScript of a session: the system's Node, evaluating cells through its own inspector, which knows top-level
 * await, values and redeclaration. Never imported, only run, twice in one process: the main thread runs the code, a
 * worker holds the descriptors and the run's seal, and ends loops that the main thread cannot leave.
 */
import * as Inspector from "node:inspector"
import * as Module from "node:module"
import * as Process from "node:process"
import * as Timers from "node:timers"
import * as Pauses from "node:timers/promises"
import * as Url from "node:url"
import * as Util from "node:util"
import * as WorkerThreads from "node:worker_threads"
import { redeclarable } from "./cell.ts"
import { count, fields, flag, own, parse, strings, text } from "./fields.ts"
import { Control } from "./processControl.ts"
import { stripTypes } from "./typeStripping.ts"

const textLimit = 64 * 1024
const jsonLimit = 1024 * 1024

const cut = (shown: string): string =>
  shown.length <= textLimit ? shown : `${shown.slice(0, textLimit)}... (${shown.length - textLimit} more)`

interface Remote {
  readonly objectId?: string
  readonly subtype?: string
  readonly type: string
  readonly value?: unknown
  readonly unserializableValue?: string
}

interface Verdict {
  readonly ok: boolean
  readonly exitCode: number
  readonly error?: { readonly name: string; readonly value: string; readonly traceback: string } | undefined
}

/** Frames of the program's own; every other one is Node's or this file's. */
const frames = (stack: unknown): string =>
  String(stack)
    .split("\n")
    .filter((line) => /\bcell_\d+\b/.test(line))
    .map((line) => line.replace(/\bcell_(\d+)\b/g, "<cell $1>"))
    .join("\n")

const explain = (error: unknown): NonNullable<Verdict["error"]> => {
  try {
    if (!(error instanceof Error)) {
      const value = cut(Util.inspect(error))
      return { name: typeof error, value, traceback: `Uncaught ${value}` }
    }
    const traceback = [String(error), frames(error.stack)].filter((line) => line !== "").join("\n")
    return { name: cut(String(error.name)), value: cut(String(error.message)), traceback: cut(traceback) }
  } catch {
    return { name: "Error", value: "an error that cannot be told", traceback: "" }
  }
}

const bundle = (value: unknown): Record<string, string> => {
  const forms: Record<string, string> = {}
  try {
    const json = typeof value === "function" ? undefined : JSON.stringify(value)
    if (json !== undefined && json.length <= jsonLimit) forms["application/json"] = json
  } catch {
    // A cycle, a bigint, a toJSON that throws: it has no such form.
  }
  try {
    forms["text/plain"] = cut(Util.inspect(value))
  } catch {
    forms["text/plain"] = "<value cannot be shown>"
  }
  return forms
}

/** `import(…)` as a call: code that the inspector evaluates has no loader. Strings and comments stay as they are. */
const withImports = (code: string): string =>
  code.replace(
    /("(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'|`(?:\\[^]|[^`\\])*`|\/\/[^\n]*|\/\*[^]*?\*\/|\.\s*import)|\bimport\s*(?=\()/g,
    (match, kept: string | undefined) => kept ?? match.replace("import", "__import")
  )

/** A run in flight. */
interface Current {
  readonly id: number
  /** What its environment stands over. */
  readonly before: ReadonlyArray<readonly [name: string, value: string | undefined]>
  exitCode: number | undefined
  failure: unknown
}

/** What keeps a program alive when its last line is over. A server and an interval do not: they would never end. */
const lasting = new Set(["Timeout", "Immediate", "FSReqCallback", "FSReqPromise", "ProcessWrap"])

/** The main thread. */
class Machine {
  private readonly session = new Inspector.Session()
  private readonly worker: WorkerThreads.Worker
  private readonly send: (message: unknown) => void
  private readonly die = process.kill.bind(process, process.pid, "SIGKILL")
  private readonly ear = new Int32Array(new SharedArrayBuffer(8))
  private readonly timeouts = new Set<NodeJS.Timeout>()
  private readonly intervals = new Set<NodeJS.Timeout>()
  private run: Current | undefined
  private hand: string | undefined

  constructor() {
    this.session.connect()
    this.session.post("Runtime.enable")
    this.dress()
    this.worker = new WorkerThreads.Worker(new URL(import.meta.url), { workerData: this.ear, env: {}, argv: [] })
    this.send = this.worker.postMessage.bind(this.worker)
    this.worker.on("message", (message: unknown) => {
      const from = fields(message)
      const stop = from === undefined ? undefined : count(from, "stop")
      if (stop !== undefined) this.stop(stop)
      else if (from !== undefined && Object.hasOwn(from, "ping")) this.answer()
      else if (from !== undefined) void this.execute(parse(text(from, "run") ?? ""))
    })
    this.worker.on("exit", () => this.die())
  }

  /** Gives programs what they expect beside Node's own globals. */
  private dress(): void {
    const define = (name: string, value: unknown) =>
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true, enumerable: false })
    const base = Url.pathToFileURL(`${process.cwd()}/`)
    define("require", Module.createRequire(base))
    const isLocal = /^\.{0,2}\//
    define(
      "__import",
      (name: unknown, options?: ImportCallOptions) =>
        import(isLocal.test(String(name)) ? new URL(String(name), base).href : String(name), options)
    )
    define("display", (...values: ReadonlyArray<unknown>) => {
      for (const value of values) this.send({ result: JSON.stringify(bundle(value)) })
    })
    this.timers(define)
    for (const stream of [process.stdout, process.stderr]) blocking(stream)
    process.exit = (code) => this.exit(Number(code ?? process.exitCode ?? 0) & 255)
    process.on("SIGINT", () => undefined) // for its children: the worker ends what runs here
    const fail = (error: unknown) => {
      if (this.run === undefined) process.stderr.write(`Uncaught ${explain(error).traceback}\n`)
      else this.run.failure ??= { error }
    }
    process.on("uncaughtException", fail)
    process.on("unhandledRejection", fail)
    // The inspector's values come back to this file by one object that no global names.
    define("__hand", {
      show: (value: unknown) => this.send({ result: JSON.stringify(bundle(value)) }),
      explain: (error: unknown) => explain(error)
    })
    this.session.post("Runtime.evaluate", { expression: "__hand" }, (_error, reply) => {
      this.hand = reply?.result.objectId
    })
    Reflect.deleteProperty(globalThis, "__hand")
  }

  /** Whether the inspector still understands what it is asked: a program can break the JSON that it is asked in. */
  private isSound(): boolean {
    let isSound = false
    try {
      this.session.post("Runtime.evaluate", { expression: "1" }, (error, reply) => {
        isSound = error === null && reply.result.value === 1
      })
    } catch {
      return false
    }
    return isSound
  }

  /** Ends the run at once: nothing that the program catches or finishes comes between. */
  private exit(code: number): never {
    if (this.run !== undefined) this.run.exitCode = code
    this.send({ halt: true })
    for (;;) Atomics.wait(this.ear, 1, 0)
  }

  /** Timers that can be cleared when their run is over. */
  private timers(define: (name: string, value: unknown) => void): void {
    const { setTimeout, setInterval, clearTimeout } = Timers
    const later = (f: unknown, millis: unknown, ...args: ReadonlyArray<unknown>) => {
      if (typeof f !== "function") return Reflect.apply(setTimeout, undefined, [f]) // Node's own words for it
      const timeout: NodeJS.Timeout = setTimeout(() => {
        this.timeouts.delete(timeout)
        Reflect.apply(f, timeout, args)
      }, Number(millis))
      this.timeouts.add(timeout)
      return timeout
    }
    Object.defineProperty(later, Util.promisify.custom, {
      value: (millis: unknown, value: unknown) => new Promise((resolve) => later(resolve, millis, value))
    })
    define("setTimeout", later)
    define("setInterval", (...args: ReadonlyArray<unknown>) => {
      const interval: NodeJS.Timeout = Reflect.apply(setInterval, undefined, args)
      this.intervals.add(interval)
      return interval
    })
    const clear = (timer: NodeJS.Timeout) => {
      this.timeouts.delete(timer)
      this.intervals.delete(timer)
      clearTimeout(timer)
    }
    define("clearTimeout", clear)
    define("clearInterval", clear)
  }

  private answer(): void {
    Atomics.store(this.ear, 0, 1)
    Atomics.notify(this.ear, 0)
  }

  private stop(id: number): void {
    this.answer()
    if (this.run?.id === id) this.end({ ok: false, exitCode: 130, error: interrupted })
  }

  private async execute(request: ReturnType<typeof parse>): Promise<unknown> {
    const id = request === undefined ? undefined : count(request, "id")
    if (request === undefined || id === undefined) return
    const env = strings(own(request, "env")) ?? {}
    const before = Object.keys(env).map((name) => [name, Process.env[name]] as const)
    const run: Current = { id, before, exitCode: undefined, failure: undefined }
    this.run = run
    if (!this.isSound()) return this.die()
    Object.assign(Process.env, env)
    try {
      process.chdir(text(request, "cwd") ?? "/")
      const given = text(request, "code") ?? ""
      const code = flag(request, "isTyped") === true ? stripTypes(given) : given
      const verdict =
        typeof code === "string" ? await this.evaluate(code, run) : { ok: false, exitCode: 1, error: code }
      if (this.run === run) this.end(verdict)
    } catch (error) {
      if (this.run === run) this.end({ ok: false, exitCode: 1, error: explain(error) })
    }
  }

  private async evaluate(code: string, run: Current): Promise<Verdict> {
    const expression = `${withImports(redeclarable(code))}\n//# sourceURL=cell_${run.id}`
    let ended = await this.post("Runtime.evaluate", { expression, replMode: true, awaitPromise: true })
    // A program whose last line starts an async function means its end, and its rejection must not pass for success.
    if (ended?.exceptionDetails === undefined && ended?.result?.subtype === "promise")
      ended = await this.post("Runtime.awaitPromise", { promiseObjectId: ended.result.objectId ?? "" })
    if (ended === undefined) return { ok: false, exitCode: 130, error: interrupted }
    const raised = ended.exceptionDetails === undefined ? undefined : (ended.exceptionDetails.exception ?? ended.result)
    if (raised !== undefined) return { ok: false, exitCode: 1, error: await this.told(raised) }
    while (run.failure === undefined && this.run === run && this.isWaiting()) await Pauses.setTimeout(2)
    const failure = fields(run.failure)
    if (failure !== undefined) return { ok: false, exitCode: 1, error: explain(failure["error"]) }
    if (ended.result !== undefined && ended.result.type !== "undefined") await this.call("show", ended.result)
    return { ok: true, exitCode: 0 }
  }

  private isWaiting(): boolean {
    for (const interval of this.intervals) if (!isActive(interval)) this.intervals.delete(interval)
    return process.getActiveResourcesInfo().filter((name) => lasting.has(name)).length > this.intervals.size
  }

  private async told(error: Remote): Promise<Verdict["error"]> {
    const from = fields((await this.call("explain", error))?.result?.value)
    const part = (key: string) => (from === undefined ? "" : (text(from, key) ?? ""))
    return { name: part("name"), value: part("value"), traceback: part("traceback") }
  }

  private call(method: "show" | "explain", value: Remote) {
    const { objectId, unserializableValue } = value
    const argument =
      objectId !== undefined
        ? { objectId }
        : unserializableValue !== undefined
          ? { unserializableValue }
          : { value: value.value }
    return this.post("Runtime.callFunctionOn", {
      objectId: this.hand ?? "",
      functionDeclaration: `function (value) { return this.${method}(value) }`,
      arguments: [argument],
      returnByValue: true
    })
  }

  /** The inspector's reply; `undefined` when what it evaluated was ended from outside. */
  private post(method: string, params: object): Promise<Ended | undefined> {
    return new Promise((resolve) => {
      this.session.post(method, params, (error, reply) => resolve(error === null ? reply : undefined))
    })
  }

  private end(verdict: Verdict): void {
    const { before = [], exitCode: code } = this.run ?? {}
    // Here, not when its code has ended: that of a stopped run may never do so.
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(Process.env, name)
      else Process.env[name] = value
    }
    // An interval would speak in a later run, and what waits for a stopped one's timer would go on there.
    for (const timer of [...this.timeouts, ...this.intervals]) Timers.clearTimeout(timer)
    this.timeouts.clear()
    this.run = undefined
    const exited = { name: "ExitCalled", value: String(code), traceback: `process.exit(${code})` }
    // As it is, by a method that was taken before any program ran: a program that replaces `JSON` changes no verdict.
    this.send({ end: code === undefined ? verdict : { ok: false, exitCode: code, error: exited } })
  }
}

interface Ended {
  readonly result?: Remote
  readonly exceptionDetails?: { readonly exception?: Remote }
}

const interrupted = { name: "InterruptedError", value: "the program was interrupted", traceback: "" }

/** As to a pipe: what a loop prints is out when it is printed, and does not pile up until the loop ends. */
const blocking = (stream: object): void => {
  const handle: unknown = Reflect.get(stream, "_handle")
  const set: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "setBlocking") : undefined
  if (typeof set === "function") Reflect.apply(set, handle, [true])
}

/** A timer that was cleared says so by a field of Node's own. */
const isActive = (timer: NodeJS.Timeout): boolean => Reflect.get(timer, "_destroyed") !== true

const port = WorkerThreads.parentPort
const ear: unknown = WorkerThreads.workerData
if (port !== null && ear instanceof Int32Array) void new Control(port, ear)
else void new Machine()
