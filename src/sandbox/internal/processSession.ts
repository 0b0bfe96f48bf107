/** A session on the system's interpreters: one thing at a time, and all of it over at its lifetime. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type {
  CommandEvent,
  CommandOptions,
  CommandResult,
  ContextOptions,
  Execution,
  ExecutionError,
  ExecutionEvent,
  MimeBundle,
  RunOptions,
  Session
} from "../Sandbox.ts"
import { Unsupported, type SandboxError } from "../SandboxError.ts"
import * as Idle from "./idle.ts"
import * as ProcessFiles from "./processFiles.ts"
import type { Event } from "./processGuest.ts"
import { fail, kernelOf, Machine, provider, type Parts } from "./processMachine.ts"
import { exitCode, outcome, type Ending } from "./processRun.ts"

/** What has been said so far. */
class Transcript {
  stdout = ""
  stderr = ""
  readonly results: Array<MimeBundle> = []
  private readonly tell: (event: Said) => void

  constructor(tell: (event: Said) => void) {
    this.tell = tell
  }

  readonly add = (event: Event): void => {
    if (event.t === "result") {
      this.results.push(event.result)
      this.tell({ type: "result", result: event.result })
    } else {
      this[event.stream] += event.text
      this.tell({ type: event.stream, text: event.text })
    }
  }
}

type Said = Exclude<ExecutionEvent, { readonly type: "done" }>
type Emit = (event: ExecutionEvent) => void

const errorOf = ({ end, stopped }: Ending, timeout: Duration.Duration): ExecutionError | undefined => {
  const traceback = end?.error?.traceback ?? ""
  if (stopped === "timedOut")
    return { name: "TimeoutError", value: `the program did not end within ${Duration.format(timeout)}`, traceback }
  if (stopped === "interrupted") return { name: "InterruptedError", value: "the program was interrupted", traceback }
  return end?.error
}

const coder = (machine: Machine) =>
  Effect.fnUntraced(function* (code: string, options: RunOptions, emit: Emit) {
    yield* machine.refuseLong(code)
    const context = yield* machine.find(options)
    const timeout = machine.timeout(options.timeout)
    return yield* machine.inTurn((stop) =>
      Effect.gen(function* () {
        const { language } = context
        const transcript = new Transcript(emit)
        const kernel = `${kernelOf(language)} ${context.id}`
        const run = {
          t: "run",
          kernel,
          language: kernelOf(language),
          code,
          isTyped: language === "typescript"
        } as const
        const where = { env: options.env ?? {}, cwd: machine.cwd(options.cwd, context.cwd) }
        const unstarted = yield* machine.start(run, stop)
        const { ending, durationMillis } =
          unstarted ??
          (yield* machine.attend(machine.guest.send({ ...run, ...where }, transcript.add), timeout, stop, false))
        const execution: Execution = {
          outcome: outcome(ending),
          stdout: transcript.stdout,
          stderr: transcript.stderr,
          results: transcript.results,
          error: errorOf(ending, timeout),
          exitCode: exitCode(ending),
          durationMillis,
          memoryBytes: machine.guest.heldBytes,
          sessionState: ending.end === undefined ? "lost" : "kept",
          truncated: ending.end?.truncated ?? false
        }
        emit({ type: "done", execution })
        return execution
      })
    )
  })

const commander = (machine: Machine) =>
  Effect.fnUntraced(function* (command: string, options: CommandOptions, emit: (event: CommandEvent) => void) {
    yield* machine.refuseLong(command)
    const timeout = machine.timeout(options.timeout)
    return yield* machine.inTurn((stop) =>
      Effect.gen(function* () {
        const transcript = new Transcript((event) => (event.type === "result" ? undefined : emit(event)))
        const { stdin, env = {} } = options
        const input = stdin === undefined ? undefined : Buffer.from(stdin).toString("base64")
        const ask = { t: "command", command, env, cwd: machine.cwd(options.cwd), stdin: input } as const
        const exchange = machine.guest.send(ask, transcript.add)
        const { ending, durationMillis } = yield* machine.attend(exchange, timeout, stop, true)
        const result: CommandResult = {
          outcome: outcome(ending),
          exitCode: exitCode(ending),
          stdout: transcript.stdout,
          stderr: transcript.stderr,
          durationMillis,
          truncated: ending.end?.truncated ?? false
        }
        emit({ type: "done", result })
        return result
      })
    )
  })

/** What `run` tells, as a stream. Unbounded, and bounded all the same: output and results have limits. */
const streamed = <Told>(run: (emit: (event: Told) => void) => Effect.Effect<unknown, SandboxError>) =>
  Stream.callback<Told, SandboxError>(
    (queue) =>
      run((event) => Queue.offerUnsafe(queue, event)).pipe(
        Effect.matchCauseEffect({
          onFailure: (cause) => Queue.failCause(queue, cause),
          onSuccess: () => Queue.end(queue)
        })
      ),
    { bufferSize: Number.POSITIVE_INFINITY }
  )

/** Boots a machine and kills it when the scope closes; `reset` puts another one in its place. */
const machineOf = Effect.fnUntraced(function* (parts: Parts) {
  const lock = yield* Semaphore.make(1)
  let machine: Machine | undefined
  const first = yield* Effect.acquireRelease(
    parts.boot,
    (guest) => machine?.close ?? guest.kill("closed", "its session was closed"),
    { interruptible: true }
  )
  machine = new Machine(parts, first, lock)
  yield* machine.warm
  return machine
})

const noShell = fail(
  new Unsupported({
    operation: "runCommand",
    description: "there is no bash: `apt-get install bash`, or name it in `bash`"
  })
)

/** Makes the session. */
export const make = Effect.fnUntraced(function* (parts: Parts): Effect.fn.Return<Session, SandboxError, Scope.Scope> {
  const machine = yield* machineOf(parts)
  const code = coder(machine)
  const command = commander(machine)
  const clock = yield* FiberHandle.make()
  const live = (lifetime: Duration.Duration) => {
    const end = `its lifetime of ${Duration.format(lifetime)} is over; extend sets it anew`
    const ending = Effect.suspend(() => machine.guest.kill("expired", end))
    return Effect.asVoid(FiberHandle.run(clock, Effect.andThen(Idle.after(lifetime), ending)))
  }
  yield* live(parts.lifetime)

  const reset = Effect.suspend(() => machine.guest.kill("closed", "the session was reset")).pipe(
    Effect.andThen(machine.lock.withPermit(Effect.andThen(machine.renew, machine.warm))),
    Effect.andThen(live(parts.lifetime)),
    Effect.withSpan("ProcessSandbox.reset")
  )

  const { id, userId, languages, isolation, hasShell, fileCount, transferBytes } = parts
  return {
    id,
    userId,
    language: parts.language,
    languages,
    isolation,
    hasShell,
    runCode: Effect.fn("ProcessSandbox.runCode")((text: string, options: RunOptions = {}) =>
      code(text, options, () => undefined)
    ),
    streamCode: (text, options = {}) => streamed<ExecutionEvent>((emit) => code(text, options, emit)),
    runCommand: Effect.fn("ProcessSandbox.runCommand")((line: string, options: CommandOptions = {}) =>
      hasShell ? command(line, options, () => undefined) : Effect.fail(noShell)
    ),
    streamCommand: (line, options = {}) =>
      hasShell ? streamed<CommandEvent>((emit) => command(line, options, emit)) : Stream.fail(noShell),
    files: ProcessFiles.make({ provider, guest: () => machine.guest, transferBytes, fileCount }),
    createContext: Effect.fn("ProcessSandbox.createContext")((options: ContextOptions = {}) =>
      machine.createContext(options.language ?? parts.language, options.cwd)
    ),
    interrupt: machine.interrupt,
    reset,
    extend: (lifetime) =>
      Effect.suspend(() =>
        machine.guest.loss === undefined
          ? live(Duration.fromInputUnsafe(lifetime))
          : Effect.fail(fail(machine.guest.loss))
      )
  }
})
