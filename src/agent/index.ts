/** Agents: rooms put together. */
export * as CodeAgent from "./CodeAgent.ts"
