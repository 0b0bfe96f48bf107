/** Code sandboxes: one service, a layer for each kind of machine. */
export * as Sandbox from "./Sandbox.ts"
export * as SandboxError from "./SandboxError.ts"
