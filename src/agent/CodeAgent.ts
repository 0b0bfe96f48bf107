/**
 * A model writes code, a sandbox runs it with tests, and a failure goes back to the model.
 *
 * ask → run → (failed: tell the model the truth, ask again) up to `maxRounds`.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { collect, collected, Llm, type Request } from "../llm/Llm.ts"
import type { LlmError } from "../llm/LlmError.ts"
import * as Message from "../llm/Message.ts"
import * as Usage from "../llm/Usage.ts"
import type { Attempt } from "../policy/Attempt.ts"
import { type Execution, type Language, runCode, type Sandbox } from "../sandbox/Sandbox.ts"
import type { SandboxError } from "../sandbox/SandboxError.ts"
import { codeOf, programOf } from "./internal/program.ts"
import * as Words from "./internal/words.ts"

/** A programming task with its proof. */
export interface Task {
  readonly id: string
  readonly language: Language
  readonly prompt: string
  /** The function or class that the tests use. */
  readonly entryPoint: string
  /** Code in the task's language that runs after the solution and raises when it is wrong. */
  readonly tests: string
  /** Code that an answer may continue, as HumanEval's signatures. An answer that defines the entry point replaces it. */
  readonly starter?: string | undefined
}

export interface Options {
  /** Answers that are tried, the first one included. Default: `3`. */
  readonly maxRounds?: number | undefined
  /** One run of solution and tests. Default: `"10 seconds"`. */
  readonly timeout?: Duration.Input | undefined
  /** The longest wait for a session. Default: `"30 seconds"`, the sandbox's own. */
  readonly createTimeout?: Duration.Input | undefined
  /** Read answers as streams: a stall is noticed sooner than in a whole answer. Default: `true`. */
  readonly stream?: boolean | undefined
  /**
   * New calls for one answer whose stream broke after content. The layer does not re-send such a call, because its
   * reader may have shown the beginning; the agent has shown nothing. Default: `2`.
   */
  readonly streamRetries?: number | undefined
  /** Default: the layer's model. */
  readonly model?: string | undefined
}

/** One answer, and what became of it. */
export interface Round {
  /** The code in the answer; empty when there was none. */
  readonly code: string
  /** Absent when nothing was run, or the guest was lost. */
  readonly execution?: Execution | undefined
  /** What the model is told about it. Absent when it passed. */
  readonly problem?: string | undefined
}

export interface Solution {
  readonly id: string
  readonly passed: boolean
  readonly rounds: ReadonlyArray<Round>
  readonly usage: Usage.Usage
  /** One entry for each request to the model, those of broken streams included. */
  readonly attempts: ReadonlyArray<Attempt>
  /** Streams that broke after content and were asked for again. */
  readonly brokenStreams: number
  readonly durationMillis: number
}

/** The model's part of a round. */
interface Reply {
  readonly text: string
  readonly usage: Usage.Usage
  readonly attempts: ReadonlyArray<Attempt>
}

/**
 * Solves one task. A program that fails, runs out of time or kills its guest is a failed round, and so is an answer
 * without code; a task that no round solved is a `Solution` with `passed: false`. Fails with `LlmError` when the model
 * cannot be asked and with `SandboxError` when no session can be had. Interruption aborts the request and kills the run.
 */
export const solve: (task: Task, options?: Options) => Effect.Effect<Solution, LlmError | SandboxError, Llm | Sandbox> =
  Effect.fn("CodeAgent.solve")(function* (task, options = {}) {
    const startMillis = yield* Clock.currentTimeMillis
    const messages: Array<Message.Message> = [
      Message.system(Words.instructions(task.language)),
      Message.user(Words.question(task.prompt, task.entryPoint))
    ]
    const rounds: Array<Round> = []
    const attempts: Array<Attempt> = []
    let usage = Usage.empty
    let brokenStreams = 0
    for (let left = options.maxRounds ?? 3; left > 0; left--) {
      const reply = yield* ask({ messages: [...messages], model: options.model }, options, (error) => {
        attempts.push(...error.attempts)
        brokenStreams++
      })
      attempts.push(...reply.attempts)
      usage = Usage.add(usage, reply.usage)
      const round = yield* tryOut(task, reply.text, options)
      rounds.push(round)
      if (round.problem === undefined) break
      messages.push(Message.assistant(reply.text), Message.user(round.problem))
    }
    const durationMillis = (yield* Clock.currentTimeMillis) - startMillis
    const passed = rounds.at(-1)?.problem === undefined && rounds.length > 0
    return { id: task.id, passed, rounds, usage, attempts, brokenStreams, durationMillis }
  })

const ask = (
  request: Request,
  options: Options,
  onBroken: (error: LlmError) => void
): Effect.Effect<Reply, LlmError, Llm> => {
  if (options.stream === false) return Effect.flatMap(Llm, (llm) => llm.generateText(request))
  const again = (left: number): Effect.Effect<Reply, LlmError, Llm> =>
    Effect.catch(readStream(request), (error) => {
      if (left <= 0 || !isBroken(error)) return Effect.fail(error)
      onBroken(error)
      return again(left - 1)
    })
  return again(options.streamRetries ?? 2)
}

const readStream = (request: Request): Effect.Effect<Reply, LlmError, Llm> =>
  Effect.map(
    Effect.flatMap(Llm, (llm) => Stream.runFold(llm.streamText(request), () => collected, collect)),
    ({ finish, text }): Reply => ({
      text,
      usage: finish?.usage ?? Usage.empty,
      attempts: finish?.attempts ?? []
    })
  )

/** Whether a stream broke after content: the layer cannot ask again, its reader can. */
const isBroken = ({ reason }: LlmError): boolean => {
  switch (reason._tag) {
    case "StreamStalled":
    case "StreamCut":
    case "StreamTruncated":
      return true
    case "InvalidResponse":
      return reason.delivered === true
    default:
      return false
  }
}

const tryOut = (task: Task, answer: string, options: Options): Effect.Effect<Round, SandboxError, Sandbox> => {
  const code = codeOf(answer, task)
  if (code.trim() === "") return Effect.succeed({ code: "", problem: Words.noCode })
  const timeout = options.timeout ?? "10 seconds"
  const { language } = task
  const run = runCode(programOf(code, task), { language, timeout, createTimeout: options.createTimeout })
  return run.pipe(
    Effect.map((execution): Round => {
      if (execution.outcome === "ok") return { code, execution }
      return { code, execution, problem: Words.report(execution, Duration.toMillis(timeout)) }
    }),
    Effect.catchIf(isProgramsFault, ({ reason }) => Effect.succeed({ code, problem: Words.lost(reason.message) }))
  )
}

/** Whether the program itself brought the error about: it killed its guest, or is too long to be run. */
const isProgramsFault = ({ reason }: SandboxError): boolean =>
  reason._tag === "SessionLost" || (reason._tag === "LimitExceeded" && reason.limit === "codeBytes")
