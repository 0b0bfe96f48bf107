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
  "test/promise/Sync.processes.test.ts",
  ...(hasPeers ? slowPeers : [])
]

export default defineConfig({
  plugins: [fences()],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/bench/node_modules/**", ...(hasPeers ? [] : ["test/bench/peers/**"]), ...onlyInSoak],
    env: {
      // Soaks run at a tenth here, and whole by `npm run soak`.
      SOAK_SCALE: "0.1",
      // Many tests start programs, which all compile the same sources: a third of their time without this.
      NODE_COMPILE_CACHE: fileURLToPath(new URL("node_modules/.cache/node", import.meta.url))
    },
    // What a passing test prints is noise.
    silent: "passed-only",
    // Most of the time is other processes: their starts, their waits. One worker on two cores would leave a core idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
