/** Reads tasks from JSONL: our own form, and HumanEval's as it is (https://github.com/openai/human-eval). */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Task } from "../../agent/CodeAgent.ts"
import { type BadInput, badInput } from "./ending.ts"

/** One line that holds an object, or what is wrong with it. */
export interface Line {
  /** `file:line`, from 1. */
  readonly place: string
  readonly record: Result.Result<Fields, string>
}

type Fields = Readonly<Record<string, unknown>>

/** A task, with the fields of its line for whoever looks for more in it. */
export interface TaskLine {
  readonly place: string
  readonly task: Task
  readonly fields: Fields
}

export interface Tasks {
  readonly tasks: ReadonlyArray<TaskLine>
  /** What is wrong with the lines that hold no task, one sentence for each. */
  readonly problems: ReadonlyArray<string>
}

const Json = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))

/** The lines of a JSONL file; blank ones are skipped. */
export const readLines = (path: string): Effect.Effect<ReadonlyArray<Line>, BadInput, FileSystem.FileSystem> =>
  Effect.map(readText(path), (text) =>
    text
      .replace(/^\ufeff/, "")
      .split(/\r?\n/)
      .map((line, index) => ({ line, place: `${path}:${index + 1}` }))
      .filter(({ line }) => line.trim() !== "")
      .map(({ line, place }) => ({
        place,
        record: Result.mapError(Schema.decodeUnknownResult(Json)(line), () => "the line is not a JSON object")
      }))
  )

/** A file as text. */
export const readText = (path: string): Effect.Effect<string, BadInput, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path)).pipe(
    Effect.mapError((error) => badInput(`cannot read ${path}: ${why(error)}; check the path`))
  )

/** A file error in a few words. */
export const why = ({ reason }: PlatformError, missing = "there is no such file"): string => {
  switch (reason._tag) {
    case "NotFound":
      return missing
    case "PermissionDenied":
      return "permission denied"
    case "BadResource":
      return "it is no file but a directory"
    default:
      return reason.message.split("\n")[0] ?? reason._tag
  }
}

/** Reads all tasks of a file; the lines that hold none are named in `problems`. */
export const readTasks = Effect.fnUntraced(function* (
  path: string
): Effect.fn.Return<Tasks, BadInput, FileSystem.FileSystem> {
  const tasks: Array<TaskLine> = []
  const problems: Array<string> = []
  const places = new Map<string, string>()
  for (const { place, record } of yield* readLines(path)) {
    const task = Result.flatMap(record, toTask)
    if (Result.isFailure(record) || Result.isFailure(task)) {
      problems.push(`${place}: ${Result.isFailure(task) ? task.failure : "not a task"}`)
      continue
    }
    const { id } = task.success
    const earlier = places.get(id)
    if (earlier === undefined) {
      places.set(id, place)
      tasks.push({ place, task: task.success, fields: record.success })
    } else {
      problems.push(`${place}: the id ${JSON.stringify(id)} is used already in ${earlier}; give each task its own`)
    }
  }
  if (tasks.length === 0 && problems.length === 0)
    return yield* badInput(`${path} holds no tasks; add one JSON object a line`)
  return { tasks, problems }
})

const toTask = (fields: Fields): Result.Result<Task, string> =>
  "task_id" in fields || "entry_point" in fields ? fromHumanEval(fields) : fromOwn(fields)

const fromOwn = (fields: Fields): Result.Result<Task, string> =>
  Result.gen(function* () {
    const id = yield* text(fields, "id")
    const language = yield* text(fields, "language")
    if (language !== "python" && language !== "javascript")
      return yield* Result.fail(`the language ${JSON.stringify(language)} is not known; use "python" or "javascript"`)
    const prompt = yield* text(fields, "prompt")
    const entryPoint = yield* text(fields, "entryPoint")
    return { id, language, prompt, entryPoint, tests: yield* text(fields, "tests") }
  })

/** The program is the prompt and its completion, then the test, then the call of `check`. */
const fromHumanEval = (fields: Fields): Result.Result<Task, string> =>
  Result.gen(function* () {
    const id = yield* text(fields, "task_id")
    const prompt = yield* text(fields, "prompt")
    const entryPoint = yield* text(fields, "entry_point")
    const test = yield* text(fields, "test")
    return { id, language: "python", prompt, entryPoint, starter: prompt, tests: `${test}\n\ncheck(${entryPoint})\n` }
  })

const text = (fields: Fields, name: string): Result.Result<string, string> => {
  const value = fields[name]
  if (value === undefined) return Result.fail(`the field "${name}" is missing`)
  if (typeof value !== "string") return Result.fail(`the field "${name}" is not a text`)
  return value.trim() === "" ? Result.fail(`the ${name} is empty`) : Result.succeed(value)
}
