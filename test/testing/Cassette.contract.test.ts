/** The contract of every Llm, recorded once and then said again by the cassettes alone, for each wire. */
import { Layer, Redacted } from "effect"
import type { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, GeminiLlm, type Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { Cassette } from "holdfast/testing"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { llmContract, over } from "../contract/Llm.ts"
import type { Name } from "../fixtures/endpoint.ts"

const folder = mkdtempSync(join(tmpdir(), "holdfast-cassette-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const options = { model: "some-model", apiKey: Redacted.make("sk-test"), policy: Policy.make({ retry: { base: 1 } }) }

const contract = (
  name: Name,
  make: (baseUrl: string) => Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>,
  able: Parameters<typeof llmContract>[2]
): void => {
  let path = ""
  const file = join(folder, `${name}.json`)
  const recorder = Cassette.layer({ path: file, mode: "record" }).pipe(Layer.provide(UndiciHttpClient.layer()))
  llmContract(
    `A recorded ${name}`,
    over(name, (url) => {
      path = new URL(url).pathname
      return Layer.provide(make(url), recorder)
    }),
    able
  )
  // The endpoint above is closed by now, and this one's address does not exist.
  const player = Cassette.replay({ path: file, ignore: ["origin"] })
  const replayed = Layer.suspend(() => Layer.provide(make(`http://replay.invalid${path}`), player))
  llmContract(`A replayed ${name}`, replayed, able)
}

contract("openai", (baseUrl) => OpenAiLlm.layer({ ...options, baseUrl }), { reasoningTools: false })

contract("anthropic", (baseUrl) => AnthropicLlm.layer({ ...options, baseUrl }), {
  busy: "error-529",
  refusal: "empty"
})

contract("gemini", (baseUrl) => GeminiLlm.layer({ ...options, baseUrl }), { refusal: "empty" })
