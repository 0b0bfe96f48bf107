/** Finds the recorded answers of an offline run. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Recording } from "../../testing/ReplayServer.ts"
import { type BadInput, badInput } from "./ending.ts"
import { readLines, type TaskLine } from "./tasks.ts"

/**
 * The answers to these tasks: from the file or the field of each task that `--answers` names, by default from the file
 * beside the tasks, `tasks.answers.jsonl` for `tasks.jsonl`. A field may hold one text or an array of them.
 */
export const findAnswers = Effect.fnUntraced(function* (
  answers: Option.Option<string>,
  tasksPath: string,
  tasks: ReadonlyArray<TaskLine>
): Effect.fn.Return<ReadonlyArray<Recording>, BadInput, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const named = Option.getOrElse(answers, () => beside(tasksPath))
  const isFile = yield* Effect.orElseSucceed(fs.exists(named), () => false)
  if (isFile) return yield* fromFile(named, tasks)
  if (Option.isSome(answers) && tasks.some(({ fields }) => named in fields)) return yield* fromField(named, tasks)
  return yield* badInput(
    Option.isSome(answers)
      ? `--answers ${JSON.stringify(named)} is neither a file nor a field of the tasks in ${tasksPath}`
      : `there are no recorded answers: ${named} does not exist; name a file or a field of the tasks with --answers`
  )
})

const beside = (tasksPath: string): string => `${tasksPath.replace(/\.jsonl$/, "")}.answers.jsonl`

const fromFile = Effect.fnUntraced(function* (path: string, tasks: ReadonlyArray<TaskLine>) {
  const byId = new Map<string, ReadonlyArray<string>>()
  for (const { place, record } of yield* readLines(path)) {
    const id = Result.isSuccess(record) ? record.success["id"] : undefined
    const answers = Result.isSuccess(record) ? textsOf(record.success["answers"]) : []
    if (typeof id !== "string" || answers.length === 0)
      return yield* badInput(`${place}: not a recorded answer; expected {"id": "...", "answers": ["..."]}`)
    byId.set(id, answers)
  }
  return yield* Effect.forEach(tasks, ({ place, task }) => {
    const answers = byId.get(task.id)
    return answers === undefined
      ? Effect.fail(badInput(`${place}: ${path} has no answers for the id ${JSON.stringify(task.id)}`))
      : Effect.succeed({ prompt: task.prompt, answers })
  })
})

const fromField = (name: string, tasks: ReadonlyArray<TaskLine>) =>
  Effect.forEach(tasks, ({ place, task, fields }) => {
    const answers = textsOf(fields[name])
    return answers.length === 0
      ? Effect.fail(badInput(`${place}: the field ${JSON.stringify(name)} holds no answer`))
      : Effect.succeed({ prompt: task.prompt, answers })
  })

const textsOf = (value: unknown): ReadonlyArray<string> => {
  const values: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
  return values.filter((item) => typeof item === "string")
}
