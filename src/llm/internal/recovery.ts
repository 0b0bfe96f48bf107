/** What becomes of a stream that broke after content: which failures are taken up again, and how the pieces fit. */
import { isPolicyError } from "../../policy/PolicyError.ts"
import type { OnCut, StreamEvent } from "../Llm.ts"
import { type Reason, StreamCut, StreamStalled, StreamTruncated } from "../LlmError.ts"
import type * as Usage from "../Usage.ts"
import type { Protocol, Said, StreamDecoder } from "./protocol.ts"

/** What sends that broke have left to the next one. */
export interface Left {
  /** What the next send goes on from; absent when it begins again. */
  readonly said: Said | undefined
  /** What they have used. */
  readonly used: Usage.Usage | undefined
}

/** No send has broken yet. */
export const nothing: Left = { said: undefined, used: undefined }

/** What was said until now, with what the last send adds. */
export const joined = ({ said }: Left, decoder: Pick<StreamDecoder, "partial" | "reasoning">): Said =>
  said === undefined
    ? { text: decoder.partial, reasoning: decoder.reasoning }
    : { text: said.text + decoder.partial, reasoning: said.reasoning + decoder.reasoning }

/** Whether another send can mend this: the stream broke, or the server said in it that it cannot go on now. */
export const isRecoverable = (reason: Reason, onCut: OnCut | undefined): boolean => {
  if (onCut === undefined || onCut === "fail") return false
  switch (reason._tag) {
    case "StreamCut":
    case "StreamStalled":
    case "StreamTruncated":
    case "InvalidResponse":
    case "Overloaded":
    case "RateLimited":
    case "ServerError":
      return true
    default:
      return false
  }
}

/** Reasoning alone cannot be continued; it begins again. */
export const canContinue = (said: Said): boolean => said.text !== ""

/** The failure with the whole of what had arrived, where sends before it had said something. */
export const after = ({ said }: Left, reason: Reason): Reason => {
  if (said === undefined) return reason
  switch (reason._tag) {
    case "StreamCut":
      return new StreamCut({ ...reason, cause: reason.cause, partial: said.text + reason.partial })
    case "StreamStalled":
      return new StreamStalled({ ...reason, cause: reason.cause, partial: said.text + reason.partial })
    case "StreamTruncated":
      return new StreamTruncated({
        ...reason,
        cause: reason.cause,
        partial: said.text + reason.partial,
        delivered: true
      })
    default:
      return reason
  }
}

/** A break that could not be mended: itself, with why, unless the policy ended the call. */
export const broken = (reason: Reason, error: Reason): Reason => {
  if (error === reason || isPolicyError(error)) return error
  switch (reason._tag) {
    case "StreamCut":
      return new StreamCut({ ...reason, cause: error })
    case "StreamStalled":
      return new StreamStalled({ ...reason, cause: error })
    case "StreamTruncated":
      return new StreamTruncated({ ...reason, cause: error })
    default:
      return error
  }
}

/** The failure with what the call has used. */
export const using = (reason: Reason, usage: Usage.Usage): Reason => {
  switch (reason._tag) {
    case "StreamCut":
      return new StreamCut({ ...reason, cause: reason.cause, usage })
    case "StreamStalled":
      return new StreamStalled({ ...reason, cause: reason.cause, usage })
    case "StreamTruncated":
      return new StreamTruncated({ ...reason, cause: reason.cause, usage })
    default:
      return reason
  }
}

/**
 * The decoder of an answer that goes on from a beginning. Some providers take no blank at a beginning's end: what was
 * left off there may come again, and is not told twice.
 */
export const continued = (decoder: StreamDecoder, { prefixOf }: Protocol, { text }: Said): StreamDecoder => {
  const left = prefixOf === undefined ? "" : text.slice(prefixOf(text).length)
  return left === "" ? decoder : new Continued(decoder, left)
}

class Continued implements StreamDecoder {
  private readonly decoder: StreamDecoder
  /** What was left off the beginning and has not come again yet. */
  private left: string
  /** How much of the decoder's text is not told. */
  private dropped = 0
  constructor(decoder: StreamDecoder, left: string) {
    this.decoder = decoder
    this.left = left
  }
  push: StreamDecoder["push"] = (event, out) => {
    const said: Array<StreamEvent> = []
    this.decoder.push(event, said)
    for (const one of said) {
      if (one.type !== "text" || this.left === "") {
        out.push(one)
        continue
      }
      let at = 0
      while (at < one.text.length && at < this.left.length && one.text[at] === this.left[at]) at++
      this.dropped += at
      // It comes again in pieces, or something else comes.
      this.left = at === one.text.length ? this.left.slice(at) : ""
      if (at < one.text.length) out.push({ type: "text", text: one.text.slice(at) })
    }
  }
  get partial(): string {
    return this.decoder.partial.slice(this.dropped)
  }
  get isFinished(): boolean {
    return this.decoder.isFinished
  }
  get isDone(): boolean {
    return this.decoder.isDone
  }
  get usage(): Usage.Usage | undefined {
    return this.decoder.usage
  }
  get failure(): Reason | undefined {
    return this.decoder.failure
  }
  get progress(): number {
    return this.decoder.progress
  }
  get finishReason(): StreamDecoder["finishReason"] {
    return this.decoder.finishReason
  }
  get model(): string | undefined {
    return this.decoder.model
  }
  get reasoning(): string {
    return this.decoder.reasoning
  }
  get refusal(): string {
    return this.decoder.refusal
  }
  get toolCalls(): StreamDecoder["toolCalls"] {
    return this.decoder.toolCalls
  }
  get requestId(): string | undefined {
    return this.decoder.requestId
  }
  get native(): StreamDecoder["native"] {
    return this.decoder.native
  }
}
