/** Agents: rooms put together. */
export * as CodeAgent from "./CodeAgent.ts"
export * as SandboxToolkit from "./SandboxToolkit.ts"
