/** Compiled, never run: what the types of `holdfast/openai` promise. Beside the package: test/bench/peers/openAiDropIn.types.ts. */
import OpenAI, { type APIPromise, OpenAI as Named, RateLimitError, type Stream } from "holdfast/openai"
import { expectTypeOf } from "vitest"

expectTypeOf(Named).toEqualTypeOf(OpenAI)
declare const client: OpenAI

// By both paths, as programs write them.
expectTypeOf<OpenAI.Chat.Completions.ChatCompletionMessageParam>().toEqualTypeOf<OpenAI.ChatCompletionMessageParam>()
expectTypeOf<OpenAI.Chat.ChatCompletionTool>().toEqualTypeOf<OpenAI.ChatCompletionTool>()

const messages: Array<OpenAI.ChatCompletionMessageParam> = [{ role: "user", content: "hi" }]
const asking = { model: "m", messages }

// Whole or streamed, by what is asked.
expectTypeOf(client.chat.completions.create(asking)).toEqualTypeOf<APIPromise<OpenAI.ChatCompletion>>()
expectTypeOf(client.chat.completions.create({ ...asking, stream: true })).toEqualTypeOf<
  APIPromise<Stream<OpenAI.ChatCompletionChunk>>
>()
expectTypeOf<OpenAI.ChatCompletion["_request_id"]>().toEqualTypeOf<string | null | undefined>()

// An answer is a message of the next request.
expectTypeOf<OpenAI.ChatCompletionMessage>().toExtend<OpenAI.ChatCompletionMessageParam>()

// By the form that is asked for.
export const base64 = async (): Promise<string | undefined> => {
  const { data } = await client.embeddings.create({ model: "m", input: "a", encoding_format: "base64" })
  return data[0]?.embedding
}
export const numbers = async (): Promise<ReadonlyArray<number> | undefined> => {
  const { data } = await client.embeddings.create({ model: "m", input: "a" })
  return data[0]?.embedding
}

// What is parsed, is typed by what parses it; what is not, is null.
declare const format: OpenAI.ResponseFormatJSONSchema & { readonly __output: { readonly city: string } }
export const city = async (): Promise<string | undefined> => {
  const { choices } = await client.chat.completions.parse({ ...asking, response_format: format })
  return choices[0]?.message.parsed?.city
}
expectTypeOf(client.chat.completions.stream(asking).finalMessage())
  .resolves.toHaveProperty("parsed")
  .toEqualTypeOf<null>()

// Events tell what they are of.
client.chat.completions.stream(asking).on("content", (delta, snapshot) => {
  expectTypeOf([delta, snapshot]).toEqualTypeOf<Array<string>>()
})
// @ts-expect-error no such event
client.chat.completions.stream(asking).on("contents", () => {})

expectTypeOf<RateLimitError["status"]>().toEqualTypeOf<429>()
expectTypeOf(OpenAI.RateLimitError).toEqualTypeOf(RateLimitError)

const make = (options: OpenAI.ClientOptions): OpenAI => new OpenAI(options)
// @ts-expect-error not in the subset
make({ logLevel: "debug" })
// @ts-expect-error milliseconds
make({ timeout: "10 seconds" })
make({ policy: { timeout: { total: "10 seconds" }, maxConcurrency: 5 } })
// @ts-expect-error a policy has no model
make({ policy: { llm: { provider: "openai", model: "m" } } })
// @ts-expect-error no such option of a call
client.models.list({ fetchOptions: {} })
// @ts-expect-error a model must be named
client.chat.completions.create({ messages })
// @ts-expect-error no such role
client.chat.completions.create({ model: "m", messages: [{ role: "robot", content: "hi" }] })
// @ts-expect-error the Responses API is not in the subset
client.responses.create({})
