/** `holdfast solve tasks.jsonl`: a model writes code for each task, a sandbox runs it with the tests, many at once. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stdio from "effect/Stdio"
import * as CodeAgent from "../agent/CodeAgent.ts"
import type { Llm } from "../llm/Llm.ts"
import type { LlmError } from "../llm/LlmError.ts"
import type { Sandbox } from "../sandbox/Sandbox.ts"
import type { SandboxError } from "../sandbox/SandboxError.ts"
import type * as Fault from "../testing/Fault.ts"
import * as ReplayServer from "../testing/ReplayServer.ts"
import { findAnswers } from "./internal/answers.ts"
import { type BadInput, badInput, Ended } from "./internal/ending.ts"
import * as Endpoint from "./internal/endpoint.ts"
import * as Flags from "./internal/flags.ts"
import type { Floors } from "./internal/floors.ts"
import * as Offline from "./internal/offline.ts"
import { fromError, fromSolution, type Outcome } from "./internal/outcome.ts"
import * as Progress from "./internal/progress.ts"
import * as Results from "./internal/results.ts"
import { render } from "./internal/tables.ts"
import { readTasks, type TaskLine } from "./internal/tasks.ts"

interface Input extends Endpoint.Asked {
  readonly tasks: string
  readonly offline: boolean
  readonly answers: Option.Option<string>
  readonly faults: "on" | "off"
  readonly seed: number
  readonly concurrency: number
  readonly maxRounds: number
  readonly timeout: Duration.Duration
  readonly stream: Option.Option<"on" | "off" | "mixed">
  readonly limit: Option.Option<number>
  readonly out: Option.Option<string>
  readonly keepGoing: boolean
}

const input = {
  tasks: Argument.String("tasks.jsonl").pipe(
    Argument.withDescription("One task a line: id, language, prompt, entryPoint, tests; or HumanEval's format")
  ),
  ...Flags.endpoint,
  offline: Flag.Boolean("offline").pipe(
    Flag.withDescription("Ask a replay server on loopback that knows recorded answers: no key, no network"),
    Flag.withDefault(false)
  ),
  answers: Flag.String("answers").pipe(
    Flag.withMetavar("file|field"),
    Flag.withDescription("Offline: the recorded answers (default: tasks.answers.jsonl beside tasks.jsonl)"),
    Flag.optional
  ),
  faults: Flag.Literals("faults", ["on", "off"]).pipe(
    Flag.withDescription("Offline: let requests fail on purpose (default: on)"),
    Flag.withDefault("on")
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withDescription("Offline: which requests fail, and how (default: 1)"),
    Flag.withDefault(1)
  ),
  concurrency: Flags.count("concurrency", 1).pipe(
    Flag.withDescription("Tasks at once (default: 8)"),
    Flag.withDefault(8)
  ),
  maxRounds: Flags.count("max-rounds", 1).pipe(
    Flag.withDescription("Answers that are tried for each task (default: 3)"),
    Flag.withDefault(3)
  ),
  timeout: Flags.duration("timeout").pipe(
    Flag.withDescription("One run of solution and tests (default: 10s)"),
    Flag.withDefault(Duration.seconds(10))
  ),
  stream: Flag.Literals("stream", ["on", "off", "mixed"]).pipe(
    Flag.withDescription("Read answers as streams; mixed is every other task (default: on, and mixed offline)"),
    Flag.optional
  ),
  limit: Flags.count("limit", 1).pipe(Flag.withDescription("Only the first tasks"), Flag.optional),
  out: Flag.String("out").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("Add one JSON line for each task as it finishes, in order of completion"),
    Flag.optional
  ),
  keepGoing: Flag.Boolean("keep-going").pipe(
    Flag.withDescription("Skip lines that hold no task, and exit with 1"),
    Flag.withDefault(false)
  )
}

/** The command over these layers. */
export const solve = (
  floors: Floors
): Command.Command<
  "solve",
  Input,
  {},
  BadInput | Ended | LlmError | SandboxError,
  FileSystem.FileSystem | Stdio.Stdio
> =>
  Command.make("solve", input, (input) => Effect.scoped(run(floors, input))).pipe(
    Command.withDescription(
      "Solve programming tasks: a model writes code, a sandbox runs it with the tests, failures go back to the model. " +
        "Exit code 0: all passed, 1: some failed, 2: bad input."
    ),
    Command.withExamples([
      { command: "holdfast solve examples/tasks.jsonl --offline", description: "No key and no network" },
      {
        command: "holdfast solve tasks.jsonl --base-url http://127.0.0.1:11434/v1 --model qwen3 --out results.jsonl",
        description: "Any OpenAI-compatible server"
      }
    ])
  )

const run = Effect.fnUntraced(function* (floors: Floors, input: Input) {
  const { lines, skipped } = yield* chooseTasks(input)
  const save = yield* Results.open(input.out)
  const { layer, tally } = yield* input.offline ? offline(floors, input, lines) : online(floors, input)
  const startMillis = yield* Clock.currentTimeMillis
  const outcomes: Array<Outcome> = []
  const summary = Effect.gen(function* () {
    const durationMillis = (yield* Clock.currentTimeMillis) - startMillis
    const faults = tally === undefined ? undefined : yield* tally
    const out = Option.getOrUndefined(input.out)
    yield* Console.log(render({ outcomes, total: lines.length, durationMillis, faults, out }))
  })
  // Said whatever ends the run, interruption too: what is done is done.
  yield* solveAll(input, lines, (outcome) => {
    outcomes.push(outcome)
    return save(outcome)
  }).pipe(
    Effect.provide(layer),
    Effect.onExit(() => summary)
  )
  if (skipped > 0 || outcomes.some(({ passed }) => !passed)) return yield* new Ended({ exitCode: 1 })
})

const chooseTasks = Effect.fnUntraced(function* (input: Input) {
  const { problems, tasks } = yield* readTasks(input.tasks)
  const [first] = problems
  if (first !== undefined && !input.keepGoing)
    return yield* badInput(`${first} (or go on without such lines with --keep-going)`)
  yield* Effect.forEach(problems, (problem) => Console.error(`skipped ${problem}`), { discard: true })
  if (tasks.length === 0) return yield* badInput(`${input.tasks} holds no usable task`)
  const lines = Option.match(input.limit, { onNone: () => tasks, onSome: (limit) => tasks.slice(0, limit) })
  return { lines, skipped: problems.length }
})

interface Ground {
  readonly layer: Layer.Layer<Llm | Sandbox>
  readonly tally?: Effect.Effect<Fault.Tally> | undefined
}

const offline = Effect.fnUntraced(function* (
  floors: Floors,
  input: Input,
  lines: ReadonlyArray<TaskLine>
): Effect.fn.Return<Ground, BadInput, FileSystem.FileSystem | Scope.Scope> {
  if (Option.isSome(input.baseUrl) || Option.isSome(input.apiKeyEnv))
    return yield* badInput("--offline asks its own server; leave out --base-url and --api-key-env, or --offline")
  const recordings = yield* findAnswers(input.answers, input.tasks, lines)
  const answer = ReplayServer.recorded(recordings)
  const { endpoint, tally } = yield* Offline.start(answer, input.faults === "on" ? input.seed : undefined)
  const policy = { ...Offline.policy, maxConcurrency: input.concurrency }
  return { layer: Layer.merge(floors.llm(endpoint, policy), floors.sandbox(input.concurrency)), tally }
})

const online = Effect.fnUntraced(function* (floors: Floors, input: Input): Effect.fn.Return<Ground, BadInput> {
  if (Option.isSome(input.answers))
    return yield* badInput("--answers is for offline runs; add --offline or leave it out")
  const endpoint = yield* Endpoint.resolve(input)
  // More than the default: a long batch should ride out a minute of throttling.
  const policy = { retry: { retries: 5 }, maxConcurrency: input.concurrency }
  return { layer: Layer.merge(floors.llm(endpoint, policy), floors.sandbox(input.concurrency)) }
})

const solveAll = (
  input: Input,
  lines: ReadonlyArray<TaskLine>,
  done: Results.Save
): Effect.Effect<void, BadInput | LlmError | SandboxError, Llm | Sandbox | Stdio.Stdio> =>
  Effect.scoped(
    Effect.gen(function* () {
      const progress = yield* Progress.make(lines.length)
      const stream = Option.getOrElse(input.stream, () => (input.offline ? "mixed" : "on"))
      const options = { maxRounds: input.maxRounds, timeout: input.timeout, createTimeout: "2 minutes" } as const
      const solveOne = Effect.fnUntraced(function* ({ task }: TaskLine, index: number) {
        const isStream = stream === "on" || (stream === "mixed" && index % 2 === 0)
        const outcome = yield* toOutcome(task, { ...options, stream: isStream })
        // Together, so that what is counted is also in the file.
        yield* Effect.uninterruptible(Effect.andThen(done(outcome), progress.note(outcome)))
      })
      yield* Effect.forEach(lines, solveOne, { concurrency: input.concurrency, discard: true })
    })
  )

/** A task that fails is an outcome; what would fail all the others too ends the run. */
const toOutcome = Effect.fnUntraced(function* (task: CodeAgent.Task, options: CodeAgent.Options) {
  const startMillis = yield* Clock.currentTimeMillis
  return yield* CodeAgent.solve(task, options).pipe(
    Effect.map((solution) => fromSolution(task, solution)),
    Effect.catch((error) =>
      isForAll(error)
        ? Effect.fail(error)
        : Effect.map(Clock.currentTimeMillis, (now) => fromError(task, error, now - startMillis))
    )
  )
})

const isForAll = (error: LlmError | SandboxError): boolean =>
  ["Unauthorized", "QuotaExhausted", "Unavailable", "UnsupportedLanguage"].includes(error.code)
