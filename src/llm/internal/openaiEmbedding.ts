/**
 * Embeddings as OpenAI-compatible servers take and give them.
 *
 * https://platform.openai.com/docs/api-reference/embeddings (2026-11); variants of compatible servers as they were seen.
 */
import type { Request } from "../Embedder.ts"
import { InvalidResponse, type Reason } from "../LlmError.ts"
import type { Usage } from "../Usage.ts"
import type { Decoded } from "./embedding.ts"
import { count, parsed, record, records, text } from "./json.ts"
import { type Redact, reasonOfResponse } from "./openai.ts"
import { isReason } from "./transport.ts"
import { placed } from "./vectors.ts"

/** How vectors are asked for. What comes is read in either form. */
export type Encoding = "float" | "base64"

export const encode = (request: Request, model: string, encoding: Encoding, input: ReadonlyArray<string>): string =>
  JSON.stringify({
    model: request.model ?? model,
    input,
    // Said always: what a server does that is not told differs.
    encoding_format: encoding,
    dimensions: request.dimensions,
    ...request.extra
  })

const noHeaders = { status: 200, headers: {} }

/** Reads a body with a 2xx status. */
export const decode = (body: string, inputs: number, redact: Redact): Decoded | Reason => {
  const invalid = (description: string): InvalidResponse =>
    new InvalidResponse({ description, excerpt: redact(body.slice(0, 2048)) })
  const raw = parsed(body)
  if (raw === undefined) return invalid("the body is not JSON")
  const root = record(raw)
  if (root?.error !== undefined && root.error !== null) return reasonOfResponse(noHeaders, body, 0, redact)
  if (!Array.isArray(root?.data)) return invalid("the answer has no data")
  const items = records(root.data).map(({ embedding, index }) => ({
    // One that is no place is somebody's mistake, not an absent one.
    index: typeof index === "number" ? index : undefined,
    value: embedding
  }))
  const vectors = placed(items, inputs)
  if (isReason(vectors)) return invalid(vectors.description)
  return { vectors, usage: toUsage(root.usage), model: text(root.model) }
}

const toUsage = (value: unknown): Usage | undefined => {
  const usage = record(value)
  const inputTokens = count(usage?.prompt_tokens) ?? count(usage?.total_tokens)
  return inputTokens === undefined ? undefined : { inputTokens, outputTokens: 0 }
}
