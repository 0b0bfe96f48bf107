import { defineConfig } from "vitest/config"

// Tests import holdfast by its public names; this condition points the names at `src`.
export default defineConfig({
  resolve: { conditions: ["holdfast-source", "node", "import", "module", "default"] },
  ssr: { resolve: { conditions: ["holdfast-source", "node", "import", "module", "default"] } },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/bench/node_modules/**", "test/soak/**"],
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
