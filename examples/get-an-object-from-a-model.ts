/** Get a typed object from a model: what does not fit the schema goes back to it, with what is wrong. */
import { Effect, Schema } from "effect"
import { LlmObject } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"

const Invoice = Schema.Struct({
  number: Schema.String,
  due: Schema.DateFromString,
  lines: Schema.Array(Schema.Struct({ text: Schema.String, euros: Schema.Finite }))
})

const mail = "Invoice 17-A, due on the 1st of March 2027: two chairs, 240 euros."

// In place of a layer like `OpenAiLlm.layer({ apiKey, model })`. Its first answer has a price in words.
const model = TestLlm.layer([
  '{"number":"17-A","due":"2027-03-01","lines":[{"text":"two chairs","euros":"240 euros"}]}',
  '{"number":"17-A","due":"2027-03-01","lines":[{"text":"two chairs","euros":240}]}'
])

const program = Effect.gen(function* () {
  const { answers, value } = yield* LlmObject.generate(Invoice, `Read this invoice: ${mail}`, { name: "invoice" })
  console.log(`invoice ${value.number}, due in ${value.due.getUTCFullYear()}`)
  for (const { euros, text } of value.lines) console.log(`${text}: ${euros.toFixed(2)}`)
  console.log(`it took ${answers} answers`)
})

await Effect.runPromise(program.pipe(Effect.provide(model)))
// Output:
// invoice 17-A, due in 2027
// two chairs: 240.00
// it took 2 answers
