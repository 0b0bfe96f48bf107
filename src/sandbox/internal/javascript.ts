/**
 * The JavaScript guest: QuickJS compiled to WebAssembly. It has no network, no host objects and no files but those in
 * its process's memory; its only ways out are the functions of `realm.ts`. Its memory is bounded by the wasm memory
 * itself, because the engine's own limit alone is not enough (quickjs-emscripten #255).
 */
import * as Url from "node:url"
import type * as Core from "quickjs-emscripten-core"
import type { QuickJSHandle, QuickJSSyncVariant } from "quickjs-emscripten-core"
import { serveRequests, type Channel, type Lines } from "./channel.ts"
import type { Boot, Raised, Run } from "./frame.ts"
import { absolute, home, Refusal } from "./guestFiles.ts"
import { MemoryFiles } from "./memoryFiles.ts"
import * as Realms from "./realm.ts"
import { call, evaluate, type Machine, type Realm } from "./realm.ts"
import { stripTypes } from "./typeStripping.ts"

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

const boot = async (options: Boot, channel: Channel): Promise<Machine> => {
  const pages = Math.floor(options.memoryBytes / pageBytes)
  const memory = new WebAssembly.Memory({ initial: 256, maximum: pages })
  const engine = await load(options, memory)
  const runtime = engine.newRuntime()
  runtime.setMemoryLimit(options.memoryBytes - 16 * 1024 * 1024)
  runtime.setMaxStackSize(stackBytes)
  const files = new MemoryFiles(options, () => Math.round(performance.timeOrigin + performance.now()))
  const machine: Machine = { runtime, memory, files, channel, cwd: home, exitCode: undefined, armed: false }
  runtime.setInterruptHandler(() => machine.armed && (machine.exitCode !== undefined || channel.isStopped()))
  return machine
}

/** What a run has ready before its code runs: its folder, and its code as JavaScript. */
const prepare = (machine: Machine, run: Run): string | Raised => {
  if (run.cwd === "") machine.files.folder(home)
  const cwd = absolute(run.cwd)
  try {
    machine.files.list(cwd)
  } catch (error) {
    const value = `no such folder to run in, '${cwd}'`
    if (error instanceof Refusal) return { name: "Error", value, traceback: `Error: ${value}` }
    throw error
  }
  machine.cwd = cwd
  return run.isTyped ? stripTypes(run.code) : run.code
}

const execute = (machine: Machine, realm: Realm, run: Run, env: Boot["env"]): void => {
  const { channel, memory } = machine
  channel.begin(run.id)
  machine.exitCode = undefined
  const code = prepare(machine, run)
  if (typeof code !== "string") return channel.end(false, code, 1, memory.buffer.byteLength)
  const environment = realm.context.newString(JSON.stringify({ ...env, ...run.env }))
  call(realm, "begin", environment)
  environment.dispose()
  machine.armed = true
  const ended = evaluate(realm, code, `<cell ${run.id}>`)
  if (ended.ok) call(realm, "show", ended.handle)
  if (channel.isStopped() || machine.exitCode !== undefined) machine.armed = false
  const told = ended.ok ? undefined : explain(realm, ended.handle)
  machine.armed = false
  call(realm, "reset")
  ended.handle.dispose()
  const exit = machine.exitCode
  const error =
    exit === undefined ? told : { name: "ExitCalled", value: String(exit), traceback: `process.exit(${exit})` }
  channel.end(ended.ok, error, ended.ok ? 0 : (exit ?? 1), memory.buffer.byteLength)
}

const explain = (realm: Realm, error: QuickJSHandle): Raised => {
  const told = call(realm, "explain", error)
  const fallback = { name: "Error", value: "an error that cannot be told", traceback: "" }
  if (!told.ok) return fallback
  try {
    const value: unknown = JSON.parse(realm.context.getString(told.handle))
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
  const realms = new Map([[0, Realms.make(machine)]])
  serveRequests(lines, channel, machine.files, (run) => {
    const realm = realms.get(run.context) ?? Realms.make(machine)
    realms.set(run.context, realm)
    execute(machine, realm, run, options.env)
  })
}
