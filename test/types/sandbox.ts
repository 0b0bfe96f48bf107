/** Compiled, never run: what the types of sandboxes promise. */
import type { Effect, Layer, Scope } from "effect"
import { CodeAgent, SandboxToolkit } from "holdfast/agent"
import type { Llm, LlmError, ToolLoop } from "holdfast/llm"
import { LocalSandbox, Sandbox, type SandboxError, SandboxPool } from "holdfast/sandbox"
import { TestSandbox } from "holdfast/testing"
import { expectTypeOf } from "vitest"

// A session needs a scope, which ends it; a run in a session of its own needs none.
expectTypeOf(Sandbox.create()).toEqualTypeOf<
  Effect.Effect<Sandbox.Session, SandboxError.SandboxError, Sandbox.Sandbox | Scope.Scope>
>()
expectTypeOf(Sandbox.runCode("1")).toEqualTypeOf<
  Effect.Effect<Sandbox.Execution, SandboxError.SandboxError, Sandbox.Sandbox>
>()

// The embedded layer needs nothing and cannot fail to be built.
expectTypeOf(LocalSandbox.layer()).toEqualTypeOf<Layer.Layer<Sandbox.Sandbox>>()
expectTypeOf(TestSandbox.layer("")).toEqualTypeOf<Layer.Layer<Sandbox.Sandbox | TestSandbox.Journal>>()

// A pool is a sandbox over another one.
expectTypeOf(SandboxPool.layer({ min: 2, max: 8, classes: [{ language: "python" }] })).toEqualTypeOf<
  Layer.Layer<Sandbox.Sandbox, never, Sandbox.Sandbox>
>()
// @ts-expect-error whose a session is, is said when it is handed out
SandboxPool.layer({ classes: [{ userId: "u-1" }] })
// @ts-expect-error a time has a unit
SandboxPool.layer({ maxIdle: "10 fortnights" })

// A program that fails is a value: the outcome says how, and no other words exist for it.
expectTypeOf<Sandbox.Execution["outcome"]>().toEqualTypeOf<"ok" | "failed" | "timedOut" | "interrupted">()
expectTypeOf<Sandbox.Language>().toEqualTypeOf<"python" | "javascript" | "typescript" | "bash" | "r" | "java">()
// @ts-expect-error no such language
Sandbox.create({ language: "cobol" })
// @ts-expect-error no such language
LocalSandbox.layer({ languages: ["cobol"] })
// @ts-expect-error a time has a unit
Sandbox.runCode("1", { timeout: "10 fortnights" })

// The union of reasons is closed.
export const isMine = ({ reason }: SandboxError.SandboxError): boolean => {
  switch (reason._tag) {
    case "ExecutionFailed":
    case "ExecutionTimeout":
    case "UnsupportedLanguage":
    case "Unsupported":
    case "FileFailed":
    case "LimitExceeded":
    case "InvalidRequest":
      return true
    case "Unavailable":
    case "SessionLost":
    case "RateLimited":
    case "Overloaded":
    case "QuotaExhausted":
    case "Unauthorized":
    case "ServerError":
    case "Unreachable":
    case "ConnectionLost":
    case "InvalidResponse":
    case "BodyTooLarge":
    case "DeadlineExceeded":
    case "AttemptTimeout":
    case "Shed":
    case "Draining":
    case "CircuitOpen":
    case "BudgetExceeded":
      return false
  }
}

// The agent fails with the errors of its two rooms and with nothing else.
const task: CodeAgent.Task = { id: "1", language: "python", prompt: "p", entryPoint: "f", tests: "" }
expectTypeOf(CodeAgent.solve(task)).toEqualTypeOf<
  Effect.Effect<CodeAgent.Solution, LlmError.LlmError | SandboxError.SandboxError, Llm.Llm | Sandbox.Sandbox>
>()

// A session is tools of a model: of our own loop, and of effect/ai.
declare const session: Sandbox.Session
expectTypeOf(SandboxToolkit.tools(session)).toEqualTypeOf<ReadonlyArray<ToolLoop.Tool<SandboxError.SandboxError>>>()
expectTypeOf(SandboxToolkit.toolkit(session, { timeout: "10 seconds" })).toExtend<Effect.Effect<unknown>>()
// @ts-expect-error a time has a unit
SandboxToolkit.tools(session, { timeout: "soon" })
