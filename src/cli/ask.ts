/** `holdfast ask "question"`: asks a model and prints the answer as it comes. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { streamText } from "../llm/Llm.ts"
import type { LlmError } from "../llm/LlmError.ts"
import { type BadInput, badInput } from "./internal/ending.ts"
import * as Endpoint from "./internal/endpoint.ts"
import * as Flags from "./internal/flags.ts"
import type { Floors } from "./internal/floors.ts"
import * as Output from "./internal/output.ts"

interface Input extends Endpoint.Asked {
  readonly question: Option.Option<string>
}

const input = {
  question: Argument.String("question").pipe(
    Argument.withDescription("What to ask (default: standard input)"),
    Argument.optional
  ),
  ...Flags.endpoint
}

/** The command over these layers. */
export const ask = (floors: Floors): Command.Command<"ask", Input, {}, BadInput | LlmError, Stdio.Stdio> =>
  Command.make("ask", input, (input) => answer(floors, input)).pipe(
    Command.withDescription("Ask a model; the answer is printed as it comes."),
    Command.withExamples([
      { command: 'holdfast ask "Why is the sky blue?"', description: "A question" },
      { command: "git diff | holdfast ask --model some-model", description: "A question from a pipe" }
    ])
  )

const answer = Effect.fnUntraced(function* (floors: Floors, input: Input) {
  const question = Option.isSome(input.question) ? input.question.value : yield* readStdin
  if (question.trim() === "") return yield* badInput('the question is empty; say it as in holdfast ask "..."')
  const endpoint = yield* Endpoint.resolve(input)
  yield* streamText(question).pipe(
    Stream.runForEach((event) => {
      if (event.type === "text") return Output.stdout(event.text)
      return event.type === "finish" ? Output.stdout("\n") : Effect.void
    }),
    Effect.provide(floors.llm(endpoint, {}))
  )
})

const readStdin = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  if (yield* stdio.stdinIsTerminal) return yield* badInput('there is no question; say it as in holdfast ask "..."')
  return yield* Stream.mkString(Stream.decodeText(stdio.stdin)).pipe(
    Effect.mapError(() => badInput("standard input cannot be read"))
  )
})
