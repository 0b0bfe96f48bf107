import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ReplayServer } from "holdfast/testing"
import { startEndpoint } from "../fixtures/endpoint.ts"
import { holdfast, type Options } from "./program.ts"

const secret = "sk-a-secret"

/** Runs `holdfast ask` against a server that answers with this. */
const ask = (answer: ReplayServer.Options["answer"], args: ReadonlyArray<string>, options?: Options) =>
  Effect.gen(function* () {
    const server = yield* ReplayServer.make({ answer })
    const ended = yield* Effect.promise(() =>
      holdfast(["ask", ...args, "--base-url", server.url, "--model", "some-model"], {
        env: { OPENAI_API_KEY: secret },
        ...options
      })
    )
    return { ...ended, requests: yield* server.requests }
  })

describe("holdfast ask", () => {
  it.live("prints a streamed answer", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout, requests } = yield* ask(() => "Because of the air.", ["Why is the sky blue?"])
      assert.deepStrictEqual({ code, stdout, stderr }, { code: 0, stdout: "Because of the air.\n", stderr: "" })
      assert.deepInclude(requests[0], { model: "some-model", stream: true })
    })
  )

  it.live("asks a server of one's own without a key", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* ask(() => "Come in.", ["?"], { env: {} })
      assert.deepStrictEqual({ code, stdout }, { code: 0, stdout: "Come in.\n" })
    })
  )

  it.live("reads the question from standard input", () =>
    Effect.gen(function* () {
      const answer: ReplayServer.Options["answer"] = ({ messages }) => `You said ${messages[0]?.content.trim()}.`
      const { stdout } = yield* ask(answer, [], { stdin: "something\n" })
      assert.strictEqual(stdout, "You said something.\n")
    })
  )

  it.live("takes terminal escapes out of the answer", () =>
    Effect.gen(function* () {
      const { stdout } = yield* ask(() => "\u001b[2Jall \u001b[31mclear\u0007", ["?"])
      assert.strictEqual(stdout, "all clear\n")
    })
  )

  it.live("says in one line why there is no answer, without the key, and ends with 1", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* ask(() => undefined, ["?"])
      assert.match(stderr, /^holdfast: llm openai[^\n]+no recorded answer[^\n]+\n$/)
      assert.notInclude(stdout + stderr, secret)
      assert.strictEqual(code, 1)
    })
  )

  it.live("reads the key from the variable that is named", () =>
    Effect.gen(function* () {
      const { code } = yield* ask(() => "yes", ["?", "--api-key-env", "MY_KEY"], { env: { MY_KEY: secret } })
      assert.strictEqual(code, 0)
    })
  )

  it.live.each([
    ["anthropic", "ANTHROPIC_API_KEY"],
    ["gemini", "GEMINI_API_KEY"],
    ["deepseek", "DEEPSEEK_API_KEY"]
  ] as const)("speaks the protocol of %s", ([provider, variable]) =>
    Effect.gen(function* () {
      const endpoint = yield* Effect.acquireRelease(
        Effect.promise(() => startEndpoint(provider)),
        (endpoint) => Effect.promise(() => endpoint.close())
      )
      const { code, stderr, stdout } = yield* Effect.promise(() =>
        holdfast(["ask", "text", "--base-url", endpoint.url, "--model", "m", "--provider", provider], {
          env: { [variable]: secret }
        })
      )
      assert.deepStrictEqual(
        { code, stdout, stderr },
        { code: 0, stdout: "Paris is the capital of France.\n", stderr: "" }
      )
    })
  )
})
