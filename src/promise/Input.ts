/** What a model is asked, in the forms that a method takes it. */
import type { Request } from "../llm/Llm.ts"
import type { Message } from "../llm/Message.ts"
import { over } from "./internal/over.ts"
import type { CallOptions } from "./Options.ts"

/** A question, a conversation, or a whole request. */
export type Input = string | ReadonlyArray<Message> | Request

export interface GenerateOptions extends CallOptions, Omit<Request, "messages"> {}

/** The request of an input, with the options over what it says itself. */
export const toRequest = (input: Input, options: GenerateOptions = {}): Request => {
  const { priority: _priority, signal: _signal, tenant: _tenant, timeout: _timeout, ...rest } = options
  if (typeof input === "string") return { ...rest, messages: [{ role: "user", content: input }] }
  if (typeof input !== "object" || input === null) {
    throw new TypeError(`input: ${JSON.stringify(input) ?? typeof input} is no question, conversation or request`)
  }
  if ("messages" in input) return { ...input, ...over(input, rest), headers: { ...input.headers, ...rest.headers } }
  return { ...rest, messages: input }
}
