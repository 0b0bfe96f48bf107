/**
 * The Python guest: CPython compiled to WebAssembly (Pyodide), cut off from JavaScript at its import list.
 *
 * Order matters: install the guards, boot, take the streams and the file system in hand, let the driver tidy Python,
 * close the lock, and only then read the first code. After that JavaScript speaks to Python by its C interface alone.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Url from "node:url"
import { serveRequests, writeAll, type Channel, type Lines } from "./channel.ts"
import * as Driver from "./driver.ts"
import * as EmscriptenFiles from "./emscriptenFiles.ts"
import type { Boot, Run } from "./frame.ts"
import * as Imports from "./imports.ts"
import * as LongPaths from "./longPaths.ts"
import { isEngine, limitFiles, type Engine } from "./pythonFiles.ts"
import { openStreams } from "./pythonStreams.ts"

type Anything = Readonly<Record<string, unknown>>

const isObject = (u: unknown): u is Record<string, unknown> => typeof u === "object" && u !== null
const isFunction = (u: unknown): u is Imports.Import => typeof u === "function"

const required = (module: unknown, name: string): Imports.Import => {
  const value = isObject(module) ? module[name] : undefined
  if (isFunction(value)) return value
  throw new Error(`the engine has no ${name}`)
}

/** SIGINT, as Emscripten's Python numbers it. */
const SIGINT = 2

/** What the guards need to know, filled in while the engine boots. */
interface State {
  engine: Engine | undefined
  lock: Imports.Lock | undefined
  /** Whether an interrupt may be delivered: only while code of the guest runs. */
  armed: boolean
}

const replacements = (boot: Boot, state: State, channel: Channel): Readonly<Record<string, Imports.Import>> => ({
  _Py_CheckEmscriptenSignals_Helper: () => (state.armed && channel.isStopped() ? SIGINT : 0),
  emscripten_resize_heap: (wanted) => {
    const size = Number(wanted) >>> 0
    const engine = state.engine
    if (engine === undefined || size > boot.memoryBytes) return 0
    // Grow by a fifth, as Emscripten does, so that growing is rare; never past the limit.
    const roomy = Math.min(Math.max(size, engine.HEAPU8.length * 1.2), boot.memoryBytes)
    return engine.growMemory(Math.ceil(roomy / 65536) * 65536) === 1 ? 1 : 0
  }
})

const marker = Symbol("JavaScript error")

/** Instantiates the wasm file with a guarded import object. */
const instantiate =
  (boot: Boot, state: State, channel: Channel) =>
  (info: unknown, done: unknown): Anything => {
    const imports = isObject(info) ? info["env"] : undefined
    if (!isObject(info) || !isObject(imports) || !isFunction(done)) throw new Error("the engine's imports are missing")
    imports["Jsv_GetError_import"] = () => marker
    imports["JsvError_Check"] = (value: unknown) => (value === marker ? 1 : 0)
    LongPaths.install(imports, () => state.engine)
    state.lock = Imports.install(imports, replacements(boot, state, channel), {
      exit: (_name, code) => channel.die("exited", String(code)),
      deny: (name) => channel.die("violation", name)
    })
    const bytes = Fs.readFileSync(Path.join(boot.engine, "pyodide.asm.wasm"))
    const module = new WebAssembly.Module(bytes)
    // Every import is a function, table or global that Emscripten made; the object is passed on as it came.
    WebAssembly.instantiate(module, toImports(info))
      .then((instance) => done(instance, module))
      .catch((error: unknown) => {
        channel.die("crashed", String(error))
      })
    return {}
  }

const toImports = (info: Record<string, unknown>): WebAssembly.Imports => {
  const imports: WebAssembly.Imports = {}
  for (const name of Object.keys(info)) {
    const part: unknown = info[name]
    if (isImportModule(part)) imports[name] = part
  }
  return imports
}

const isImportModule = (u: unknown): u is WebAssembly.ModuleImports => isObject(u)

const loadEngine = async (boot: Boot, state: State, channel: Channel): Promise<Engine> => {
  // Pyodide reads `process.binding("constants").fs` for a file system that we never mount; the permission model forbids it.
  Object.defineProperty(process, "binding", { value: () => ({ fs: Fs.constants }) })
  const url = (file: string) => Url.pathToFileURL(Path.join(boot.engine, file)).href
  const load = required(await import(url("pyodide.mjs")), "loadPyodide")
  const create = required(await import(url("pyodide.asm.mjs")), "default")
  const api: unknown = await load({
    indexURL: boot.engine,
    lockFileContents: Fs.readFileSync(Path.join(boot.engine, "pyodide-lock.json"), "utf8"),
    stdin: () => null,
    stdout: () => undefined,
    stderr: () => undefined,
    env: { HOME: "/home/user" },
    ...(boot.snapshotOnly ? { _makeSnapshot: true } : {}),
    ...(boot.snapshot === "" ? {} : { _loadSnapshot: Fs.readFileSync(boot.snapshot) }),
    createPyodideModule: (settings: unknown) => {
      if (!isObject(settings)) throw new Error("the engine's settings are missing")
      settings["instantiateWasm"] = instantiate(boot, state, channel)
      // Otherwise the path of this file, which tells a guest where and for whom we are installed.
      settings["thisProgram"] = "python"
      return create(settings)
    }
  })
  const module = isObject(api) ? api["_module"] : undefined
  if (!isObject(api) || !isEngine(module)) throw new Error("the engine lacks a part that the lock stands on")
  if (boot.snapshot === "") required(api, "runPython")(install(Driver.source))
  if (boot.snapshotOnly) {
    const bytes = required(api, "makeMemorySnapshot")()
    if (!(bytes instanceof Uint8Array)) throw new Error("the engine made no snapshot")
    writeAll(bytes)
    process.exit(0)
  }
  return module
}

const install = (source: string): string =>
  `import sys, types\n_m = types.ModuleType("_holdfast")\nsys.modules["_holdfast"] = _m\n` +
  `exec(compile(${JSON.stringify(source)}, "<holdfast>", "exec"), vars(_m))\ndel _m`

/** The most that the driver tells about an error: three texts of 64 KiB, each character escaped. */
const toldBytes = 2 * 1024 * 1024

/** Calls into Python by pointers. 0 is NULL: an exception is set. */
class Python {
  private readonly engine: Engine
  private readonly functions: Readonly<Record<"prepare" | "drive" | "show" | "explain" | "flush", number>>

  constructor(engine: Engine, boot: Boot) {
    this.engine = engine
    const name = this.cString("_holdfast")
    const module = engine._PyImport_AddModule(name)
    const find = (member: string) => {
      const pointer = engine._PyObject_GetAttrString(module, this.cString(member))
      if (pointer === 0) throw new Error(`the driver has no ${member}`)
      return pointer
    }
    this.functions = {
      prepare: find("prepare"),
      drive: find("drive"),
      show: find("show"),
      explain: find("explain"),
      flush: find("flush")
    }
    const started = engine._PyObject_CallOneArg(find("start"), this.string(JSON.stringify({ env: boot.env })))
    if (started === 0) throw new Error(`the driver did not start: ${this.explain()?.["traceback"]}`)
  }

  /** Compiles a run: body, whether it awaits, last expression, whether it awaits, variables. */
  prepare(run: Run): number {
    const request = this.string(JSON.stringify(run))
    const steps = this.engine._PyObject_CallOneArg(this.functions.prepare, request)
    this.engine._Py_DecRef(request)
    return steps
  }

  /** Runs one compiled step; its value, or NULL. */
  step(steps: number, index: number): number {
    const engine = this.engine
    const code = engine._PyList_GetItem(steps, index)
    const awaits = engine._PyObject_IsTrue(engine._PyList_GetItem(steps, index + 1)) === 1
    const variables = engine._PyList_GetItem(steps, 4)
    const value = engine._PyEval_EvalCode(code, variables, variables)
    if (!awaits || value === 0) return value
    const awaited = engine._PyObject_CallOneArg(this.functions.drive, value)
    engine._Py_DecRef(value)
    return awaited
  }

  hasStep(steps: number, index: number): boolean {
    return this.engine._PyList_GetItem(steps, index) !== this.engine.__Py_NoneStruct
  }

  /** Shows the last value; whatever goes wrong in it stays in it. */
  show(value: number): void {
    const shown = this.engine._PyObject_CallOneArg(this.functions.show, value)
    this.engine._Py_DecRef(value)
    this.release(shown)
  }

  /** The exception that is set, as the driver tells it; `undefined` when the telling itself failed. */
  explain(): Record<string, unknown> | undefined {
    const error = this.engine._PyErr_GetRaisedException()
    if (error === 0) return undefined
    const told = this.engine._PyObject_CallOneArg(this.functions.explain, error)
    this.engine._Py_DecRef(error)
    const text = told === 0 ? undefined : this.read(told)
    this.release(told)
    return text === undefined ? undefined : parse(text)
  }

  flush(): void {
    this.release(this.engine._PyObject_CallNoArgs(this.functions.flush))
  }

  /** Takes what interrupts are still pending, so that the next run does not meet them. */
  settle(): void {
    for (let turn = 0; turn < 3 && this.engine._PyErr_CheckSignals() !== 0; turn++) this.engine._PyErr_Clear()
  }

  release(pointer: number): void {
    if (pointer === 0) this.engine._PyErr_Clear()
    else this.engine._Py_DecRef(pointer)
  }

  private bytes(text: string): { readonly pointer: number; readonly size: number } {
    const bytes = Buffer.from(text, "utf8")
    const pointer = this.engine._malloc(bytes.length + 1) >>> 0
    if (pointer === 0) throw new Error("out of memory")
    this.engine.HEAPU8.set(bytes, pointer)
    this.engine.HEAPU8[pointer + bytes.length] = 0
    return { pointer, size: bytes.length }
  }

  /** Never freed: a handful, at boot. */
  private cString(text: string): number {
    return this.bytes(text).pointer
  }

  private string(text: string): number {
    const { pointer, size } = this.bytes(text)
    const value = this.engine._PyUnicode_FromStringAndSize(pointer, size)
    this.engine._free(pointer)
    if (value === 0) throw new Error("out of memory")
    return value
  }

  private read(pointer: number): string | undefined {
    const size = this.engine._malloc(4) >>> 0
    const at = this.engine._PyUnicode_AsUTF8AndSize(pointer, size) >>> 0
    const length = new DataView(this.engine.HEAPU8.buffer).getUint32(size, true)
    this.engine._free(size)
    if (at === 0) this.engine._PyErr_Clear()
    // A guest that writes over the driver may tell as much as its memory holds.
    if (at === 0 || length > toldBytes) return undefined
    return Buffer.from(this.engine.HEAPU8.subarray(at, at + length)).toString("utf8")
  }
}

const parse = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Runs the steps. `true` is only ever said when the C interface returned a value for each. */
const runSteps = (python: Python, steps: number): boolean => {
  for (const index of [0, 2]) {
    if (!python.hasStep(steps, index)) continue
    const value = python.step(steps, index)
    if (value === 0) return false
    if (index === 2) python.show(value)
    else python.release(value)
  }
  return true
}

const execute = (python: Python, engine: Engine, state: State, channel: Channel, run: Run): void => {
  channel.begin(run.id)
  state.armed = true
  const steps = python.prepare(run)
  const ok = steps !== 0 && runSteps(python, steps)
  const stopped = channel.isStopped()
  // An interrupt that was delivered has done its work; explaining it must not be interrupted again.
  if (stopped) state.armed = false
  const told = ok ? undefined : python.explain()
  if (stopped) python.settle()
  if (steps !== 0) python.release(steps)
  python.flush()
  state.armed = false
  python.settle()
  const text = (key: string, otherwise: string) => {
    const value = told?.[key]
    return typeof value === "string" ? value : otherwise
  }
  const code = told?.["exitCode"]
  const error = { name: text("name", "Error"), value: text("value", ""), traceback: text("traceback", "") }
  channel.end(ok, ok ? undefined : error, ok ? 0 : Number.isSafeInteger(code) ? Number(code) : 1, engine.HEAPU8.length)
}

/** Boots, locks and serves until the parent goes. */
export const serve = async (boot: Boot, lines: Lines, channel: Channel): Promise<void> => {
  const state: State = { engine: undefined, lock: undefined, armed: false }
  const engine = await loadEngine(boot, state, channel)
  state.engine = engine
  openStreams(engine, channel)
  const python = new Python(engine, boot)
  const files = EmscriptenFiles.make(engine, limitFiles(engine, boot))
  engine.HEAP8[engine._Py_EMSCRIPTEN_SIGNAL_HANDLING] = 1
  if (state.lock === undefined) throw new Error("the engine was not locked")
  state.lock.close()
  serveRequests(lines, channel, files, (run) => execute(python, engine, state, channel, run))
}
