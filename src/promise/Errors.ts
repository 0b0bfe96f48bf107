/** The error classes that the promise client rejects with. `code` is the reason's tag, `reason` the whole of it. */
export { EmbedderError } from "../llm/EmbedderError.ts"
export { LlmError } from "../llm/LlmError.ts"
export { AttemptTimeout, BudgetExceeded, CircuitOpen, DeadlineExceeded, Draining, Shed } from "../policy/PolicyError.ts"
export { SandboxError } from "../sandbox/SandboxError.ts"
export { VectorError } from "../vector/VectorError.ts"
