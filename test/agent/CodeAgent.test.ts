import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import { CodeAgent } from "holdfast/agent"
import { type Llm, LlmError, Message } from "holdfast/llm"
import { SandboxError } from "holdfast/sandbox"
import { TestLlm, TestSandbox } from "holdfast/testing"

const task: CodeAgent.Task = {
  id: "double",
  language: "python",
  prompt: "Write double(n).",
  entryPoint: "double",
  tests: "assert double(2) == 4"
}
const good = "def double(n):\n    return 2 * n"
const fenced = `Here it is:\n\n\`\`\`python\n${good}\n\`\`\`\n\nIt doubles.`
const failed = TestSandbox.raised("AssertionError", "double(2) is 5")

type Replies = Parameters<typeof TestLlm.layer>[0]
type Runs = Parameters<typeof TestSandbox.layer>[0]

/** Solves with a scripted model and sandbox, and returns what each of them was given. */
const solve = (replies: Replies, runs: Runs, options?: CodeAgent.Options, given: CodeAgent.Task = task) =>
  Effect.gen(function* () {
    const result = yield* Effect.result(CodeAgent.solve(given, options))
    const requests = yield* Ref.get(yield* TestLlm.Requests)
    const { created, open, runs } = yield* TestSandbox.Journal
    const programs = (yield* Ref.get(runs)).map(({ code }) => code)
    return { result, requests, programs, created: yield* Ref.get(created), open: yield* Ref.get(open) }
  }).pipe(Effect.provide(Layer.merge(TestLlm.layer(replies), TestSandbox.layer(runs))))

const solved = (...args: Parameters<typeof solve>) =>
  Effect.flatMap(solve(...args), ({ result, ...rest }) =>
    Effect.map(Effect.fromResult(result), (solution) => ({ solution, ...rest }))
  )

const lastMessage = (requests: ReadonlyArray<Llm.Request>, call: number): string => {
  const message = requests[call - 1]?.messages.at(-1)
  return message === undefined ? "" : Message.textOf(message)
}

describe("CodeAgent", () => {
  it.effect("runs the fenced code of an answer with the tests", () =>
    Effect.gen(function* () {
      const { solution, programs, requests } = yield* solved(fenced, "")
      assert.isTrue(solution.passed)
      assert.deepStrictEqual(programs, [`${good}\n\nassert double(2) == 4\n`])
      assert.strictEqual(solution.rounds[0]?.code, good)
      assert.include(requests[0]?.messages[0]?.content ?? "", "Python")
      assert.include(lastMessage(requests, 1), "Write double(n).")
      assert.include(lastMessage(requests, 1), "`double`")
    })
  )

  it.effect("tells the model how its program failed, and takes the corrected one", () =>
    Effect.gen(function* () {
      const { solution, requests, created, open } = yield* solved(["```\nwrong\n```", fenced], [failed, ""])
      assert.isTrue(solution.passed)
      assert.strictEqual(solution.rounds.length, 2)
      assert.include(lastMessage(requests, 2), "AssertionError: double(2) is 5")
      assert.deepStrictEqual(
        requests[1]?.messages.map(({ role }) => role),
        ["system", "user", "assistant", "user"]
      )
      // Nothing of the first round's guest is left for the second.
      assert.strictEqual(created, 2)
      assert.strictEqual(open, 0)
    })
  )

  it.effect("adds up the tokens of all rounds", () =>
    Effect.gen(function* () {
      const reply = { text: fenced, usage: { inputTokens: 10, outputTokens: 3 } }
      const { solution } = yield* solved([reply, reply], [failed, ""])
      assert.deepInclude(solution.usage, { inputTokens: 20, outputTokens: 6 })
    })
  )

  it.effect("gives up after maxRounds, and says what was wrong with the last", () =>
    Effect.gen(function* () {
      const { solution, requests } = yield* solved(fenced, failed, { maxRounds: 2 })
      assert.isFalse(solution.passed)
      assert.strictEqual(requests.length, 2)
      assert.include(solution.rounds.at(-1)?.problem ?? "", "double(2) is 5")
    })
  )

  it.effect("counts a program that runs out of time as a failed round and tells the model so", () =>
    Effect.gen(function* () {
      const timedOut = { outcome: "timedOut", exitCode: 124, sessionState: "lost" } as const
      const { solution, requests } = yield* solved(fenced, [timedOut, ""], { timeout: "7 seconds" })
      assert.isTrue(solution.passed)
      assert.include(lastMessage(requests, 2), "did not end within 7 s")
    })
  )

  it.effect("counts a program that kills its guest as a failed round", () =>
    Effect.gen(function* () {
      const lost = new SandboxError.SessionLost({ why: "outOfMemory", description: "over 512 MiB" })
      const { solution, requests } = yield* solved(fenced, [Effect.fail(TestSandbox.failure(lost)), ""])
      assert.isTrue(solution.passed)
      assert.isUndefined(solution.rounds[0]?.execution)
      assert.include(lastMessage(requests, 2), "over 512 MiB")
    })
  )

  it.effect("runs nothing for an answer without code, and says so", () =>
    Effect.gen(function* () {
      const { solution, programs, requests } = yield* solved(["", fenced], "")
      assert.isTrue(solution.passed)
      assert.strictEqual(programs.length, 1)
      assert.include(lastMessage(requests, 2), "no code")
    })
  )

  it.effect("cuts a long traceback at its beginning", () =>
    Effect.gen(function* () {
      const traceback = `${"frame\n".repeat(10_000)}ValueError: the end`
      const error = { name: "ValueError", value: "the end", traceback }
      const { requests } = yield* solved(fenced, [{ outcome: "failed", error }, ""])
      assert.isBelow(lastMessage(requests, 2).length, 2500)
      assert.include(lastMessage(requests, 2), "ValueError: the end")
    })
  )

  it.effect("fails when the model or the sandbox cannot be had", () =>
    Effect.gen(function* () {
      const unauthorized = TestLlm.failure(new LlmError.Unauthorized({ description: "401" }))
      const noModel = yield* Effect.flip(solved(Effect.fail(unauthorized), ""))
      assert.strictEqual(noModel.code, "Unauthorized")
      const missing = TestSandbox.failure(new SandboxError.Unavailable({ description: "install pyodide" }))
      const noSandbox = yield* Effect.flip(solved(fenced, Effect.fail(missing)))
      assert.strictEqual(noSandbox.code, "Unavailable")
    })
  )
})

describe("CodeAgent, on streams that break", () => {
  const stalled = TestLlm.failure(new LlmError.StreamStalled({ timeoutMillis: 1000, partial: "def" }))
  const cut = TestLlm.failure(new LlmError.StreamCut({ description: "reset", partial: "def" }))
  const truncated = TestLlm.failure(new LlmError.StreamTruncated({ partial: "def" }))

  it.effect("asks again as a new call, without a trace of the broken answer", () =>
    Effect.gen(function* () {
      const { solution, requests } = yield* solved([Effect.fail(stalled), Effect.fail(cut), fenced], "")
      assert.isTrue(solution.passed)
      assert.strictEqual(solution.brokenStreams, 2)
      assert.strictEqual(solution.rounds.length, 1)
      assert.deepStrictEqual(requests[2]?.messages, requests[0]?.messages)
    })
  )

  it.effect("asks no more often than streamRetries", () =>
    Effect.gen(function* () {
      const { requests, result } = yield* solve(Effect.fail(truncated), "", { streamRetries: 1 })
      assert.strictEqual(result._tag, "Failure")
      assert.strictEqual(requests.length, 2)
    })
  )

  it.effect("leaves other failures to the layer's policy", () =>
    Effect.gen(function* () {
      const overloaded = TestLlm.failure(new LlmError.Overloaded({ description: "busy" }))
      const { requests } = yield* solve(Effect.fail(overloaded), "")
      assert.strictEqual(requests.length, 1)
    })
  )
})

describe("CodeAgent, on answers in all their forms", () => {
  const starter = 'from math import floor\n\ndef half(n):\n    """Half of n."""\n'
  const half: CodeAgent.Task = { ...task, entryPoint: "half", starter, tests: "check(half)" }
  const programOf = (answer: string, given: CodeAgent.Task) =>
    Effect.map(solved(answer, "", {}, given), ({ programs }) => programs[0])

  it.effect("takes bare code as it is", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* programOf(`\n${good}\n`, task), `${good}\n\nassert double(2) == 4\n`)
    })
  )

  it.effect("takes the block that defines the entry point, not an example of its use", () =>
    Effect.gen(function* () {
      const answer = `Use it so:\n~~~python\nprint(double(2), double(3), double(4))\n~~~\n${fenced}`
      assert.strictEqual(yield* programOf(answer, task), `${good}\n\nassert double(2) == 4\n`)
    })
  )

  it.effect("reads a block whose fence was never closed", () =>
    Effect.gen(function* () {
      assert.include((yield* programOf(`\`\`\`python\n${good}`, task)) ?? "", good)
    })
  )

  it.effect("joins a bare completion to its starter", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* programOf("    return floor(n / 2)\n", half),
        `${starter}    return floor(n / 2)\n\ncheck(half)\n`
      )
    })
  )

  it.effect("lets a whole function replace the starter's, and keeps what stands before it", () =>
    Effect.gen(function* () {
      const whole = "def half(n):\n    return floor(n / 2)"
      const program = yield* programOf(`\`\`\`python\n${whole}\n\`\`\``, half)
      assert.strictEqual(program, `from math import floor\n\n\n${whole}\n\ncheck(half)\n`)
    })
  )

  it.effect("finds JavaScript classes and constants by their name", () =>
    Effect.gen(function* () {
      const given: CodeAgent.Task = { ...task, language: "javascript", entryPoint: "Stack", tests: "new Stack()" }
      const answer =
        "```js\nconst stack = new Stack()\n// an example, longer than the class\n```\n```js\nclass Stack {}\n```"
      assert.strictEqual(yield* programOf(answer, given), "class Stack {}\n\nnew Stack()\n")
    })
  )
})
