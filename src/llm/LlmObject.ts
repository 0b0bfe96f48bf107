/**
 * An object from a model: its answer has to fit a schema, and is asked for again when it does not.
 *
 * ask with the schema → read JSON → decode → (it does not fit: say what is wrong, ask again) up to `maxAnswers`.
 */
import * as Effect from "effect/Effect"
import { parsed } from "./internal/json.ts"
import { checkName, type Shape, shapeOf, type Source } from "./internal/objectSchema.ts"
import { oneLine } from "../http/internal/oneLine.ts"
import { numbered, Totals } from "./internal/totals.ts"
import { type Answer, type Input, Llm, type Request, toRequest } from "./Llm.ts"
import { ContentFiltered, type LlmError, ObjectMismatch } from "./LlmError.ts"
import * as Message from "./Message.ts"

export type { Source } from "./internal/objectSchema.ts"

export interface Options {
  /** What the object is called, for the model: letters, digits, `_` and `-`. Default: `"answer"`. */
  readonly name?: string | undefined
  /** What the object is, for the model. Default: nothing is said. */
  readonly description?: string | undefined
  /**
   * Whether the schema is sent in the shape that providers follow to the letter, where it has one. A Schema of Effect
   * is rewritten for it: what may be left out becomes `null`, a record a list of pairs, a tuple an object. Default:
   * `true`, because then nearly every first answer fits. The value is the same either way, but where something may be
   * both left out and `null`: a `null` reads as left out then.
   */
  readonly strict?: boolean | undefined
  /** Answers that are tried, the first one included. Default: `3`; what two corrections do not mend, a third rarely does. */
  readonly maxAnswers?: number | undefined
}

/** The value, with the answer that it was read from. `usage`, `cost` and `attempts` are those of all answers together. */
export interface Result<A> extends Answer {
  readonly value: A
  /** How many answers it took. */
  readonly answers: number
}

/**
 * Asks the model in context for an object. Fails with `ObjectMismatch` when none of its answers fits, or when one is cut
 * off by `maxTokens`, and with `ContentFiltered` when the model refuses; the error has the usage, cost and attempts of all
 * answers. The model is told of the request's tools but may not use them: run `ToolLoop` first. Interrupting it aborts
 * the request. A source that tells no JSON Schema and a name that no provider takes are defects, a `TypeError`.
 */
export const generate = <A, R = never>(
  source: Source<A, R>,
  input: Input,
  options: Options = {}
): Effect.Effect<Result<A>, LlmError, Llm | R> =>
  Effect.withSpan(
    Effect.suspend(() => {
      const shape = shapeOf(source, options.strict ?? true)
      return new Asking(shape, first(toRequest(input), shape, options), options.maxAnswers ?? 3).next
    }),
    "LlmObject.generate"
  )

const first = (request: Request, { jsonSchema, strict }: Shape<unknown, unknown>, options: Options): Request => ({
  ...request,
  responseFormat: {
    type: "jsonSchema",
    schema: jsonSchema,
    strict: options.strict === false ? false : strict,
    name: checkName(options.name ?? "answer"),
    description: options.description
  },
  // Some providers want to see the tools that the messages speak of.
  ...(request.tools !== undefined && request.tools.length > 0 ? { toolChoice: "none" } : undefined)
})

/** The conversation with the model until an answer fits. */
class Asking<A, R> {
  private readonly totals = new Totals()
  private readonly shape: Shape<A, R>
  private readonly request: Request
  private readonly maxAnswers: number
  private messages: ReadonlyArray<Message.Message>

  constructor(shape: Shape<A, R>, request: Request, maxAnswers: number) {
    this.shape = shape
    this.request = request
    this.maxAnswers = maxAnswers
    this.messages = request.messages
  }

  readonly next: Effect.Effect<Result<A>, LlmError, Llm | R> = Effect.suspend(() => {
    const { messages, request, totals } = this
    const asked = Effect.flatMap(Llm, (llm) => llm.generateText(numbered({ ...request, messages }, totals.answers + 1)))
    return Effect.flatMap(Effect.mapError(asked, totals.failed), (answer) => {
      totals.add(answer)
      const refusal = refusalOf(answer)
      return refusal === undefined ? this.read(answer) : Effect.fail(totals.error(refusal, answer))
    })
  })

  private read(answer: Answer): Effect.Effect<Result<A>, LlmError, Llm | R> {
    const json = jsonOf(answer)
    if (json === undefined) return this.mismatch(answer, [noJson(answer)])
    return Effect.matchEffect(this.shape.decode(json), {
      onFailure: (issues) => this.mismatch(answer, issues),
      onSuccess: (value) => {
        const { answers, attempts, cost, usage } = this.totals
        return Effect.succeed({ ...answer, value, answers, attempts, cost, usage })
      }
    })
  }

  private mismatch(answer: Answer, issues: ReadonlyArray<string>): Effect.Effect<Result<A>, LlmError, Llm | R> {
    const { answers, usage } = this.totals
    const advice = adviceFor(answer)
    if (answers >= this.maxAnswers || advice !== undefined) {
      const mismatch = new ObjectMismatch({ issues, answers, usage, text: answer.text, advice })
      return Effect.fail(this.totals.error(mismatch, answer))
    }
    const correction = Message.user(`${corrections}\n${issues.map((issue) => `- ${issue}`).join("\n")}`)
    // Providers refuse a turn that says nothing.
    const said = answer.text.trim() === "" ? [] : [answer.message]
    this.messages = [...this.messages, ...said, correction]
    return this.next
  }
}

const corrections =
  "That does not fit the schema. Answer again with the whole JSON value, corrected, and with nothing else. What is wrong:"

const isCut = ({ finishReason }: Answer): boolean => finishReason === "length"

/** Where asking again does not help: it would be cut off again, and calls of tools cannot be answered here. */
const adviceFor = (answer: Answer): string | undefined => {
  if (isCut(answer)) return "raise `maxTokens`"
  return answer.toolCalls.length > 0 ? "run `ToolLoop` first" : undefined
}

const noJson = (answer: Answer): string => {
  const { text, toolCalls } = answer
  if (isCut(answer)) return "$: it was cut off by `maxTokens`"
  if (toolCalls.length > 0) return `$: it asks for ${toolCalls.map(({ name }) => name).join(", ")}`
  return text.trim() === "" ? "$: it is empty" : "$: it is not JSON"
}

/**
 * The JSON of an answer: its text as it is, or the one block of code in it. Any other text around JSON is not looked
 * through, because what is found there may be an example or a first thought. `undefined`: there is none.
 */
const jsonOf = (answer: Answer): unknown => {
  const plain = parsed(answer.text)
  const json = plain === undefined ? parsed(blockIn(answer.text)) : plain
  // Of what was cut off, only a bracket that closes shows that it is whole.
  return isCut(answer) && (typeof json !== "object" || json === null) ? undefined : json
}

/** The content of a text's only fence. JSON has no line that begins with one: its strings have no line ends. */
const blockIn = (text: string): string => {
  const [block, ...others] = text.matchAll(/^```[^\n`]*\n([^]*?)\n```[ \t]*$/gm)
  return block === undefined || others.length > 0 ? "" : (block[1] ?? "")
}

const refusalOf = ({ finishReason, refusal }: Answer): ContentFiltered | undefined => {
  if (refusal !== undefined && refusal !== "") return new ContentFiltered({ description: oneLine(refusal) })
  if (finishReason === "contentFilter") return new ContentFiltered({ description: "it filtered its answer" })
  return undefined
}
