/** `holdfast run prog.py`: runs a program in the sandbox, with its output and its exit code. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { create, type Execution, type ExecutionEvent, type Language } from "../sandbox/Sandbox.ts"
import type { SandboxError } from "../sandbox/SandboxError.ts"
import { type BadInput, badInput, Ended } from "./internal/ending.ts"
import * as Flags from "./internal/flags.ts"
import type { Floors } from "./internal/floors.ts"
import * as Output from "./internal/output.ts"
import { readText } from "./internal/tasks.ts"

/** What the embedded sandbox runs. */
const languages = ["python", "javascript", "typescript"] as const

interface Input {
  readonly file: Option.Option<string>
  readonly code: Option.Option<string>
  readonly language: Option.Option<(typeof languages)[number]>
  readonly timeout: Duration.Duration
}

const input = {
  file: Argument.String("file").pipe(Argument.withDescription("A .py, .js, .mjs or .ts file"), Argument.optional),
  code: Flag.String("code").pipe(
    Flag.withAlias("c"),
    Flag.withDescription("The program itself; the value of its last expression is printed"),
    Flag.optional
  ),
  language: Flag.Literals("language", languages).pipe(
    Flag.withDescription("Default: by the file's name, and python for --code"),
    Flag.optional
  ),
  timeout: Flags.duration("timeout").pipe(
    Flag.withDescription("The program is stopped after this time, with exit code 124 (default: 30s)"),
    Flag.withDefault(Duration.seconds(30))
  )
}

/** The command over these layers. */
export const run = (
  floors: Floors
): Command.Command<"run", Input, {}, BadInput | Ended | SandboxError, FileSystem.FileSystem | Stdio.Stdio> =>
  Command.make("run", input, (input) => execute(floors, input)).pipe(
    Command.withDescription("Run a program in the sandbox; the exit code is the program's own."),
    Command.withExamples([
      { command: "holdfast run prog.py --timeout 5s", description: "A file" },
      { command: 'holdfast run -c "print(6 * 7)"', description: "A line of code" }
    ])
  )

const execute = Effect.fnUntraced(function* (floors: Floors, input: Input) {
  const { code, language } = yield* programOf(input)
  const execution = yield* Effect.gen(function* () {
    const session = yield* create({ language })
    let last: Execution | undefined
    yield* Stream.runForEach(session.streamCode(code, { timeout: input.timeout }), (event) => {
      if (event.type === "done") last = event.execution
      return show(event, Option.isSome(input.code))
    })
    return last
  }).pipe(Effect.scoped, Effect.provide(floors.sandbox(1)))
  if (execution?.outcome === "timedOut")
    yield* Console.error(`holdfast: the program was stopped after ${Duration.toSeconds(input.timeout)} s`)
  const exitCode = execution?.exitCode ?? 1
  if (exitCode !== 0) return yield* new Ended({ exitCode })
})

const programOf = Effect.fnUntraced(function* ({ file, code, language }: Input) {
  if (Option.isSome(code) && Option.isNone(file))
    return { code: code.value, language: Option.getOrElse(language, (): Language => "python") }
  if (Option.isNone(file) || Option.isSome(code))
    return yield* badInput("give either a file or --code; see holdfast run --help")
  const known = Option.getOrElse(language, () => languageOf(file.value))
  if (known === undefined)
    return yield* badInput(
      `the language of ${file.value} is not known by its name; add --language ${languages.join(" or ")}`
    )
  return { code: yield* readText(file.value), language: known }
})

const languageOf = (file: string): Language | undefined =>
  file.endsWith(".py")
    ? "python"
    : /\.[cm]?js$/.test(file)
      ? "javascript"
      : /\.[cm]?ts$/.test(file)
        ? "typescript"
        : undefined

const show = (event: ExecutionEvent, isLine: boolean): Effect.Effect<void, never, Stdio.Stdio> => {
  switch (event.type) {
    case "stdout":
      return Output.stdout(event.text)
    case "stderr":
      return Output.stderr(event.text)
    case "result":
      return isLine ? Output.stdout(`${event.result["text/plain"] ?? ""}\n`) : Effect.void
    case "done":
      return Output.stderr(unsaid(event.execution))
  }
}

/** The traceback, unless the program has printed it itself or has ended itself on purpose, as the language does it. */
const unsaid = ({ error, stderr }: Execution): string => {
  if (error === undefined || error.name === "SystemExit") return ""
  const traceback = error.traceback.trimEnd()
  return traceback === "" || stderr.includes(traceback) ? "" : `${traceback}\n`
}
