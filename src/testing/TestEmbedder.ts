/**
 * An `Embedder` without a model: its vectors are computed from the texts, or what a test tells it to give, and it
 * remembers what it was asked. Works under virtual time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { Embedder, type Embeddings, type Request, type Vector } from "../llm/Embedder.ts"
import { EmbedderError } from "../llm/EmbedderError.ts"
import { refusalOf } from "../llm/internal/embedding.ts"
import { InvalidRequest, type Reason } from "../llm/LlmError.ts"
import * as Usage from "../llm/Usage.ts"
import { type Script, take } from "./internal/script.ts"

/** What was asked, in order; calls that failed are in it too. */
export class Requests extends Context.Service<Requests, Ref.Ref<ReadonlyArray<Request>>>()(
  "holdfast/testing/TestEmbedder/Requests"
) {}

/** What one call gets: any of the fields set. Default of `vectors`: `vectorOf` each input. */
export type Reply = Partial<Embeddings>

/**
 * An embedder by script: one reply for every call, a sequence with a reply for each call, or a function of the request and
 * the call's number (from 1). A reply may be an Effect, to fail or to wait. A call past the end of a sequence fails with
 * `InvalidRequest`, and so does an empty text, as it does elsewhere. Default: the vectors that `vectorOf` makes.
 */
export const layer = (script: Script<Request, Reply, EmbedderError> = {}): Layer.Layer<Embedder | Requests> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const requests = yield* Ref.make<ReadonlyArray<Request>>([])
      const embed = Effect.fnUntraced(function* (request: Request) {
        const call = yield* Ref.modify(requests, (all) => [all.length + 1, [...all, request]])
        const refused = refusalOf(request)
        if (refused !== undefined) return yield* Effect.fail(failure(refused, nothing(request)))
        return complete(request, yield* take(script, request, call, (said) => exhausted(request, said)))
      })
      return Context.make(Embedder, Embedder.of({ embed })).pipe(Context.add(Requests, requests))
    })
  )

/** An `EmbedderError` of this reason, for a script to fail with. `vectors` are those that are finished, by their places. */
export const failure = (reason: Reason, vectors: ReadonlyArray<Vector | undefined> = []): EmbedderError => {
  const finished = vectors.filter((vector) => vector !== undefined).length
  return new EmbedderError({
    provider: "test",
    reason,
    attempts: [],
    inputs: vectors.length,
    finished,
    usage: Usage.empty,
    vectors
  })
}

const nothing = ({ inputs }: Request): ReadonlyArray<undefined> => inputs.map(() => undefined)

const exhausted = (request: Request, said: string): EmbedderError =>
  failure(new InvalidRequest({ description: `TestEmbedder: ${said}` }), nothing(request))

const complete = ({ dimensions, inputs, model = "test" }: Request, reply: Reply): Embeddings => {
  const inputTokens = inputs.reduce((sum, input) => sum + Math.ceil(input.length / 4), 0)
  const usage = { inputTokens, outputTokens: 0 }
  return { vectors: inputs.map((input) => vectorOf(input, dimensions)), usage, model, attempts: [], ...reply }
}

/**
 * A vector of length one by the letters of a text: what shares words and parts of words is near, what shares nothing is at
 * right angles, or nearly: by chance two texts share places of the vector. Default of `dimensions`: `256`, where the cosine
 * of two short texts without a common word is mostly below 0.1, and 0.4 where half of their words are common.
 */
export const vectorOf = (text: string, dimensions = 256): Vector => {
  const numbers = Array.from({ length: dimensions }, () => 0)
  for (const [feature, weight] of featuresOf(text)) {
    const hash = hashOf(feature)
    const place = (hash >>> 1) % dimensions
    numbers[place] = (numbers[place] ?? 0) + (hash % 2 === 0 ? weight : -weight)
  }
  const norm = Math.hypot(...numbers)
  return numbers.map((number) => Math.fround(norm === 0 ? Math.sqrt(1 / dimensions) : number / norm))
}

/** Words, the trigrams of each, and a trace of the whole, so that no two texts are the same. */
const featuresOf = (text: string): ReadonlyArray<readonly [feature: string, weight: number]> => {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  const trigrams = words.flatMap((word) => {
    const edged = `^${word}$`
    return Array.from({ length: edged.length - 2 }, (_, at) => edged.slice(at, at + 3))
  })
  return [
    ...words.map((word) => [`word ${word}`, 2] as const),
    ...trigrams.map((trigram) => [`part ${trigram}`, 1] as const),
    [`text ${text}`, 0.1]
  ]
}

/** FNV-1a with a last mixing (MurmurHash3's), since texts here are short and differ in their last letter. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
