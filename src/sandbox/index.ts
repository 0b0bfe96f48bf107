/** Code sandboxes: one service, a layer for each kind of machine. */
export * as LocalSandbox from "./LocalSandbox.ts"
export * as Sandbox from "./Sandbox.ts"
export * as SandboxError from "./SandboxError.ts"
