/** One context of the JavaScript engine: its variables, its prelude, and the functions by which it reaches out. */
import type { QuickJSContext, QuickJSHandle, QuickJSRuntime } from "quickjs-emscripten-core"
import { redeclarable } from "./cell.ts"
import type { Channel } from "./channel.ts"
import { absolute, Refusal } from "./guestFiles.ts"
import type { MemoryFiles } from "./memoryFiles.ts"
import * as Prelude from "./prelude.ts"
import * as PreludeFiles from "./preludeFiles.ts"

/** JS_EVAL_FLAG_ASYNC: top-level await, completion value, globals that persist. */
const evalAsync = 1 << 7

/** What all contexts share. */
export interface Machine {
  readonly runtime: QuickJSRuntime
  readonly memory: WebAssembly.Memory
  readonly files: MemoryFiles
  readonly channel: Channel
  cwd: string
  /** The code of `process.exit`, once it was called in this run. */
  exitCode: number | undefined
  /** Whether guest code runs: only then may it be interrupted. */
  armed: boolean
}

const kept = ["begin", "show", "explain", "wait", "fire", "reset"] as const

/** A context, and what its prelude gave us to hold. */
export interface Realm {
  readonly machine: Machine
  readonly context: QuickJSContext
  readonly hold: Readonly<Record<(typeof kept)[number], QuickJSHandle>>
}

type HostFunction = (...args: ReadonlyArray<QuickJSHandle>) => QuickJSHandle | undefined

/** Bytes of an ArrayBuffer of the guest, in memory of our own. */
const bytesOf = (context: QuickJSContext, handle: QuickJSHandle | undefined): Uint8Array => {
  if (handle === undefined || context.typeof(handle) !== "object") return new Uint8Array(0)
  const lifetime = context.getArrayBuffer(handle)
  const bytes = new Uint8Array(lifetime.value)
  lifetime.dispose()
  return bytes
}

const textOf = (context: QuickJSContext, handle: QuickJSHandle | undefined): string =>
  handle === undefined ? "" : context.getString(handle)

const encodings: ReadonlyMap<string, BufferEncoding> = new Map<string, BufferEncoding>([
  ["utf8", "utf8"],
  ["utf-8", "utf8"],
  ["hex", "hex"],
  ["base64", "base64"],
  ["base64url", "base64url"],
  ["latin1", "latin1"],
  ["binary", "latin1"],
  ["ascii", "latin1"]
])

/** What a program asks of its files: bytes, or a value that becomes JSON. */
const perform = (machine: Machine, op: string, path: string, extra: () => Uint8Array, target: () => string) => {
  const { files } = machine
  switch (op) {
    case "info":
      return files.info(path)
    case "exists":
      return files.exists(path)
    case "list":
      return files.list(path).map(({ name, type }) => ({ name, type }))
    case "read":
      return files.read(path).slice()
    case "create":
      return files.create(path, extra())
    case "append":
      return files.append(path, extra())
    case "folder":
      return files.folder(path)
    case "makeFolder":
      return files.makeFolder(path)
    case "remove":
      return files.remove(path)
    case "rename":
      return files.rename(path, absolute(target(), machine.cwd))
    case "cwd":
      return machine.cwd
    case "chdir":
      files.list(path)
      machine.cwd = path
      return undefined
    default:
      throw new Refusal("ENOSYS", "no such operation")
  }
}

const toHandle = (context: QuickJSContext, value: unknown): QuickJSHandle =>
  value instanceof Uint8Array
    ? context.newArrayBuffer(new Uint8Array(value).buffer)
    : context.newString(`=${JSON.stringify(value) ?? ""}`)

const fileFunction =
  (machine: Machine, context: QuickJSContext): HostFunction =>
  (op, path, extra) => {
    const absolutePath = absolute(textOf(context, path), machine.cwd)
    try {
      const bytes = () => bytesOf(context, extra)
      const target = () => textOf(context, extra)
      return toHandle(context, perform(machine, textOf(context, op), absolutePath, bytes, target))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return context.newString(`!${JSON.stringify({ code: error.code, message: error.message })}`)
    }
  }

const hostFunctions = (machine: Machine, context: QuickJSContext): QuickJSHandle => {
  const { channel } = machine
  const host = context.newObject()
  const give = (name: string, f: HostFunction) => {
    const handle = context.newFunction(name, (...args) => f(...args) ?? context.undefined)
    context.setProp(host, name, handle)
    handle.dispose()
  }
  const text = (handle: QuickJSHandle | undefined) => textOf(context, handle)
  const encoding = (handle: QuickJSHandle | undefined) => encodings.get(text(handle)) ?? "utf8"
  give("out", (stream, data) => {
    const isText = data === undefined || context.typeof(data) === "string"
    const bytes = isText ? Buffer.from(text(data), "utf8") : bytesOf(context, data)
    channel.write(text(stream) === "stderr" ? "stderr" : "stdout", bytes)
    return undefined
  })
  give("result", (json) => {
    channel.result(text(json))
    return undefined
  })
  give("now", () => context.newNumber(performance.now()))
  give("exit", (code) => {
    machine.exitCode = code === undefined ? 0 : context.getNumber(code) & 0xff
    // The interrupt handler sees the code and stops the program: no `catch` of the program can hold it.
    const spin = context.evalCode("for(;;){}")
    if (spin.error === undefined) return spin.value
    throw spin.error
  })
  give("encode", (data, name) => context.newArrayBuffer(new Uint8Array(Buffer.from(text(data), encoding(name))).buffer))
  give("decode", (data, name) => context.newString(Buffer.from(bytesOf(context, data)).toString(encoding(name))))
  give("file", fileFunction(machine, context))
  return host
}

/** Makes a context with everything that a program expects in it. */
export const make = (machine: Machine): Realm => {
  const context = machine.runtime.newContext()
  const host = hostFunctions(machine, context)
  const evaluated = (source: string, name: string, ...args: ReadonlyArray<QuickJSHandle>) => {
    const prelude = context.unwrapResult(context.evalCode(source, name))
    return context.unwrapResult(context.callFunction(prelude, context.undefined, ...args))
  }
  const files = evaluated(PreludeFiles.source, "<prelude>", host)
  const held = evaluated(Prelude.source, "<prelude>", host, files)
  const hold = (name: (typeof kept)[number]) => context.getProp(held, name)
  return {
    machine,
    context,
    hold: {
      begin: hold("begin"),
      show: hold("show"),
      explain: hold("explain"),
      wait: hold("wait"),
      fire: hold("fire"),
      reset: hold("reset")
    }
  }
}

/** The handle that a step ended with: a value, or what it threw. */
export interface Outcome {
  readonly ok: boolean
  readonly handle: QuickJSHandle
}

/** Calls a function of the prelude. */
export const call = (
  { hold, context }: Realm,
  name: (typeof kept)[number],
  ...args: ReadonlyArray<QuickJSHandle>
): Outcome => {
  const result = context.callFunction(hold[name], context.undefined, ...args)
  return result.error === undefined ? { ok: true, handle: result.value } : { ok: false, handle: result.error }
}

const isOver = ({ machine }: Realm) => machine.exitCode !== undefined || machine.channel.isStopped()

/** Runs promise jobs in small batches: a job that always makes another must not starve the stop. */
const runJobs = (realm: Realm): Outcome | undefined => {
  const { runtime } = realm.machine
  while (runtime.hasPendingJob()) {
    if (isOver(realm)) return stopped(realm)
    const jobs = runtime.executePendingJobs(256)
    if (jobs.error !== undefined) return { ok: false, handle: jobs.error }
  }
  return undefined
}

const stopped = ({ context }: Realm): Outcome => ({ ok: false, handle: context.newError("interrupted") })

/** Runs jobs and timers until the main promise has settled and no timeout is left. */
const settle = (realm: Realm, main: QuickJSHandle): Outcome => {
  const { context, machine } = realm
  for (;;) {
    const failure = runJobs(realm)
    if (failure !== undefined) return failure
    const state = context.getPromiseState(main)
    if (state.type === "rejected") return { ok: false, handle: state.error }
    const pending = state.type === "pending"
    const wait = call(realm, "wait", pending ? context.true : context.false)
    const millis = wait.ok ? context.getNumber(wait.handle) : -1
    if (millis < 0 && !pending) return { ok: true, handle: state.type === "fulfilled" ? state.value : main }
    // Nothing is left that could ever settle it: wait for the stop, as a process without work would.
    machine.channel.sleep(millis < 0 ? 3_600_000 : millis)
    if (isOver(realm)) return stopped(realm)
    const fired = call(realm, "fire")
    if (!fired.ok) return fired
    fired.handle.dispose()
  }
}

/** Runs a cell to its end. */
export const evaluate = (realm: Realm, code: string, name: string): Outcome => {
  const { context } = realm
  const result = context.evalCode(redeclarable(code), name, evalAsync)
  if (result.error !== undefined) return { ok: false, handle: result.error }
  const ended = settle(realm, result.value)
  if (!ended.ok) return ended
  // An async evaluation resolves to `{ value }`. A value that is a promise is waited for too: a program whose last
  // line starts an async function means its end, and a rejection in it must not pass for success.
  const value = context.getProp(ended.handle, "value")
  const state = context.getPromiseState(value)
  return state.type === "fulfilled" && state.notAPromise === true ? { ok: true, handle: value } : settle(realm, value)
}
