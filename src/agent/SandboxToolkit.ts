/**
 * A sandbox session as tools of a model: `run_code`, `read_file`, `write_file`, `list_files`, `reset`, and `run_command`
 * where there is a shell. Their descriptions and results say what is true of limits and of lost state.
 */
import type * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ToolLoop from "../llm/ToolLoop.ts"
import type { Language, Session } from "../sandbox/Sandbox.ts"
import type { SandboxError } from "../sandbox/SandboxError.ts"
import { Machine, type Told } from "./internal/machine.ts"
import * as MachineTools from "./internal/machineTools.ts"

/** How the tools work. Every option has a default. */
export interface Options {
  /** The language of code that names none. Default: the session's own. */
  readonly language?: Language | undefined
  /** One run or command, where the model does not say. Default: `"30 seconds"`. */
  readonly timeout?: Duration.Input | undefined
  /**
   * The longest that the model may say. Default: `"5 minutes"`, or `timeout` where that is longer; a test that takes longer
   * is mostly stuck.
   */
  readonly maxTimeout?: Duration.Input | undefined
  /**
   * The most letters of each part of a result: of stdout, of stderr, of a file. The head and the tail are kept. Default:
   * `20_000`, some 5 000 tokens.
   */
  readonly maxCharacters?: number | undefined
  /** What the model has to know beside, such as the packages that are installed. Default: nothing. */
  readonly notes?: string | undefined
}

/** The tools by their names. `run_command` is absent at run time where the session has no shell. */
export type Tools = Toolkit.ToolsByName<ReadonlyArray<MachineTools.Tools[keyof MachineTools.Tools]>>

const machineOf = (
  session: Session,
  { language = session.language, maxCharacters = 20_000, maxTimeout = "5 minutes", timeout = "30 seconds" }: Options
): Machine =>
  new Machine(() => Effect.succeed(session), {
    language,
    timeout: Duration.fromInputUnsafe(timeout),
    maxTimeout: Duration.fromInputUnsafe(maxTimeout),
    maxCharacters
  })

const textOf = (told: Effect.Effect<Told, SandboxError>): Effect.Effect<string, SandboxError> =>
  Effect.map(told, ({ text }) => text)

/** Whatever fails is told to the model: a toolkit has no place for it. */
const saidOf = (told: Effect.Effect<Told, SandboxError>): Effect.Effect<string> =>
  Effect.catch(textOf(told), (error) => Effect.succeed(`Error: ${error.reason.message}`))

/**
 * The session as a toolkit of effect/ai, with its handlers: `LanguageModel.generateText({ prompt, toolkit })`. A handler
 * never fails: what cannot be done is a result that begins with `Error:`. Interrupting a call stops its program.
 */
export const toolkit = (session: Session, options: Options = {}): Effect.Effect<Toolkit.WithHandler<Tools>> => {
  const machine = machineOf(session, options)
  const { run_command, ...tools } = MachineTools.make(session, machine.limits, options.notes)
  const every = Object.values({ ...tools, run_command })
  const handlers = Toolkit.make(...every).toHandlers({
    run_code: (input) => saidOf(machine.runCode(input)),
    run_command: (input) => saidOf(machine.runCommand(input)),
    read_file: (input) => saidOf(machine.readFile(input)),
    write_file: (input) => saidOf(machine.writeFile(input)),
    list_files: (input) => saidOf(machine.listFiles(input)),
    reset: () => saidOf(machine.reset())
  })
  const offered = Toolkit.make(...every.filter(({ name }) => session.hasShell || name !== "run_command"))
  return Effect.flatMap(handlers, (context) => Effect.provideContext(offered, context))
}

/**
 * The session as tools of `ToolLoop`. What the model can do better is a result; any other `SandboxError` is the tool's
 * failure, which goes where the loop's `onToolError` says. Interrupting the loop stops the program.
 */
export const tools = (session: Session, options: Options = {}): ReadonlyArray<ToolLoop.Tool<SandboxError>> => {
  const machine = machineOf(session, options)
  const { list_files, read_file, reset, run_code, run_command, write_file } = MachineTools.make(
    session,
    machine.limits,
    options.notes
  )
  // The run's own end comes first: it leaves the session as it was.
  const timeout = Duration.sum(machine.limits.maxTimeout, Duration.minutes(1))
  const told = <P extends Tool.Any["parametersSchema"]>(tool: {
    readonly name: string
    readonly description?: string | undefined
    readonly parametersSchema: P
  }) => ({ name: tool.name, description: tool.description ?? "", parameters: tool.parametersSchema, timeout })
  return [
    ToolLoop.tool({ ...told(run_code), run: (input) => textOf(machine.runCode(input)) }),
    ...(session.hasShell
      ? [ToolLoop.tool({ ...told(run_command), run: (input) => textOf(machine.runCommand(input)) })]
      : []),
    ToolLoop.tool({ ...told(read_file), run: (input) => textOf(machine.readFile(input)) }),
    ToolLoop.tool({ ...told(write_file), run: (input) => textOf(machine.writeFile(input)) }),
    ToolLoop.tool({ ...told(list_files), run: (input) => textOf(machine.listFiles(input)) }),
    ToolLoop.tool({
      name: reset.name,
      description: reset.description ?? "",
      timeout,
      run: () => textOf(machine.reset())
    })
  ]
}
