/** The reasons of an `LlmError` that come after answers: the provider did its part, and the answer is not what was needed. */
import * as Data from "effect/Data"
import type { Retryable } from "../policy/Retryable.ts"
import type { Message } from "./Message.ts"
import type { Usage } from "./Usage.ts"

/** No answer fitted the schema, the ones that were asked for again included. */
export class ObjectMismatch
  extends Data.TaggedError("ObjectMismatch")<{
    /** What is wrong with the last answer, one line each, beginning with the path. */
    readonly issues: ReadonlyArray<string>
    /** How many answers there were. */
    readonly answers: number
    /** Of all answers together. */
    readonly usage: Usage
    /** What to do about it. Default: to raise `maxAnswers` or to simplify the schema. */
    readonly advice?: string | undefined
  }>
  implements Retryable
{
  /** The last answer as the model wrote it. Not enumerable: it stays out of logs that print errors. */
  declare readonly text: string
  constructor(args: {
    readonly issues: ReadonlyArray<string>
    readonly answers: number
    readonly usage: Usage
    readonly text: string
    readonly advice?: string | undefined
  }) {
    const { text, ...rest } = args
    super(rest)
    Object.defineProperty(this, "text", { value: text, enumerable: false })
  }
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    const { advice = "raise `maxAnswers` or simplify the schema", answers, issues } = this
    const [first = "it does not fit the schema"] = issues
    const more = issues.length > 1 ? `, and ${issues.length - 1} more` : ""
    const count = answers === 1 ? "1 answer" : `${answers} answers`
    return `no object in ${count} (${first}${more}); \`text\` has the last one, ${advice}`
  }
}

/** The model still asked for tools when the rounds that it had were used up. */
export class RoundsExceeded
  extends Data.TaggedError("RoundsExceeded")<{
    readonly maxRounds: number
    /** The tools that it asked for last. */
    readonly tools: ReadonlyArray<string>
    /** Of all rounds together. */
    readonly usage: Usage
  }>
  implements Retryable
{
  /**
   * The conversation with all results, without the last answer, whose calls were not run: what has been done is not lost,
   * `ToolLoop.run(tools, { messages })` goes on from there. Not enumerable: it stays out of logs that print errors.
   */
  declare readonly messages: ReadonlyArray<Message>
  constructor(args: {
    readonly maxRounds: number
    readonly tools: ReadonlyArray<string>
    readonly usage: Usage
    readonly messages?: ReadonlyArray<Message> | undefined
  }) {
    const { messages = [], ...rest } = args
    super(rest)
    Object.defineProperty(this, "messages", { value: messages, enumerable: false })
  }
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the model still asks for ${this.tools.join(", ")} after ${this.maxRounds} rounds; raise \`maxRounds\` or ask for less`
  }
}
