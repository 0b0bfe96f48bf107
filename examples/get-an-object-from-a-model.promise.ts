/** Get a typed object from a model with promises: what does not fit goes back to it, with what is wrong. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient } from "holdfast/promise"

interface Invoice {
  readonly number: string
  readonly due: Date
  readonly lines: ReadonlyArray<{ readonly text: string; readonly euros: number }>
}

// A schema of zod 4.2 or ArkType would do alone: it tells its JSON Schema. Without a library it is said by hand.
const line = { text: { type: "string" }, euros: { type: "number" } }
const object = (properties: Record<string, unknown>) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false
})
const jsonSchema = object({
  number: { type: "string" },
  due: { type: "string", format: "date" },
  lines: { type: "array", items: object(line) }
})
const decode = (value: unknown): Invoice => {
  const { due, lines, number }: Record<string, unknown> = { ...Object(value) }
  if (typeof number !== "string") throw new TypeError("$.number: expected a text")
  if (typeof due !== "string" || Number.isNaN(Date.parse(due))) throw new TypeError("$.due: expected a date")
  if (!Array.isArray(lines)) throw new TypeError("$.lines: expected a list")
  const read = lines.map(({ euros, text }: Record<string, unknown>, index) => {
    if (typeof euros !== "number") throw new TypeError(`$.lines[${index}].euros: expected a number`)
    return { text: String(text), euros }
  })
  return { number, due: new Date(due), lines: read }
}

// In place of a provider: a server on loopback, whose first answer has a price in words.
const answers = [
  '{"number":"17-A","due":"2027-03-01","lines":[{"text":"two chairs","euros":"240 euros"}]}',
  '{"number":"17-A","due":"2027-03-01","lines":[{"text":"two chairs","euros":240}]}'
]
const server = createServer((request, response) => {
  request.resume()
  const message = { role: "assistant", content: answers.shift() }
  response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

{
  await using client = createClient({
    llm: { provider: "openai", baseUrl: `http://127.0.0.1:${port}/v1`, model: "some-model" }
  })
  const mail = "Invoice 17-A, due on the 1st of March 2027: two chairs, 240 euros."
  const invoice = await client.generateObject({ jsonSchema, decode }, `Read this invoice: ${mail}`, { name: "invoice" })
  console.log(`invoice ${invoice.value.number}, due in ${invoice.value.due.getUTCFullYear()}`)
  for (const { euros, text } of invoice.value.lines) console.log(`${text}: ${euros.toFixed(2)}`)
  console.log(`it took ${invoice.answers} answers`)
}
server.close()
// Output:
// invoice 17-A, due in 2027
// two chairs: 240.00
// it took 2 answers
