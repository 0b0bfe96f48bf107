/** Services that need not know of times themselves, as a double in a test does not: who takes longer than a call may is interrupted. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Embedder, Request } from "../../llm/Embedder.ts"
import { EmbedderError } from "../../llm/EmbedderError.ts"
import { Llm } from "../../llm/Llm.ts"
import * as Usage from "../../llm/Usage.ts"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import { graceMillis, inTime, leftOf, streamInTime } from "./inTime.ts"

/** The same model. */
export const timedLlm = ({ generateText, streamText }: Llm["Service"]): Llm["Service"] => {
  const llm: Llm["Service"] = {
    generateText: (request) => Effect.provideService(inTime(generateText(request), "generateText"), Llm, llm),
    streamText: (request) => Stream.provideService(streamInTime(streamText(request), "streamText"), Llm, llm)
  }
  return llm
}

/** What was finished is not known of an embedder that is interrupted. */
const late = ({ inputs }: Request, totalMillis: number): EmbedderError =>
  new EmbedderError({
    provider: "embedder",
    reason: new DeadlineExceeded({ key: "embed", totalMillis, phase: "maybeSent" }),
    attempts: [],
    inputs: inputs.length,
    finished: 0,
    usage: Usage.empty,
    vectors: inputs.map(() => undefined)
  })

/** The same embedder. */
export const timedEmbedder = ({ embed }: Embedder["Service"]): Embedder["Service"] => ({
  embed: (request) =>
    Effect.withFiber((fiber) => {
      const totalMillis = leftOf(fiber)
      if (totalMillis === Infinity) return embed(request)
      return Timer.within(embed(request), totalMillis + graceMillis, () => late(request, totalMillis))
    })
})
