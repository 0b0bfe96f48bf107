/** `Llm` in an Effect program, with all default policies; only the slots are raised to what the benchmark asks for. */
import { Effect, Layer, Redacted, Scope, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Concurrency, Policy } from "holdfast/policy"
import { claims, type Contender, question } from "../Contender.ts"
import { ofEffects, ofEffectStreams } from "../ofEffects.ts"

/** Retries wait as little as the others' do: the server asks for 1 ms. */
export const policy = Policy.make({ maxConcurrency: 10_000, retry: { base: "1 millis" } })

export const http = UndiciHttpClient.layer({ connections: 10_000 })

export const model = (url: string): Layer.Layer<Llm.Llm> =>
  Layer.provide(OpenAiLlm.layer({ baseUrl: url, apiKey: Redacted.make("k"), model: "m", policy }), http)

export const ask = Effect.asVoid(Effect.suspend(() => Llm.generateText(question())))

export const contender: Contender = {
  name: "holdfast",
  unary: async (url) => ofEffects(ask, model(url)),
  stream: async (url) =>
    ofEffectStreams(
      Stream.suspend(() => Llm.streamText(question())),
      (event) => event.type === "text",
      model(url)
    ),
  wrap: async () => {
    const held = await Effect.runPromise(Scope.provide(Policy.open(Policy.defaults), Scope.makeUnsafe()))
    return ofEffects(held.apply({ key: "bench", safety: "costly" })(Effect.void), Layer.empty)
  },
  limit: async () => {
    const slots = Concurrency.makeUnsafe({ maxConcurrency: 64, maxQueue: 1_000_000 })
    const task = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    return ofEffects(slots.withSlot("bench")(task), Layer.empty)
  },
  priority: async () => {
    const slots = Concurrency.makeUnsafe({ maxConcurrency: 8, maxQueue: 1_000_000 })
    const task = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    const names = ["low", "normal", "high"] as const
    const next = claims()
    const claimed = Effect.suspend(() => {
      const { key, priority } = next()
      return slots.withSlot(key, { priority: names[priority] })(task)
    })
    return ofEffects(claimed, Layer.empty)
  }
}
