/** Errors: by class, by status, by code; and a call that is aborted. */
// oxlint-disable import/no-named-as-default-member -- the classes are read off OpenAI, as its README does
import OpenAI from "openai"

const client = new OpenAI({ maxRetries: 0 })

const ask = (content: string, options?: OpenAI.RequestOptions) =>
  client.chat.completions.create({ model: "gpt-5.2", messages: [{ role: "user", content }] }, options)

for (const name of ["error-400", "error-401", "error-404", "error-429-insufficient_quota", "error-500"]) {
  const error = await ask(name).catch((error: unknown) => error)
  if (!(error instanceof OpenAI.APIError)) throw error
  console.log(error.constructor.name, error.status, error.code, error.type, error.param, error.message)
  console.log(typeof error.requestID, error.headers?.get("openai-version"), error instanceof OpenAI.RateLimitError)
}

const controller = new AbortController()
controller.abort()
const aborted = await ask("text", { signal: controller.signal }).catch((error: unknown) => error)
console.log(aborted instanceof OpenAI.APIUserAbortError, String(aborted))

const nobody = new OpenAI({ baseURL: "http://127.0.0.1:9/v1", maxRetries: 0 })
const failed = await nobody.models.list().catch((error: unknown) => error)
console.log(failed instanceof OpenAI.APIConnectionError, failed instanceof OpenAI.APIConnectionTimeoutError)

const asked = await client
  .withOptions({ maxRetries: 2, defaultHeaders: { "x-team": "a" } })
  .chat.completions.create({ model: "gpt-5.2", messages: [{ role: "user", content: "text@error-500*1" }] })
console.log(asked.choices[0]?.message.content)
