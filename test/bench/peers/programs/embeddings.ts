/** Embeddings in both forms, and the list of models. */
import OpenAI from "openai"

const client = new OpenAI({ defaultQuery: { trace: "1" } })
const model = "text-embedding-3-small"

const numbers = await client.embeddings.create({ model, input: ["a cat", "a dog"], dimensions: 4 })
console.log(
  numbers.data.map(({ embedding, index }) => [index, embedding]),
  numbers.usage.total_tokens
)
const base64 = await client.embeddings.create({ model, input: "a cat", dimensions: 4, encoding_format: "base64" })
console.log(base64.data[0]?.embedding)
const floats = await client.embeddings.create({ model, input: [[1, 2, 3]], dimensions: 4, encoding_format: "float" })
console.log(floats.data[0]?.embedding.length)

const page = await client.models.list()
console.log(page.object, page.data.length, page.hasNextPage())
for await (const { id } of client.models.list()) console.log(id)
console.log(JSON.stringify(await client.models.retrieve("house/model")))
