import { mergeConfig } from "vitest/config"
import { base, onlyInSoak } from "./vitest.config.ts"

// The soaks at their whole size, one file after another: floods of calls, sessions and HumanEval.
const config = mergeConfig(base, {
  test: { env: { SOAK_SCALE: "1" }, testTimeout: 900_000, fileParallelism: false }
})
// What `npm test` runs a part of, outside of test/soak.
const parts = [
  "test/cli/doctor.test.ts",
  "test/cli/solve.test.ts",
  "test/repo/examples.test.ts",
  "test/sandbox/ProcessSandbox.test.ts",
  "test/sandbox/ProcessSandbox.hostile.test.ts"
]
config.test.include = ["test/soak/**/*.test.ts", ...parts, ...onlyInSoak]
config.test.exclude = []

export default config
