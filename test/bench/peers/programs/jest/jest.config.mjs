// A user needs none of this: it is for holdfast's sources, which are TypeScript. What is published is JavaScript.
export default {
  testMatch: ["**/*.jest.mjs"],
  testEnvironmentOptions: { customExportConditions: ["holdfast-source", "node", "import", "default"] },
  extensionsToTreatAsEsm: [".ts"],
  transform: { "\\.ts$": "./stripTypes.mjs" },
  haste: { enableSymlinks: false },
  watchman: false,
  cache: false
}
