/**
 * A `Sandbox` that runs nothing: it answers with scripted executions and remembers what it was given. Its files are kept
 * in memory; its timeouts, interruptions and lifetimes end what a script lets wait. Works under virtual time.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import {
  type CommandResult,
  type Context as RunContext,
  type Execution,
  type Language,
  Sandbox
} from "../sandbox/Sandbox.ts"
import { type Reason, SandboxError, SessionLost } from "../sandbox/SandboxError.ts"
import * as Scripted from "./internal/expectations.ts"
import {
  type Command,
  type Means,
  type Run,
  ScriptedSession,
  type Script as SessionScript
} from "./internal/scriptedSession.ts"

export type { Command, Means, Run }

/** A run as a script sees it: with what its program can do before it ends. */
export interface Program extends Run, Means {}

/** A command as a script sees it. */
export interface CommandProgram extends Command, Means {}

/** What the sandbox was given. */
export class Journal extends Context.Service<
  Journal,
  {
    readonly runs: Ref.Ref<ReadonlyArray<Run>>
    readonly commands: Ref.Ref<ReadonlyArray<Command>>
    /** Contexts that were made, each with its session. */
    readonly contexts: Ref.Ref<ReadonlyArray<RunContext & { readonly sessionId: string }>>
    /** The session of each interrupt, whether or not something ran. */
    readonly interrupts: Ref.Ref<ReadonlyArray<string>>
    /** The session of each reset. */
    readonly resets: Ref.Ref<ReadonlyArray<string>>
    readonly extensions: Ref.Ref<ReadonlyArray<{ readonly sessionId: string; readonly lifetime: Duration.Duration }>>
    /** Sessions made so far. */
    readonly created: Ref.Ref<number>
    /** Sessions whose scope is still open. */
    readonly open: Ref.Ref<number>
  }
>()("holdfast/testing/TestSandbox/Journal") {}

/** How a run ends: what it printed, or an execution with any of its fields set. Default of each: a run that succeeds. */
export type Reply = string | Partial<Execution>

/** How a command ends, likewise. */
export type CommandReply = string | Partial<CommandResult>

/** A failed run of a program that raised. */
export const raised = (name: string, value: string): Partial<Execution> => ({
  outcome: "failed",
  error: { name, value, traceback: `${name}: ${value}` },
  exitCode: 1
})

/** A `SandboxError` of this reason, for a script to fail with. */
export const failure = (reason: Reason): SandboxError => new SandboxError({ provider: "test", reason })

/** A reply for the runs that match: a text or a pattern is looked for in the code. */
export type Expectation = Scripted.Expectation<Program, Reply, SandboxError>

/** How runs end. */
export type Script = Scripted.Scripts<Program, Reply, SandboxError>

/** How commands end. */
export type CommandScript = Scripted.Scripts<CommandProgram, CommandReply, SandboxError>

export interface Options {
  /** The languages of each session. Default: `["python", "javascript"]`. */
  readonly languages?: ReadonlyArray<Language> | undefined
  /** How commands end. Default: there is no shell. */
  readonly commands?: CommandScript | undefined
  /** What each session's files are at first, by path. Default: none. */
  readonly files?: Readonly<Record<string, string | Uint8Array>> | undefined
}

/** A scripted sandbox for a test without Effect. */
export interface TestSandbox {
  readonly layer: Layer.Layer<Sandbox | Journal>
  /** What was run so far, in order; it grows. */
  readonly runs: ReadonlyArray<Run>
  /** The commands so far, in order; it grows. */
  readonly commands: ReadonlyArray<Command>
}

/**
 * A sandbox by script: one reply for every run, a sequence with a reply for each run, a function of the run and its
 * number (from 1), or a list of `{ when, reply }`, of which the first that matches replies. A reply may be an Effect or
 * a promise, to wait, and a `SandboxError`, to fail. A run past the end of a sequence, and one that nothing matches,
 * fails with `SessionLost`, which says what came nearest. `streamCode` emits the reply's output and then its end; a
 * script's function that prints (`run.print`) emits before. `options.commands` scripts commands in the same way.
 */
export const layer = (script: Script, options: Options = {}): Layer.Layer<Sandbox | Journal> =>
  build(script, options, { runs: [], commands: [] })

/** The same sandbox, and what it ran as arrays: for `fromLayer` in a test without Effect. */
export const make = (script: Script, options: Options = {}): TestSandbox => {
  const told = { runs: new Array<Run>(), commands: new Array<Command>() }
  return { layer: build(script, options, told), ...told }
}

interface Told {
  readonly runs: Array<Run>
  readonly commands: Array<Command>
}

const build = (script: Script, options: Options, told: Told): Layer.Layer<Sandbox | Journal> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const journal = yield* makeJournal
      const { created, open } = journal
      const parts: SessionScript = {
        languages: options.languages ?? ["python", "javascript"],
        files: options.files ?? {},
        run: runner(script, journal, told),
        command: options.commands === undefined ? undefined : commander(options.commands, journal, told),
        onContext: (sessionId, context) => add(journal.contexts, { ...context, sessionId }),
        onInterrupt: (sessionId) => add(journal.interrupts, sessionId),
        onReset: (sessionId) => add(journal.resets, sessionId),
        onExtend: (sessionId, lifetime) => add(journal.extensions, { sessionId, lifetime })
      }
      const counted = Effect.acquireRelease(
        Effect.andThen(
          Ref.update(open, (n) => n + 1),
          Ref.updateAndGet(created, (n) => n + 1)
        ),
        () => Ref.update(open, (n) => n - 1)
      )
      const sandbox = Sandbox.of({
        create: (created = {}) =>
          Effect.flatMap(counted, (number) => ScriptedSession.make(`test-${number}`, created, parts))
      })
      return Context.make(Sandbox, sandbox).pipe(Context.add(Journal, journal))
    })
  )

const add = <A>(list: Ref.Ref<ReadonlyArray<A>>, one: A): Effect.Effect<void> =>
  Ref.update(list, (all) => [...all, one])

const makeJournal: Effect.Effect<Journal["Service"]> = Effect.gen(function* () {
  return {
    runs: yield* Ref.make<ReadonlyArray<Run>>([]),
    commands: yield* Ref.make<ReadonlyArray<Command>>([]),
    contexts: yield* Ref.make<ReadonlyArray<RunContext & { readonly sessionId: string }>>([]),
    interrupts: yield* Ref.make<ReadonlyArray<string>>([]),
    resets: yield* Ref.make<ReadonlyArray<string>>([]),
    extensions: yield* Ref.make<ReadonlyArray<{ readonly sessionId: string; readonly lifetime: Duration.Duration }>>(
      []
    ),
    created: yield* Ref.make(0),
    open: yield* Ref.make(0)
  }
})

const runner = (script: Script, { runs }: Journal["Service"], told: Told): SessionScript["run"] => {
  const replyTo = Scripted.reader(script, { textOf: (run: Program) => run.code, fail: unscripted })
  return Effect.fnUntraced(function* (run, means) {
    const call = yield* Ref.modify(runs, (all) => [all.length + 1, [...all, run]])
    told.runs.push(run)
    const reply = yield* replyTo({ ...run, ...means }, call)
    return typeof reply === "string" ? { stdout: reply } : reply
  })
}

const commander = (script: CommandScript, { commands }: Journal["Service"], told: Told): SessionScript["command"] => {
  const replyTo = Scripted.reader(script, { textOf: (run: CommandProgram) => run.command, fail: unscripted })
  return Effect.fnUntraced(function* (command, means) {
    const call = yield* Ref.modify(commands, (all) => [all.length + 1, [...all, command]])
    told.commands.push(command)
    const reply = yield* replyTo({ ...command, ...means }, call)
    return typeof reply === "string" ? { stdout: reply } : reply
  })
}

const unscripted = (description: string): SandboxError =>
  failure(new SessionLost({ why: "protocol", description: `TestSandbox: ${description}` }))
