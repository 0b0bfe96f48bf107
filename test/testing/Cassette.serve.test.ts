/** A cassette behind a URL, for the promise client and for whoever else speaks HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { createClient, LlmError } from "holdfast/promise"
import { Cassette } from "holdfast/testing"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { request as send } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { startEndpoint } from "../fixtures/endpoint.ts"

const folder = mkdtempSync(join(tmpdir(), "holdfast-cassette-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const freshPath = (): string => join(folder, `${++files}.json`)

const apiKey = "sk-the-very-secret-key"
const model = "some-model"

/** What a program without Effect sees: an answer after a busy one, a stream in its pieces, one that breaks, a refusal. */
const program = async (baseUrl: string) => {
  await using client = createClient({ llm: { provider: "openai", apiKey, baseUrl, model }, retry: { base: 1 } })
  const read = async (question: string) => {
    const pieces: Array<string> = []
    try {
      for await (const event of client.streamText(question)) if (event.type === "text") pieces.push(event.text)
      return { pieces, partial: undefined }
    } catch (error) {
      if (!(error instanceof LlmError)) throw error
      return { pieces, partial: [error.code, "partial" in error.reason && error.reason.partial] }
    }
  }
  const { attempts, requestId, text, usage } = await client.generateText("text@error-503*1")
  const refused = await client
    .generateText("error-401")
    .catch((error: unknown) => error instanceof LlmError && error.code)
  return {
    answer: { attempts: attempts.map(({ outcome }) => outcome), requestId, text, usage },
    refused,
    streams: [await read("text"), await read("unicode"), await read("text@cut:2")]
  }
}

/** The error of a promise. */
const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error
  )

describe("Cassette.serve", () => {
  it("records through a URL, and says the same with the endpoint closed", async () => {
    const path = freshPath()
    const endpoint = await startEndpoint("openai")
    const recorder = await Cassette.serve({ path, target: endpoint.url, mode: "record" })
    const recorded = await program(recorder.url)
    await recorder.close()
    await endpoint.close()
    assert.deepStrictEqual(recorded.answer.attempts, ["Overloaded", "ok"])
    assert.deepStrictEqual(recorded.streams[2]?.partial, ["StreamCut", "Paris is"])
    assert.notInclude(readFileSync(path, "utf8"), apiKey)
    assert.include(readFileSync(path, "utf8"), `"url": "${endpoint.url}/chat/completions"`)

    await using player = await Cassette.serve({ path, target: endpoint.url })
    assert.deepStrictEqual(await program(player.url), recorded)
  })

  it("plays what a layer has recorded, and a layer what it has", async () => {
    const path = freshPath()
    const endpoint = await startEndpoint("openai")
    const target = endpoint.url
    const llm = OpenAiLlm.layer({ baseUrl: target, model, apiKey: Redacted.make(apiKey) })
    const ask = (question: string) => Effect.map(Llm.generateText(question), ({ text }) => text)
    const recording = Layer.provide(Cassette.layer({ path, mode: "record" }), UndiciHttpClient.layer())
    const text = await Effect.runPromise(Effect.provide(ask("text"), Layer.provide(llm, recording)))
    {
      await using server = await Cassette.serve({ path, target, mode: "auto" })
      await using client = createClient({ llm: { provider: "openai", apiKey, baseUrl: server.url, model } })
      assert.strictEqual((await client.generateText("text")).text, text)
      await client.generateText("unicode")
    }
    assert.strictEqual(endpoint.requests.length, 2)
    await endpoint.close()
    const replayed = Effect.provide(
      Effect.forEach(["text", "unicode"], ask),
      Layer.provide(llm, Cassette.replay({ path }))
    )
    assert.deepStrictEqual(await Effect.runPromise(replayed), [text, "naïve 🎉🚀 日本語"])
  })

  it("tells a stale request which field is another, and has it sent once", async () => {
    const path = freshPath()
    const endpoint = await startEndpoint("openai")
    const target = endpoint.url
    const ask = async (baseUrl: string, question: string) => {
      await using client = createClient({ llm: { provider: "openai", apiKey, baseUrl, model } })
      return await client.generateText(question)
    }
    {
      await using recorder = await Cassette.serve({ path, target, mode: "record" })
      await ask(recorder.url, "text")
    }
    await endpoint.close()
    await using player = await Cassette.serve({ path, target })
    const error = await failure(ask(player.url, "unicode"))
    assert.instanceOf(error, LlmError)
    assert.deepInclude(error, { code: "InvalidRequest", status: 400 })
    assert.include(String(error), 'another body.messages[0].content: "text" recorded, "unicode" asked')
    assert.strictEqual(error instanceof LlmError && error.attempts.length, 1)
  })

  it("breaks the connection where the endpoint's was broken", async () => {
    const path = freshPath()
    const target = "http://127.0.0.1:1"
    const ask = (url: string) =>
      failure(
        new Promise((resolve, reject) => {
          send(`${url}/x`, resolve).on("error", reject).end()
        })
      )
    for (const mode of ["record", "replay"] as const) {
      await using server = await Cassette.serve({ path, target, mode })
      assert.deepInclude(await ask(server.url), { code: "ECONNRESET" })
    }
    assert.include(readFileSync(path, "utf8"), '"ECONNREFUSED"')
  })

  it("rejects when there is nothing to play, or nothing that it could stand for", async () => {
    const target = "https://api.openai.com/v1"
    const missing = await failure(Cassette.serve({ path: freshPath(), target }))
    assert.deepInclude(missing, { _tag: "CassetteError", reason: "missing" })
    const wrong = await failure(Cassette.serve({ path: freshPath(), target: "api.openai.com" }))
    assert.strictEqual(String(wrong), 'TypeError: Cassette: target "api.openai.com" is not an http(s) URL')
  })
})
