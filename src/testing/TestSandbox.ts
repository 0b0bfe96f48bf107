/**
 * A `Sandbox` that runs nothing: it answers with scripted executions and remembers what it was given. Works under
 * virtual time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import {
  type CreateOptions,
  type Execution,
  type ExecutionEvent,
  type Language,
  type RunOptions,
  Sandbox,
  type Session
} from "../sandbox/Sandbox.ts"
import { type Reason, SandboxError, SessionLost } from "../sandbox/SandboxError.ts"
import { type Script, take } from "./internal/script.ts"

/** One run, as the sandbox got it. */
export interface Run {
  readonly sessionId: string
  readonly code: string
  readonly language: Language
  readonly options: RunOptions
}

/** What the sandbox was given. */
export class Journal extends Context.Service<
  Journal,
  {
    readonly runs: Ref.Ref<ReadonlyArray<Run>>
    /** Sessions made so far. */
    readonly created: Ref.Ref<number>
    /** Sessions whose scope is still open. */
    readonly open: Ref.Ref<number>
  }
>()("holdfast/testing/TestSandbox/Journal") {}

/** How a run ends: what it printed, or an execution with any of its fields set. Default of each: a run that succeeds. */
export type Reply = string | Partial<Execution>

/** A failed run of a program that raised. */
export const raised = (name: string, value: string): Partial<Execution> => ({
  outcome: "failed",
  error: { name, value, traceback: `${name}: ${value}` },
  exitCode: 1
})

/** A `SandboxError` of this reason, for a script to fail with. */
export const failure = (reason: Reason): SandboxError => new SandboxError({ provider: "test", reason })

/**
 * A sandbox by script: one reply for every run, a sequence with a reply for each run, or a function of the run and its
 * number (from 1). A reply may be an Effect, to fail or to wait. A run past the end of a sequence fails with
 * `SessionLost`. `streamCode` emits the reply's output and then its end.
 */
export const layer = (script: Script<Run, Reply, SandboxError>): Layer.Layer<Sandbox | Journal> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const runs = yield* Ref.make<ReadonlyArray<Run>>([])
      const created = yield* Ref.make(0)
      const open = yield* Ref.make(0)
      const execute = Effect.fnUntraced(function* (run: Run) {
        const call = yield* Ref.modify(runs, (all) => [all.length + 1, [...all, run]])
        return complete(yield* take(script, run, call, exhausted))
      })
      const sandbox = Sandbox.of({
        create: (options = {}) =>
          Effect.acquireRelease(
            Effect.andThen(
              Ref.update(open, (n) => n + 1),
              Ref.updateAndGet(created, (n) => n + 1)
            ),
            () => Ref.update(open, (n) => n - 1)
          ).pipe(Effect.map((number) => makeSession(`test-${number}`, options, execute)))
      })
      return Context.make(Sandbox, sandbox).pipe(Context.add(Journal, { runs, created, open }))
    })
  )

const exhausted = (description: string): SandboxError =>
  failure(new SessionLost({ why: "protocol", description: `TestSandbox: ${description}` }))

const makeSession = (
  id: string,
  created: CreateOptions,
  execute: (run: Run) => Effect.Effect<Execution, SandboxError>
): Session => {
  const runCode: Session["runCode"] = (code, options = {}) =>
    execute({ sessionId: id, code, language: options.language ?? created.language ?? "python", options })
  return {
    id,
    userId: created.userId,
    languages: ["python", "javascript"],
    isolation: { engine: "test", process: "none", os: "none", network: "none" },
    runCode,
    streamCode: (code, options) =>
      Stream.unwrap(Effect.map(runCode(code, options), (execution) => Stream.fromIterable(eventsOf(execution))))
  }
}

const complete = (reply: Reply): Execution => ({
  outcome: "ok",
  stdout: typeof reply === "string" ? reply : "",
  stderr: "",
  results: [],
  exitCode: 0,
  durationMillis: 1,
  memoryBytes: 0,
  sessionState: "kept",
  truncated: false,
  ...(typeof reply === "string" ? {} : reply)
})

const eventsOf = (execution: Execution): Array<ExecutionEvent> => [
  ...(execution.stdout === "" ? [] : [{ type: "stdout" as const, text: execution.stdout }]),
  ...(execution.stderr === "" ? [] : [{ type: "stderr" as const, text: execution.stderr }]),
  ...execution.results.map((result) => ({ type: "result" as const, result })),
  { type: "done", execution }
]
