/** Where the engines are: optional packages, looked up when a session first needs one. */
import * as Fs from "node:fs"
import * as Module from "node:module"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { Unavailable } from "../SandboxError.ts"

/** What a guest needs to load one engine. */
export interface Engine {
  readonly language: "python" | "javascript"
  /** Reported in `session.isolation`. */
  readonly name: "pyodide-wasm" | "quickjs-wasm"
  /** `Boot.engine` and `Boot.variant`. */
  readonly engine: string
  readonly variant: string
  /** Folders that the guest process may read. */
  readonly folders: ReadonlyArray<string>
}

/** The lock stands on private parts of exactly this release. */
export const pyodideVersion = "314.0.7"

const require = Module.createRequire(import.meta.url)

const resolve = (specifier: string, install: string) =>
  Effect.try({
    try: () => require.resolve(specifier),
    catch: (cause) =>
      new Unavailable({ description: `a package is missing: \`npm install ${install}\` installs it`, cause })
  })

const python = Effect.gen(function* () {
  const install = `pyodide@${pyodideVersion}`
  const folder = Path.dirname(yield* resolve("pyodide/package.json", install))
  const version = yield* Effect.try({
    try: (): unknown => JSON.parse(Fs.readFileSync(Path.join(folder, "package.json"), "utf8")),
    catch: (cause) => new Unavailable({ description: `pyodide cannot be read: \`npm install ${install}\``, cause })
  })
  if (typeof version !== "object" || version === null || !("version" in version) || version.version !== pyodideVersion)
    return yield* Effect.fail(
      new Unavailable({
        description: `the sandbox's lock knows only pyodide ${pyodideVersion}: \`npm install ${install}\` installs it`
      })
    )
  const engine: Engine = {
    language: "python",
    name: "pyodide-wasm",
    engine: folder + Path.sep,
    variant: "",
    folders: [folder]
  }
  return engine
})

const javascript = Effect.gen(function* () {
  const install = "quickjs-emscripten-core@0.32.0 @jitl/quickjs-wasmfile-release-sync@0.32.0"
  const core = Path.dirname(yield* resolve("quickjs-emscripten-core", install))
  const variant = Path.dirname(yield* resolve("@jitl/quickjs-wasmfile-release-sync", install))
  const types = yield* Effect.try({
    try: () => Module.createRequire(Path.join(core, "index.mjs")).resolve("@jitl/quickjs-ffi-types"),
    catch: (cause) => new Unavailable({ description: `a package is missing: \`npm install ${install}\``, cause })
  })
  const engine: Engine = {
    language: "javascript",
    name: "quickjs-wasm",
    engine: Path.join(core, "index.mjs"),
    variant: Path.join(variant, "index.mjs"),
    folders: [core, variant, types].map((path) => packageFolder(path))
  }
  return engine
})

/** The folder with the package.json that `path` belongs to: Node reads it to learn the module's type. */
const packageFolder = (path: string): string => {
  const folder = Path.dirname(path)
  return folder === path || Fs.existsSync(Path.join(path, "package.json")) ? path : packageFolder(folder)
}

/** Finds the engine of a language. */
export const find = (language: Engine["language"]): Effect.Effect<Engine, Unavailable> =>
  language === "python" ? python : javascript
