/** Code sandboxes: one service, a layer for each kind of machine. */
export * as E2bSandbox from "./E2bSandbox.ts"
export * as LocalSandbox from "./LocalSandbox.ts"
export * as ProcessSandbox from "./ProcessSandbox.ts"
export * as RestSandbox from "./RestSandbox.ts"
export * as Sandbox from "./Sandbox.ts"
export * as SandboxError from "./SandboxError.ts"
export * as SandboxPool from "./SandboxPool.ts"
