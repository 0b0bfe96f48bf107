/** Answers that make one result: what they used is told together, in the result as in the error. */
import type { Attempt } from "../../policy/Attempt.ts"
import type { Answer, Finish, Request } from "../Llm.ts"
import { LlmError, type Reason } from "../LlmError.ts"
import * as Usage from "../Usage.ts"

/** What is told of one answer. */
type Told = Pick<Answer | Finish, "usage" | "cost" | "attempts" | "requestId" | "servedBy" | "model">

export class Totals {
  usage: Usage.Usage = Usage.empty
  /** `undefined` as soon as one answer has no price: a part of the sum would look like the whole. */
  cost: number | undefined = 0
  attempts: ReadonlyArray<Attempt> = []
  answers = 0

  add({ attempts, cost, usage }: Pick<Told, "usage" | "cost" | "attempts">): void {
    this.usage = Usage.add(this.usage, usage)
    this.cost = this.cost === undefined || cost === undefined ? undefined : this.cost + cost
    this.attempts = [...this.attempts, ...attempts]
    this.answers++
  }

  /** The failure of the call after these answers, with what they used. */
  readonly failed = (error: LlmError): LlmError => {
    if (this.answers === 0) return error
    const { attempts, cost, headers, provider, reason, requestId, usage } = error
    return new LlmError({
      provider,
      reason,
      requestId,
      headers,
      attempts: [...this.attempts, ...attempts],
      usage: usage === undefined ? this.usage : Usage.add(this.usage, usage),
      cost:
        usage === undefined ? this.cost : cost === undefined || this.cost === undefined ? undefined : this.cost + cost
    })
  }

  /** Why the last of these answers will not do. */
  error(reason: Reason, last: Told): LlmError {
    const { attempts, cost, usage } = this
    return new LlmError({ provider: providerOf(last), reason, attempts, usage, cost, requestId: last.requestId })
  }
}

/** An endpoint is a provider's name and an address; an answer that was not sent for has none. */
const providerOf = ({ attempts, model, servedBy }: Told): string =>
  attempts.at(-1)?.endpoint.split(" ", 1)[0] ?? servedBy ?? model

/** The request for one of several answers. A key stands for one body: for another one it would get the first one's answer. */
export const numbered = (request: Request, answer: number): Request =>
  request.idempotencyKey === undefined || answer === 1
    ? request
    : { ...request, idempotencyKey: `${request.idempotencyKey}-${answer}` }
