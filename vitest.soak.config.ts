import { mergeConfig } from "vitest/config"
import tests, { onlyInSoak } from "./vitest.config.ts"

// The soaks at their whole size, one file after another: floods of calls, sessions and HumanEval.
const config = mergeConfig(tests, {
  test: { env: { SOAK_SCALE: "1" }, testTimeout: 900_000, fileParallelism: false }
})
config.test.include = ["test/soak/**/*.test.ts", ...onlyInSoak]
config.test.exclude = []

export default config
