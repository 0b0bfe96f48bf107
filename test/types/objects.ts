/** Compiled, never run: what the types of objects and tool loops promise. */
import { Context, Effect, Schema, type StandardSchema, type Stream } from "effect"
import { type Llm, type LlmError, LlmObject, type Message, ToolLoop } from "holdfast/llm"
import { expectTypeOf } from "vitest"

interface City {
  readonly name: string
}
class Rates extends Context.Service<Rates, { readonly rate: number }>()("test/Rates") {}
class NotFound {
  readonly _tag = "NotFound"
}

declare const needy: Schema.Codec<City, { readonly name: string }, Rates>
/** As zod 3 has it, and as zod 4.2 has it. */
declare const bare: StandardSchema.StandardSchemaV1<{ name?: string }, City>
declare const telling: StandardSchema.StandardSchemaV1<{ name?: string }, City> &
  StandardSchema.StandardJSONSchemaV1<{ name?: string }, City>
const jsonSchema: Llm.JsonSchema = { type: "object" }

// The value is what the schema decodes to, and its services are needed.
const Dated = Schema.Struct({ at: Schema.DateFromString })
expectTypeOf(LlmObject.generate(Dated, "?")).toEqualTypeOf<
  Effect.Effect<LlmObject.Result<{ readonly at: Date }>, LlmError.LlmError, Llm.Llm>
>()
expectTypeOf(LlmObject.generate(needy, "?")).toEqualTypeOf<
  Effect.Effect<LlmObject.Result<City>, LlmError.LlmError, Llm.Llm | Rates>
>()
expectTypeOf(LlmObject.generate(telling, { messages: [] }, { maxAnswers: 1 })).toEqualTypeOf<
  Effect.Effect<LlmObject.Result<City>, LlmError.LlmError, Llm.Llm>
>()
expectTypeOf(LlmObject.generate({ schema: bare, jsonSchema }, "?")).toEqualTypeOf<
  Effect.Effect<LlmObject.Result<City>, LlmError.LlmError, Llm.Llm>
>()
expectTypeOf(
  LlmObject.generate({ jsonSchema, decode: () => Effect.map(Rates, ({ rate }) => rate) }, "?")
).toEqualTypeOf<Effect.Effect<LlmObject.Result<number>, LlmError.LlmError, Llm.Llm | Rates>>()
expectTypeOf<LlmObject.Result<City>>().toExtend<Llm.Answer>()
// @ts-expect-error a Standard Schema that does not tell its JSON Schema needs one beside it
LlmObject.generate(bare, "?")
// @ts-expect-error a JSON Schema alone decodes nothing
LlmObject.generate({ jsonSchema }, "?")
// @ts-expect-error sends are retried by the policy; answers are counted by `maxAnswers`
LlmObject.generate(Dated, "?", { retries: 2 })

// A tool's input is what its parameters decode to.
const find = ToolLoop.tool({
  name: "find",
  description: "Finds a city",
  parameters: Dated,
  run: (input, call) => {
    expectTypeOf(input).toEqualTypeOf<{ readonly at: Date }>()
    expectTypeOf(call).toEqualTypeOf<ToolLoop.Call>()
    return Effect.fail(new NotFound())
  }
})
const rate = ToolLoop.tool({
  name: "rate",
  description: "The rate",
  run: (input) => {
    expectTypeOf(input).toEqualTypeOf<undefined>()
    return Effect.map(Rates, ({ rate }) => rate)
  }
})
const standard = ToolLoop.tool({
  name: "standard",
  description: "",
  parameters: telling,
  timeout: "5 seconds",
  strict: true,
  run: ({ name }) => Effect.succeed(name)
})
expectTypeOf(find).toEqualTypeOf<ToolLoop.Tool<NotFound>>()
expectTypeOf(rate).toEqualTypeOf<ToolLoop.Tool<never, Rates>>()
expectTypeOf(standard).toEqualTypeOf<ToolLoop.Tool>()
ToolLoop.tool({
  name: "find",
  description: "",
  // @ts-expect-error a Standard Schema that does not tell its JSON Schema
  parameters: bare,
  run: () => Effect.void
})
ToolLoop.tool({
  name: "find",
  description: "",
  // @ts-expect-error a JSON Schema alone decodes nothing
  parameters: jsonSchema,
  run: () => Effect.void
})
// @ts-expect-error a model has nothing but the description to go by
ToolLoop.tool({ name: "find", run: () => Effect.void })
// @ts-expect-error nothing to run
ToolLoop.tool({ name: "find", description: "" })

// Failures of tools are the model's, and in the channel only where the caller asks for them.
expectTypeOf(ToolLoop.run([find, rate, standard], "?")).toEqualTypeOf<
  Effect.Effect<ToolLoop.Result, LlmError.LlmError, Llm.Llm | Rates>
>()
expectTypeOf(ToolLoop.run([find, rate], "?", { onToolError: "model", maxRounds: 3 })).toEqualTypeOf<
  Effect.Effect<ToolLoop.Result, LlmError.LlmError, Llm.Llm | Rates>
>()
expectTypeOf(ToolLoop.run([find, rate], "?", { onToolError: "caller" })).toEqualTypeOf<
  Effect.Effect<ToolLoop.Result, LlmError.LlmError | NotFound, Llm.Llm | Rates>
>()
expectTypeOf(ToolLoop.stream([find, rate], "?")).toEqualTypeOf<
  Stream.Stream<ToolLoop.Event, LlmError.LlmError, Llm.Llm | Rates>
>()
expectTypeOf(ToolLoop.stream([find, rate], "?", { onToolError: "caller" })).toEqualTypeOf<
  Stream.Stream<ToolLoop.Event, LlmError.LlmError | NotFound, Llm.Llm | Rates>
>()
// Options that are kept say the same; where it is not known who hears of a failure, it may be the caller.
declare const kept: ToolLoop.Options
expectTypeOf(ToolLoop.run([find], "?", kept)).toEqualTypeOf<
  Effect.Effect<ToolLoop.Result, LlmError.LlmError, Llm.Llm>
>()
expectTypeOf(ToolLoop.stream([find], "?", kept)).toEqualTypeOf<
  Stream.Stream<ToolLoop.Event, LlmError.LlmError, Llm.Llm>
>()
declare const chosen: ToolLoop.OnToolError
expectTypeOf(ToolLoop.run([find], "?", { onToolError: chosen })).toEqualTypeOf<
  Effect.Effect<ToolLoop.Result, LlmError.LlmError | NotFound, Llm.Llm>
>()
expectTypeOf(ToolLoop.stream([find], "?", { onToolError: chosen })).toEqualTypeOf<
  Stream.Stream<ToolLoop.Event, LlmError.LlmError | NotFound, Llm.Llm>
>()
// @ts-expect-error nobody else hears of it
ToolLoop.run([find], "?", { onToolError: "nobody" })
// @ts-expect-error a spec alone cannot be run
ToolLoop.run([find.spec], "?")

// The end of a streamed loop is the end of a stream, with the way to it.
expectTypeOf<ToolLoop.Finish>().toExtend<Llm.Finish>()
expectTypeOf<ToolLoop.Result>().toExtend<Llm.Answer>()
expectTypeOf<ToolLoop.Result["messages"]>().toEqualTypeOf<ReadonlyArray<Message.Message>>()

// The events of a loop are told apart by their type.
export const shown = (event: ToolLoop.Event): string => {
  switch (event.type) {
    case "text":
    case "reasoning":
    case "refusal":
      return event.text
    case "toolCall":
      return event.call.name
    case "toolResult":
      return `${event.call.name}: ${event.outcome}`
    case "round":
      return `round ${event.round}`
    case "reset":
      return event.reason._tag
    case "finish":
      return `${event.text}, after ${event.rounds.length} rounds`
  }
}
