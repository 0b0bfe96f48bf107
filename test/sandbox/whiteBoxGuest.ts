/**
 * A guest process whose attacker already has what a broken engine would give: it writes to any address of the engine's
 * memory and calls any import and any function of the table, with any argument. Started by `LocalSandbox.whiteBox.test.ts` with the
 * flags of a real guest, behind the same lock. It tells its parent, line by line, what it is about to do; every way to
 * the host that Node has is counted.
 */
import * as Fs from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"
import type { Channel, Lines } from "../../src/sandbox/internal/channel.ts"
import { decodeBoot, type Boot } from "../../src/sandbox/internal/frame.ts"
import { figures } from "../soak/figures.ts"

interface Plan {
  readonly boot: Boot
  readonly attack: "imports" | "table" | "memory"
  readonly seed: number
  /** How often each import is called; how many entries of the table, from which on, and how far apart. */
  readonly rounds: number
  readonly from: number
  readonly step: number
}

const writeSync = Fs.writeSync
const tell = (line: Readonly<Record<string, unknown>>) => void writeSync(1, `${JSON.stringify(line)}\n`)

const boot = decodeBoot(process.argv[2] ?? "")
const numbers = JSON.parse(process.argv[3] ?? "{}")
if (boot === undefined) throw new Error("whiteBoxGuest needs a boot line and a plan")
const plan: Plan = { ...numbers, boot }
const below = figures(plan.seed)

/** What the engine was instantiated with and became. The one hook that the attacker needs, set before the boot. */
const caught: { imports: WebAssembly.ModuleImports; exports: WebAssembly.Exports } = { imports: {}, exports: {} }
const instantiate = WebAssembly.instantiate
const isObject = (u: unknown): u is object => typeof u === "object" && u !== null
const isExports = (u: unknown): u is WebAssembly.Exports => isObject(u)
const spy = async (source: WebAssembly.Module, imports?: WebAssembly.Imports): Promise<unknown> => {
  const made: unknown = await instantiate(source, imports)
  const engine = imports?.["env"] ?? imports?.["a"]
  const instance: unknown = isObject(made) && "instance" in made ? made.instance : made
  const given: unknown = isObject(instance) ? Reflect.get(instance, "exports") : undefined
  if (engine !== undefined && Object.keys(engine).length > 10 && isExports(given)) {
    caught.imports = engine
    caught.exports = given
  }
  return made
}
Reflect.set(WebAssembly, "instantiate", spy)

class Ended extends Error {}

let ends: Array<string> = []
/** Where the real channel would end the process, this one remembers that it would have. */
const channel = {
  begin: () => undefined,
  end: () => undefined,
  flush: () => undefined,
  result: () => undefined,
  send: () => undefined,
  sleep: () => undefined,
  write: () => undefined,
  isStopped: () => false,
  die: (why: string, what: string): never => {
    ends.push(`${why} ${what}`)
    throw new Ended()
  }
}

const require = createRequire(import.meta.url)
const reached: Array<string> = []
const refuse =
  (name: string) =>
  (...args: ReadonlyArray<unknown>) => {
    reached.push(`${name}(${args.map(String).join(", ").slice(0, 80)})`)
    throw new Error("the host was reached")
  }

/** Takes the host away, so that whatever reaches for it is seen. */
const cutOff = () => {
  for (const name of ["child_process", "dgram", "dns", "fs", "http", "net", "vm", "worker_threads"]) {
    const module: object = require(`node:${name}`)
    for (const key of Object.keys(module))
      if (typeof Reflect.get(module, key) === "function") Reflect.set(module, key, refuse(`${name}.${key}`))
  }
  syncBuiltinESMExports()
  for (const key of ["kill", "exit", "reallyExit", "abort", "chdir", "umask", "setuid", "dlopen", "getBuiltinModule"])
    Reflect.set(process, key, refuse(`process.${key}`))
  for (const key of ["fetch", "WebSocket", "eval", "setTimeout", "setInterval", "setImmediate", "queueMicrotask"])
    Reflect.set(globalThis, key, refuse(key))
}

let found: WebAssembly.Memory | undefined
const memory = (): Uint8Array => {
  const isMemory = (item: unknown): item is WebAssembly.Memory => item instanceof WebAssembly.Memory
  found ??= [...Object.values(caught.exports), ...Object.values(caught.imports)].find(isMemory)
  if (found === undefined) throw new Error("the engine has no memory")
  return new Uint8Array(found.buffer)
}

/** A number such as an attacker tries: small, an address, aligned, negative, or all ones. */
const number = (): number => {
  const size = memory().length
  const kinds = [0, below(64), below(size), -below(1000), 4294967295, below(size) & ~7, below(2147483647), below(5000)]
  return kinds[below(kinds.length)] ?? 0
}

/**
 * How many things an import of this name loops over, by position: two thousand millions would only take minutes. (The
 * names of one letter are QuickJS's `fd_write` and `callFunction`.)
 */
const counts = new Map([
  ["c", 2],
  ["s", 2],
  ["__syscall_poll", 1],
  ["fd_read", 2],
  ["fd_write", 2],
  ["fd_pread", 2],
  ["fd_pwrite", 2],
  ["random_get", 1]
])

type Call = (...args: ReadonlyArray<unknown>) => unknown

const tally = new Map<string, number>()

/** Calls `f`, and counts how it ended: with a value, a trap, or the end of the process. */
const attempt = (f: Call, args: ReadonlyArray<unknown>) => {
  let how = "returned"
  try {
    f(...args)
  } catch (error) {
    how = error instanceof Ended ? "ended" : error instanceof Error ? error.name : "wasm exception"
  }
  tally.set(how, (tally.get(how) ?? 0) + 1)
}

const isFunction = (u: unknown): u is Call => typeof u === "function"

const callImports = (names: ReadonlyArray<string>) => {
  const denied = new Set<string>()
  for (const name of names) {
    const f = caught.imports[name]
    if (!isFunction(f)) continue
    const signature: unknown = Reflect.get(f, "sig")
    const kinds = typeof signature === "string" ? signature.slice(1).split("") : Array.from({ length: 6 }, () => "i")
    for (let round = 0; round < plan.rounds; round++) {
      ends = []
      const args: Array<unknown> = kinds.map((kind) => (kind === "j" ? BigInt(number()) : kind === "e" ? {} : number()))
      const at = counts.get(name)
      if (at !== undefined) args[at] = below(50)
      tell({ doing: name })
      attempt(f, args)
      for (const end of ends) denied.add(end)
    }
  }
  return [...denied]
}

const callTable = () => {
  const table = caught.exports["__indirect_function_table"]
  if (!(table instanceof WebAssembly.Table)) throw new Error("the engine has no table")
  tell({ length: table.length })
  for (let round = 0; round < plan.rounds; round++) {
    const index = plan.from + round * plan.step
    if (index >= table.length) return
    const f: unknown = table.get(index)
    tell({ doing: index })
    if (isFunction(f)) attempt(f, Array.from({ length: f.length }, number))
  }
}

/** Writes all over the memory, and goes on running what is left of the engine after each time. */
const writeMemory = () => {
  const entries = Object.entries(caught.exports).filter(
    ([name]) => /^(Py|_Py|PyRun|QTS_)/.test(name) || name.length < 3
  )
  for (let round = 0; round < plan.rounds; round++) {
    const bytes = memory()
    const wide = below(4) === 0
    for (let i = 0; i < (wide ? 20_000 : 50); i++) bytes[below(wide ? bytes.length : 1 << 24)] = below(256)
    const [name, f] = entries[below(entries.length)] ?? ["", undefined]
    tell({ doing: `${round} ${name}` })
    if (isFunction(f)) attempt(f, Array.from({ length: f.length }, number))
  }
}

const lines = {
  next: () => {
    cutOff()
    const names = Object.keys(caught.imports).filter((name) => numbers.names?.includes(name) ?? true)
    const denied = plan.attack === "imports" ? callImports(names) : []
    if (plan.attack === "table") callTable()
    if (plan.attack === "memory") writeMemory()
    tell({ done: true, reached, denied, tally: Object.fromEntries(tally) })
    return undefined
  }
}

const isChannel = (u: object): u is Channel => "die" in u
const isLines = (u: object): u is Lines => "next" in u
const engine =
  boot.language === "python"
    ? await import("../../src/sandbox/internal/python.ts")
    : await import("../../src/sandbox/internal/javascript.ts")
if (isChannel(channel) && isLines(lines)) await engine.serve(boot, lines, channel)
