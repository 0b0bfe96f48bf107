/** Compiled, never run: what the types of a pool promise. */
import { type Config, type Duration, type Effect, Layer, type Redacted, type Scope } from "effect"
import type { HttpClient } from "effect/http"
import { type Llm, LlmPool, OpenAiLlm } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"
import { expectTypeOf } from "vitest"

const openAi = OpenAiLlm.layer({ model: "m" })
declare const configured: Layer.Layer<Llm.Llm, Config.ConfigError>
declare const other: Layer.Layer<Llm.Llm, "broken", Scope.Scope>

// A pool fails and needs what its members fail and need, and the program does not see how many there are.
expectTypeOf(LlmPool.layer([{ llm: openAi }, { llm: openAi, name: "second", weight: 3 }])).toEqualTypeOf<
  Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>
>()
expectTypeOf(LlmPool.layer([{ llm: openAi }, { llm: TestLlm.layer("hello") }])).toEqualTypeOf<
  Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>
>()
expectTypeOf(LlmPool.layer([{ llm: TestLlm.layer("hello") }, { llm: openAi }])).toEqualTypeOf<
  Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>
>()
expectTypeOf(LlmPool.layer([{ llm: configured }, { llm: openAi }, { llm: openAi }])).toEqualTypeOf<
  Layer.Layer<Llm.Llm, Config.ConfigError, HttpClient.HttpClient>
>()
expectTypeOf(LlmPool.layer([{ llm: configured }, { llm: other }])).toEqualTypeOf<
  Layer.Layer<Llm.Llm, Config.ConfigError | "broken", Scope.Scope>
>()
expectTypeOf(LlmPool.make([{ llm: openAi }], { strategy: "roundRobin", total: "1 minute" })).toEqualTypeOf<
  Effect.Effect<Llm.Llm["Service"], never, HttpClient.HttpClient | Scope.Scope>
>()

// A list of keys is a list of members.
declare const keys: ReadonlyArray<Redacted.Redacted<string>>
expectTypeOf(LlmPool.layer(keys.map((apiKey) => ({ llm: OpenAiLlm.layer({ model: "m", apiKey }) })))).toEqualTypeOf<
  Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>
>()

expectTypeOf<LlmPool.Options["coolDown"]>().toEqualTypeOf<Duration.Input | undefined>()
// @ts-expect-error a member has a policy of its own; the pool retries nothing
LlmPool.layer([{ llm: openAi }], { retry: { retries: 1 } })
// @ts-expect-error there is no such strategy
LlmPool.layer([{ llm: openAi }], { strategy: "random" })
// @ts-expect-error a member is a layer of `Llm`, not its options
LlmPool.layer([{ model: "m" }])
// @ts-expect-error what is no `Llm` cannot be asked
LlmPool.layer([{ llm: Layer.empty }])
