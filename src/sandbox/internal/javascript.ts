/**
 * The JavaScript guest: QuickJS compiled to WebAssembly. It has no file system, no network and no host objects; its
 * only ways out are the functions below. Its memory is bounded by the wasm memory itself, because the engine's own
 * limit alone is not enough (quickjs-emscripten #255).
 */
import * as Url from "node:url"
import type * as Core from "quickjs-emscripten-core"
import type { QuickJSContext, QuickJSHandle, QuickJSRuntime, QuickJSSyncVariant } from "quickjs-emscripten-core"
import { redeclarable } from "./cell.ts"
import type { Channel, Lines } from "./channel.ts"
import { decodeRun, type Boot, type Run } from "./frame.ts"
import * as Prelude from "./prelude.ts"

/** JS_EVAL_FLAG_ASYNC: top-level await, completion value, globals that persist. */
const evalAsync = 1 << 7

/** More lets a deep recursion overflow the wasm stack first, which kills the engine (quickjs-emscripten #60, #269). */
const stackBytes = 512 * 1024

const pageBytes = 65536

const isCore = (u: unknown): u is typeof Core =>
  typeof u === "object" &&
  u !== null &&
  "newQuickJSWASMModuleFromVariant" in u &&
  typeof u.newQuickJSWASMModuleFromVariant === "function" &&
  "newVariant" in u &&
  typeof u.newVariant === "function"

const isVariant = (u: unknown): u is QuickJSSyncVariant =>
  typeof u === "object" && u !== null && "type" in u && u.type === "sync" && "importFFI" in u

const kept = ["begin", "show", "explain", "wait", "fire", "reset"] as const

/** The engine, and what the prelude gave us to hold. */
interface Machine {
  readonly context: QuickJSContext
  readonly runtime: QuickJSRuntime
  readonly memory: WebAssembly.Memory
  readonly hold: Readonly<Record<(typeof kept)[number], QuickJSHandle>>
  /** The code of `process.exit`, once it was called in this run. */
  exitCode: number | undefined
  /** Whether guest code runs: only then may it be interrupted. */
  armed: boolean
}

/** The engine prints only when it breaks, and then into the channel to the parent. */
const quiet: NonNullable<Core.CustomizeVariantOptions["emscriptenModule"]> & {
  readonly print: () => void
  readonly printErr: () => void
} = { print: () => undefined, printErr: () => undefined }

const load = async (boot: Boot, memory: WebAssembly.Memory) => {
  const core: unknown = await import(Url.pathToFileURL(boot.engine).href)
  const variant: unknown = (await import(Url.pathToFileURL(boot.variant).href)).default
  if (!isCore(core) || !isVariant(variant)) throw new Error("the engine's modules have another shape")
  return core.newQuickJSWASMModuleFromVariant(
    core.newVariant(variant, {
      wasmMemory: memory,
      emscriptenModule: quiet
    })
  )
}

const hostFunctions = (machine: () => Machine, context: QuickJSContext, channel: Channel): QuickJSHandle => {
  const host = context.newObject()
  const give = (name: string, f: (...args: ReadonlyArray<QuickJSHandle>) => QuickJSHandle | undefined) => {
    const handle = context.newFunction(name, (...args) => f(...args) ?? context.undefined)
    context.setProp(host, name, handle)
    handle.dispose()
  }
  const text = (handle: QuickJSHandle | undefined) => (handle === undefined ? "" : context.getString(handle))
  give("out", (stream, data) => {
    channel.write(text(stream) === "stderr" ? "stderr" : "stdout", Buffer.from(text(data), "utf8"))
    return undefined
  })
  give("result", (json) => {
    channel.result(text(json))
    return undefined
  })
  give("now", () => context.newNumber(performance.now()))
  give("exit", (code) => {
    machine().exitCode = code === undefined ? 0 : context.getNumber(code) & 0xff
    // The interrupt handler sees the code and stops the program: no `catch` of the program can hold it.
    const spin = context.evalCode("for(;;){}")
    if (spin.error === undefined) return spin.value
    throw spin.error
  })
  return host
}

const boot = async (options: Boot, channel: Channel): Promise<Machine> => {
  const pages = Math.floor(options.memoryBytes / pageBytes)
  const memory = new WebAssembly.Memory({ initial: 256, maximum: pages })
  const engine = await load(options, memory)
  const runtime = engine.newRuntime()
  runtime.setMemoryLimit(options.memoryBytes - 16 * 1024 * 1024)
  runtime.setMaxStackSize(stackBytes)
  const context = runtime.newContext()
  const host = hostFunctions(() => machine, context, channel)
  const prelude = context.unwrapResult(context.evalCode(Prelude.source, "<prelude>"))
  const held = context.unwrapResult(context.callFunction(prelude, context.undefined, host))
  const hold = (name: (typeof kept)[number]) => context.getProp(held, name)
  const machine: Machine = {
    context,
    runtime,
    memory,
    hold: {
      begin: hold("begin"),
      show: hold("show"),
      explain: hold("explain"),
      wait: hold("wait"),
      fire: hold("fire"),
      reset: hold("reset")
    },
    exitCode: undefined,
    armed: false
  }
  runtime.setInterruptHandler(() => machine.armed && (machine.exitCode !== undefined || channel.isStopped()))
  return machine
}

/** The handle that a step ended with: a value, or what it threw. */
interface Outcome {
  readonly ok: boolean
  readonly handle: QuickJSHandle
}

const call = (machine: Machine, name: (typeof kept)[number], ...args: ReadonlyArray<QuickJSHandle>): Outcome => {
  const result = machine.context.callFunction(machine.hold[name], machine.context.undefined, ...args)
  return result.error === undefined ? { ok: true, handle: result.value } : { ok: false, handle: result.error }
}

/** Runs promise jobs in small batches: a job that always makes another must not starve the stop. */
const runJobs = (machine: Machine, channel: Channel): Outcome | undefined => {
  while (machine.runtime.hasPendingJob()) {
    if (machine.exitCode !== undefined || channel.isStopped()) return stopped(machine)
    const jobs = machine.runtime.executePendingJobs(256)
    if (jobs.error !== undefined) return { ok: false, handle: jobs.error }
  }
  return undefined
}

const stopped = (machine: Machine): Outcome => ({ ok: false, handle: machine.context.newError("interrupted") })

/** Runs jobs and timers until the main promise has settled and no timeout is left. */
const settle = (machine: Machine, channel: Channel, main: QuickJSHandle): Outcome => {
  for (;;) {
    const failure = runJobs(machine, channel)
    if (failure !== undefined) return failure
    const state = machine.context.getPromiseState(main)
    if (state.type === "rejected") return { ok: false, handle: state.error }
    const pending = state.type === "pending"
    const wait = call(machine, "wait", pending ? machine.context.true : machine.context.false)
    const millis = wait.ok ? machine.context.getNumber(wait.handle) : -1
    if (millis < 0 && !pending) return { ok: true, handle: state.type === "fulfilled" ? state.value : main }
    // Nothing is left that could ever settle it: wait for the stop, as a process without work would.
    channel.sleep(millis < 0 ? 3_600_000 : millis)
    if (machine.exitCode !== undefined || channel.isStopped()) return stopped(machine)
    const fired = call(machine, "fire")
    if (!fired.ok) return fired
    fired.handle.dispose()
  }
}

const evaluate = (machine: Machine, channel: Channel, run: Run): Outcome => {
  const { context } = machine
  const result = context.evalCode(redeclarable(run.code), `<cell ${run.id}>`, evalAsync)
  if (result.error !== undefined) return { ok: false, handle: result.error }
  const ended = settle(machine, channel, result.value)
  if (!ended.ok) return ended
  // An async evaluation resolves to `{ value }`. A value that is a promise is waited for too: a program whose last
  // line starts an async function means its end, and a rejection in it must not pass for success.
  const value = context.getProp(ended.handle, "value")
  const state = context.getPromiseState(value)
  return state.type === "fulfilled" && state.notAPromise === true
    ? { ok: true, handle: value }
    : settle(machine, channel, value)
}

const execute = (machine: Machine, channel: Channel, run: Run, options: Boot): void => {
  const { context } = machine
  channel.begin(run.id)
  machine.exitCode = undefined
  const env = context.newString(JSON.stringify({ ...options.env, ...run.env }))
  call(machine, "begin", env)
  env.dispose()
  machine.armed = true
  const ended = evaluate(machine, channel, run)
  if (ended.ok) call(machine, "show", ended.handle)
  if (channel.isStopped() || machine.exitCode !== undefined) machine.armed = false
  const told = ended.ok ? undefined : explain(machine, ended.handle)
  machine.armed = false
  call(machine, "reset")
  ended.handle.dispose()
  const code = machine.exitCode
  const error =
    code === undefined ? told : { name: "ExitCalled", value: String(code), traceback: `process.exit(${code})` }
  channel.end(ended.ok, error, ended.ok ? 0 : (code ?? 1), machine.memory.buffer.byteLength)
}

const explain = (machine: Machine, error: QuickJSHandle) => {
  const told = call(machine, "explain", error)
  const fallback = { name: "Error", value: "an error that cannot be told", traceback: "" }
  if (!told.ok) return fallback
  try {
    const value: unknown = JSON.parse(machine.context.getString(told.handle))
    const text = (key: string) => {
      const part: unknown = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
      return typeof part === "string" ? part : ""
    }
    return { name: text("name"), value: text("value"), traceback: text("traceback") }
  } catch {
    return fallback
  }
}

/** Boots and serves until the parent goes. */
export const serve = async (options: Boot, lines: Lines, channel: Channel): Promise<void> => {
  const machine = await boot(options, channel)
  channel.send({ t: "ready" })
  for (;;) {
    const line = lines.next()
    const run = line === undefined ? undefined : decodeRun(line)
    if (run === undefined) return
    execute(machine, channel, run, options)
  }
}
