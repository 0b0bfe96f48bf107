/** What a wire format is to the call around it: pure functions, no I/O. */
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Redacted from "effect/Redacted"
import type { FinishReason, Request } from "../Llm.ts"
import type { Reason } from "../LlmError.ts"
import type { Native, ToolCall } from "../Message.ts"
import type { TokenAuth } from "../TokenAuth.ts"
import type { Usage } from "../Usage.ts"
import type { Decoder } from "./streaming.ts"

/** An answer as a wire format reads it. */
export interface Decoded {
  readonly text: string
  readonly reasoning?: string | undefined
  readonly refusal?: string | undefined
  readonly toolCalls: ReadonlyArray<ToolCall>
  /** The turn as it has to be given back. */
  readonly native?: Native | undefined
  readonly finishReason: FinishReason
  readonly usage: Usage
  readonly model: string | undefined
  /** The answer's own name, for providers that do not name their requests in a header. */
  readonly requestId?: string | undefined
  readonly raw: unknown
}

/** A decoder of a stream also knows what the finish event tells. */
export interface StreamDecoder extends Decoder {
  readonly finishReason: FinishReason | undefined
  readonly model: string | undefined
  readonly reasoning: string
  readonly refusal: string
  /** Complete when the stream is finished. */
  readonly toolCalls: ReadonlyArray<ToolCall>
  readonly native: Native | undefined
  readonly requestId?: string | undefined
}

/** An answer's beginning, to be continued. */
export interface Said {
  readonly text: string
  readonly reasoning: string
}

/** What one send adds to its request. */
export interface Sending {
  readonly stream: boolean
  /** The token in force, where the provider has short-lived ones. */
  readonly token?: Redacted.Redacted<string> | undefined
  /** The beginning that the answer goes on from. */
  readonly said?: Said | undefined
}

export interface Protocol {
  /** The name in errors. */
  readonly provider: string
  /** Whose slots are taken. */
  readonly key: string
  readonly model: string
  /** The bound of an answer whose request names none, where the protocol wants one. */
  readonly maxTokens?: number | undefined
  /** Why the provider cannot take this request; it is refused before it is sent. */
  readonly refusal: (request: Request) => string | undefined
  readonly encode: (request: Request, sending: Sending) => HttpClientRequest
  /** Reads a body with a 2xx status. */
  readonly decode: (body: string, request: Request) => Decoded | Reason
  /** Reads an answer with an error status. */
  readonly reasonOf: (response: HttpClientResponse, body: string, nowMillis: number) => Reason
  /** `said`: the beginning that the answer goes on from. */
  readonly decoder: (request: Request, said: Said | undefined) => StreamDecoder
  /** Removes known secrets from what a server says. */
  readonly redact: (text: string) => string
  /** Where tokens come from that are valid for a while only. */
  readonly auth?: TokenAuth | undefined
  /** The answer's beginning as the provider takes it back, to go on from. `undefined`: it documents no such thing. */
  readonly prefixOf?: ((text: string) => string) | undefined
}
