/** `Llm` with a tracer that keeps its spans to itself. */
import { Effect, Tracer } from "effect"
import type { Contender } from "../Contender.ts"
import { ofEffects } from "../ofEffects.ts"
import { ask, model } from "./holdfast.ts"

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

export const contender: Contender = {
  name: "holdfast, traced",
  unary: async (url) => ofEffects(Effect.withTracer(ask, tracer), model(url))
}
