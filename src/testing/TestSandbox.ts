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
import * as Scripted from "./internal/expectations.ts"

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

/** A reply for the runs that match: a text or a pattern is looked for in the code. */
export type Expectation = Scripted.Expectation<Run, Reply, SandboxError>

/** How runs end. */
export type Script = Scripted.Scripts<Run, Reply, SandboxError>

/** A scripted sandbox for a test without Effect. */
export interface TestSandbox {
  readonly layer: Layer.Layer<Sandbox | Journal>
  /** What was run so far, in order; it grows. */
  readonly runs: ReadonlyArray<Run>
}

/**
 * A sandbox by script: one reply for every run, a sequence with a reply for each run, a function of the run and its
 * number (from 1), or a list of `{ when, reply }`, of which the first that matches replies. A reply may be an Effect or
 * a promise, to wait, and a `SandboxError`, to fail. A run past the end of a sequence, and one that nothing matches,
 * fails with `SessionLost`, which says what came nearest. `streamCode` emits the reply's output and then its end.
 */
export const layer = (script: Script): Layer.Layer<Sandbox | Journal> => build(script, [])

/** The same sandbox, and what it ran as an array: for `fromLayer` in a test without Effect. */
export const make = (script: Script): TestSandbox => {
  const runs: Array<Run> = []
  return { layer: build(script, runs), runs }
}

const build = (script: Script, told: Array<Run>): Layer.Layer<Sandbox | Journal> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const runs = yield* Ref.make<ReadonlyArray<Run>>([])
      const created = yield* Ref.make(0)
      const open = yield* Ref.make(0)
      const replyTo = Scripted.reader(script, { textOf: (run: Run) => run.code, fail: unscripted })
      const execute = Effect.fnUntraced(function* (run: Run) {
        const call = yield* Ref.modify(runs, (all) => [all.length + 1, [...all, run]])
        told.push(run)
        return complete(yield* replyTo(run, call))
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

const unscripted = (description: string): SandboxError =>
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
