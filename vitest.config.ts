import { existsSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { fences } from "./test/repo/fences.ts"

// Tests import holdfast by its public names; this condition points the names at `src`.
const conditions = ["holdfast-source", "node", "import", "module", "default"]

// The official clients, against our fakes and beside ours, are installed by who wants them: a newcomer's install stays small.
const hasPeers = existsSync("test/bench/node_modules/openai")
if (!hasPeers)
  process.stderr.write("SKIPPED: test/bench/peers, the official clients; `npm ci` in test/bench brings them\n")

/** Servers that are slow to start. */
const slowPeers = ["vectorChroma", "vectorPostgres", "workQueuePostgres"].map(
  (name) => `test/bench/peers/${name}.test.ts`
)

/** Scripts that start and are ended by signals, a suite that LocalSandbox has run already: only the soak has time for them. */
export const onlyInSoak = [
  "test/soak/contract.test.ts",
  "test/sandbox/LocalSandbox.snapshot.test.ts",
  "test/promise/Sync.processes.test.ts",
  ...(hasPeers ? slowPeers : [])
]

const exclude = ["test/bench/node_modules/**", ...(hasPeers ? [] : ["test/bench/peers/**"]), ...onlyInSoak]

/** Their files share a worker, and with it what they import: most of the time of a small file is its imports. */
const sharing = ["agent", "conformance", "http", "llm", "policy", "vector"]

/** Of them, those that read a registry of the whole process. */
const alone = ["test/policy/Tracing.test.ts", "test/policy/metrics.test.ts"]

export const base = defineConfig({
  plugins: [fences()],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    env: {
      // Soaks run at a tenth here, and whole by `npm run soak`.
      SOAK_SCALE: process.env.SOAK_SCALE ?? "0.1",
      // Many tests start programs, which all compile the same sources: a third of their time without this.
      NODE_COMPILE_CACHE: fileURLToPath(new URL("node_modules/.cache/node", import.meta.url))
    },
    // What a passing test prints is noise.
    silent: "passed-only",
    // Most of the time is other processes: their starts, their waits. One worker on two cores would leave a core idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Thousands of tests share two cores with real processes: in CI one that loses a race is tried once more, and marked so.
    retry: process.env.CI === undefined ? 0 : 1,
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    projects: [
      {
        extends: true,
        test: {
          name: "processes",
          include: [`test/!(${sharing.join("|")})/**/*.test.ts`, ...alone],
          exclude
        }
      },
      {
        extends: true,
        test: {
          name: "calls",
          include: sharing.map((folder) => `test/${folder}/**/*.test.ts`),
          exclude: [...exclude, ...alone],
          isolate: false
        }
      }
    ]
  }
})
