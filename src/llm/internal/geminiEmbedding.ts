/**
 * Embeddings as the Gemini API takes and gives them: one request of many, answered in its order.
 *
 * https://ai.google.dev/api/embeddings, v1beta (2026-11).
 */
import type { Request } from "../Embedder.ts"
import { InvalidResponse, type Reason } from "../LlmError.ts"
import type { Usage } from "../Usage.ts"
import type { Decoded } from "./embedding.ts"
import { type Redact, reasonOfResponse } from "./gemini.ts"
import { count, parsed, record } from "./json.ts"
import { isReason } from "./transport.ts"
import { placed } from "./vectors.ts"

/** `models/{name}`, as each request of a batch names its model; tuned ones have a folder of their own. */
const pathOf = (model: string): string => (/^(models|tunedModels)\//.test(model) ? model : `models/${model}`)

/** `/models/gemini-embedding-001:batchEmbedContents` */
export const endpointOf = (request: Request, model: string): string => {
  const [folder = "", ...name] = pathOf(request.model ?? model).split("/")
  return `/${folder}/${encodeURIComponent(name.join("/"))}:batchEmbedContents`
}

const taskTypes = { query: "RETRIEVAL_QUERY", document: "RETRIEVAL_DOCUMENT" } as const

export const encode = (request: Request, model: string, inputs: ReadonlyArray<string>): string => {
  const { dimensions, extra, purpose } = request
  const common = {
    model: pathOf(request.model ?? model),
    taskType: purpose && taskTypes[purpose],
    outputDimensionality: dimensions,
    // The body has nothing but requests: what it could be merged into is each of them.
    ...extra
  }
  return JSON.stringify({ requests: inputs.map((text) => ({ content: { parts: [{ text }] }, ...common })) })
}

const noHeaders = { status: 200, headers: {} }

/** Reads a body with a 2xx status. */
export const decode = (body: string, inputs: number, redact: Redact): Decoded | Reason => {
  const invalid = (description: string): InvalidResponse =>
    new InvalidResponse({ description, excerpt: redact(body.slice(0, 2048)) })
  const raw = parsed(body)
  if (raw === undefined) return invalid("the body is not JSON")
  const root = record(raw)
  if (root?.error !== undefined && root.error !== null) return reasonOfResponse(noHeaders, body, 0, redact)
  const embeddings: unknown = root?.embeddings
  if (root === undefined || !Array.isArray(embeddings)) return invalid("the answer has no embeddings")
  const items = embeddings.map((embedding: unknown) => ({ index: undefined, value: record(embedding)?.values }))
  const vectors = placed(items, inputs)
  if (isReason(vectors)) return invalid(vectors.description)
  return { vectors, usage: toUsage(root.usageMetadata), model: undefined }
}

const toUsage = (value: unknown): Usage | undefined => {
  const usage = record(value)
  const inputTokens = count(usage?.promptTokenCount) ?? count(usage?.totalTokenCount)
  return inputTokens === undefined ? undefined : { inputTokens, outputTokens: 0 }
}
