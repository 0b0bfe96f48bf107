/** `Llm` with a tracer that keeps its spans to itself. */
import { Effect, Tracer } from "effect";
import { ofEffects } from "../ofEffects.js";
import { ask, model } from "./holdfast.js";
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) });
export const contender = {
    name: "holdfast, traced",
    unary: async (url) => ofEffects(Effect.withTracer(ask, tracer), model(url))
};
