/** The architecture: five floors. A file imports its own folder and the floors below, never sideways, never up. */
import { readFileSync } from "node:fs"
import { posix } from "node:path"
import { describe, expect, it } from "vitest"
import { listFiles } from "./listFiles.ts"

interface Room {
  /** Folders of src that may be imported besides the own one. */
  readonly folders: ReadonlyArray<string>
  /** Modules and folders of Effect that may change in a minor release, without `effect/`. */
  readonly unstable: ReadonlyArray<string>
  /** Packages besides `effect`; `node:` stands for Node's own modules. */
  readonly packages: ReadonlyArray<string>
}

const wire = ["policy", "http"]
const rooms = ["llm", "sandbox", "vector", "work", "cluster"]
const hall = [...wire, ...rooms, "agent"]
const node = ["node:", "@effect/platform-node-shared"]

const table: Readonly<Record<string, Room>> = {
  // The circuit breaker and the rate limiter of Effect, inside Circuit and RateLimit.
  policy: { folders: [], unstable: ["persistence"], packages: [] },
  http: {
    folders: ["policy"],
    unstable: ["http", "encoding", "socket", "FileSystem", "PlatformError"],
    packages: ["undici", "node:"]
  },
  llm: { folders: wire, unstable: ["http", "ai", "encoding"], packages: ["node:"] },
  sandbox: {
    folders: wire,
    unstable: ["http", "ai", "process", "FileSystem", "PlatformError"],
    packages: [...node, "pyodide", "quickjs-emscripten-core", "@jitl/quickjs-wasmfile-release-sync"]
  },
  vector: { folders: wire, unstable: ["http", "ai", "sql"], packages: ["node:", "@effect/sql-pg"] },
  work: {
    folders: wire,
    // The reactivity is what a SqlClient of Effect is made with.
    unstable: ["persistence", "sql", "reactivity", "FileSystem", "PlatformError"],
    packages: ["node:"]
  },
  cluster: { folders: [...wire, "work"], unstable: ["cluster", "workflow", "sql"], packages: ["node:"] },
  agent: { folders: [...wire, ...rooms], unstable: ["ai"], packages: [] },
  // synckit alone carries `holdfast/sync`; `holdfast/promise` does not load it.
  promise: { folders: hall, unstable: ["http"], packages: ["synckit"] },
  testing: { folders: [...hall, "promise"], unstable: ["http", "ai", "testing", "TestSchema"], packages: ["node:"] },
  cli: {
    folders: [...hall, "testing"],
    unstable: ["http", "ai", "cli", "process", "FileSystem", "PlatformError", "Path", "Terminal", "Stdio"],
    packages: [...node, "chart.js", "cli-progress", "cli-table3"]
  },
  // src/index.ts, the table of contents
  "": { folders: [...hall, "promise", "testing"], unstable: [], packages: [] }
}

/** Root modules of Effect 4.1 that are marked unstable; its lower-case folders are unstable altogether. */
const unstableModules = new Set(
  "ExecutionPlan FileSystem Glob LayerMap LayerRef PartitionedSemaphore Path PlatformError Stdio Terminal".split(" ")
)

const importPattern =
  /^(?:import|export)\s[^;'"`()=]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\(\s*"([^"]+)"|\bimport\.meta\.resolve\(\s*"([^"]+)"/gm

/** What one file imports against the table. `path` is relative to src. */
const violations = (path: string, text: string): ReadonlyArray<string> => {
  const folder = path.includes("/") ? path.slice(0, path.indexOf("/")) : ""
  const room = table[folder]
  if (room === undefined) return [`${path}: the folder "${folder}" has no place in the table of floors`]
  return Array.from(text.matchAll(importPattern), ([, a, b, c, d]) => a ?? b ?? c ?? d ?? "").flatMap((specifier) => {
    const reason = refusal(room, folder, path, specifier)
    return reason === undefined ? [] : [`${path} imports ${specifier}: ${reason}`]
  })
}

const refusal = (room: Room, folder: string, path: string, specifier: string): string | undefined => {
  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(path), specifier)
    if (!specifier.endsWith(".ts")) return target === "../package.json" ? undefined : 'relative imports end in ".ts"'
    const other = target.includes("/") ? target.slice(0, target.indexOf("/")) : ""
    if (other === folder || room.folders.includes(other)) return undefined
    return `"${folder}" may import only ${["itself", ...room.folders].join(", ")}`
  }
  if (specifier === "effect") return 'import per module ("effect/Effect"), the barrel is slow to load'
  if (specifier.startsWith("effect/")) {
    const module = specifier.split("/")[1] ?? ""
    const unstable = unstableModules.has(module) || /^[a-z]/.test(module)
    return !unstable || room.unstable.includes(module) ? undefined : `unstable in Effect 4.1, not for "${folder}"`
  }
  const allowed = room.packages.some(
    (name) => specifier === name || specifier.startsWith(name.replace(/:?$/, (c) => c || "/"))
  )
  return allowed ? undefined : `"${folder}" does not use this package`
}

describe("layers", () => {
  it("lets each file import only its own folder and the floors below", () => {
    const found = listFiles("src", ".ts").flatMap((path) => violations(path.slice(4), readFileSync(path, "utf8")))
    expect(found).toEqual([])
  })

  it.each([
    ["policy/Retry.ts", 'import * as Llm from "../llm/Llm.ts"'],
    ["policy/Retry.ts", 'import type {\n  Llm\n} from "../llm/Llm.ts"'],
    ["policy/Retry.ts", 'import * as HttpClient from "effect/http/HttpClient"'],
    ["policy/Retry.ts", 'import * as FileSystem from "effect/FileSystem"'],
    ["policy/Retry.ts", 'import { readFile } from "node:fs/promises"'],
    ["policy/Retry.ts", 'import { Effect } from "effect"'],
    ["llm/Llm.ts", 'export * from "../sandbox/Sandbox.ts"'],
    ["llm/Llm.ts", 'const late = () => import("../agent/CodeAgent.ts")'],
    ["llm/internal/openai.ts", 'import { x } from "../../sandbox/internal/x.ts"'],
    ["promise/Client.ts", 'import "../cli/main.ts"'],
    ["promise/Client.ts", 'import "../testing/TestLlm.ts"'],
    ["http/EventStream.ts", 'import "./RetryAfter.js"'],
    ["llm/Llm.ts", 'import OpenAI from "openai"'],
    ["utils/retry.ts", ""]
  ])("refuses in %s: %s", (path, text) => {
    expect(violations(path, text)).toHaveLength(1)
  })

  it.each([
    [
      "llm/OpenAiLlm.ts",
      'import * as Policy from "../policy/Policy.ts"\nimport { decode } from "./internal/openai.ts"'
    ],
    ["cli/solve.ts", 'import * as TestLlm from "../testing/TestLlm.ts"'],
    ["testing/VirtualTime.ts", 'import type * as Client from "../promise/Client.ts"'],
    ["policy/Retry.ts", ' * import { Llm } from "holdfast/llm"\nimport * as Schedule from "effect/Schedule"'],
    ["cli/main.ts", 'import * as NodeRuntime from "@effect/platform-node-shared/NodeRuntime"'],
    ["index.ts", 'export * as Policy from "./policy/index.ts"']
  ])("allows in %s: %s", (path, text) => {
    expect(violations(path, text)).toEqual([])
  })
})
