/** `Llm` in an Effect program, with all default policies; only the slots are raised to what the benchmark asks for. */
import { Effect, Layer, Redacted, Scope, Stream } from "effect";
import { UndiciHttpClient } from "holdfast/http";
import { Llm, OpenAiLlm } from "holdfast/llm";
import { Concurrency, Policy } from "holdfast/policy";
import { question } from "../Contender.js";
import { ofEffects, ofEffectStreams } from "../ofEffects.js";
/** Retries wait as little as the others' do: the server asks for 1 ms. */
export const policy = Policy.make({ maxConcurrency: 10_000, retry: { base: "1 millis" } });
export const http = UndiciHttpClient.layer({ connections: 10_000 });
export const model = (url) => Layer.provide(OpenAiLlm.layer({ baseUrl: url, apiKey: Redacted.make("k"), model: "m", policy }), http);
export const ask = Effect.asVoid(Effect.suspend(() => Llm.generateText(question())));
export const contender = {
    name: "holdfast",
    unary: async (url) => ofEffects(ask, model(url)),
    stream: async (url) => ofEffectStreams(Stream.suspend(() => Llm.streamText(question())), (event) => event.type === "text", model(url)),
    wrap: async () => {
        const held = await Effect.runPromise(Scope.provide(Policy.open(Policy.defaults), Scope.makeUnsafe()));
        return ofEffects(held.apply({ key: "bench", safety: "costly" })(Effect.void), Layer.empty);
    },
    limit: async () => {
        const slots = Concurrency.makeUnsafe({ maxConcurrency: 64, maxQueue: 1_000_000 });
        const task = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)));
        return ofEffects(slots.withSlot("bench")(task), Layer.empty);
    }
};
