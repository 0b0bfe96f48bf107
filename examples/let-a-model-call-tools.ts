/** Let a model call functions of yours, and show what happens while it does. */
import { Effect, Schema, Stream } from "effect"
import { ToolLoop } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"

const stock = new Map([
  ["chair", 3],
  ["table", 0]
])

const inStock = ToolLoop.tool({
  name: "in_stock",
  description: "How many of an article there are. Articles are named in the singular.",
  parameters: Schema.Struct({ article: Schema.String }),
  run: ({ article }) => {
    const count = stock.get(article)
    return count === undefined ? Effect.fail(`there is no article "${article}"`) : Effect.succeed({ article, count })
  }
})

// In place of a layer like `OpenAiLlm.layer({ apiKey, model })`.
const ask = (id: string, article: string) => {
  const input = { article }
  return { id, name: "in_stock", input, inputText: JSON.stringify(input) }
}
const model = TestLlm.layer([
  { toolCalls: [ask("1", "chair"), ask("2", "tables")] },
  { toolCalls: [ask("3", "table")] },
  "Three chairs, and no tables."
])

const program = ToolLoop.stream([inStock], "What have we got?").pipe(
  Stream.runForEach((event) =>
    Effect.sync(() => {
      if (event.type === "toolResult") console.log(`${event.call.name}(${event.call.inputText}): ${event.content}`)
      if (event.type === "finish") console.log(`${event.text} (${event.rounds.length} rounds)`)
    })
  )
)

await Effect.runPromise(program.pipe(Effect.provide(model)))
// Output:
// in_stock({"article":"chair"}): {"article":"chair","count":3}
// in_stock({"article":"tables"}): Error: there is no article "tables"
// in_stock({"article":"table"}): {"article":"table","count":0}
// Three chairs, and no tables. (3 rounds)
