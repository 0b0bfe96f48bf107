/** `Llm` with a tracer that keeps its spans to itself, given as a program gives one: by a layer around everything. */
import { Layer, Tracer } from "effect"
import type { Contender } from "../Contender.ts"
import { ofEffects } from "../ofEffects.ts"
import { ask, model } from "./holdfast.ts"

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

export const contender: Contender = {
  name: "holdfast, traced",
  unary: async (url) => ofEffects(ask, Layer.merge(model(url), Layer.succeed(Tracer.Tracer, tracer)))
}
