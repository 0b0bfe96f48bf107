/** The main job over a real wire that fails on purpose; only the sandbox is a double, which knows the wrong answers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { CodeAgent } from "holdfast/agent"
import { UndiciHttpClient } from "holdfast/http"
import { OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { Fault, ReplayServer, TestSandbox } from "holdfast/testing"
import { readFileSync } from "node:fs"

const read = <A>(name: string): ReadonlyArray<A> =>
  readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))

const tasks = read<CodeAgent.Task>("tasks.jsonl")
const answers = new Map(
  read<{ id: string; answers: ReadonlyArray<string> }>("tasks.answers.jsonl").map(({ id, answers }) => [id, answers])
)
const recordings = tasks.map(({ id, prompt }) => ({ prompt, answers: answers.get(id) ?? [] }))

/** The code of each first answer that has a correction. */
const wrongCode = recordings.flatMap(({ answers: [first, second] }) =>
  first === undefined || second === undefined ? [] : [/```\w+\n([^]*)\n```/.exec(first)?.[1] ?? ""]
)
const sandbox = TestSandbox.layer(({ code }) =>
  wrongCode.some((wrong) => code.includes(wrong)) ? TestSandbox.raised("AssertionError", "") : ""
)

const policy = Policy.make({
  retry: { retries: 3, base: "10 millis", maxDelay: "100 millis" },
  timeout: { attempt: "2 seconds", firstContent: "2 seconds", idleContent: "1 seconds" }
})

const solveAll = (seed: number) =>
  Effect.gen(function* () {
    const faults = yield* Fault.plan({ seed })
    const { url } = yield* ReplayServer.make({ answer: ReplayServer.recorded(recordings), faults })
    const model = OpenAiLlm.layer({ model: "replay", apiKey: Redacted.make("k"), baseUrl: url, policy })
    const solutions = yield* Effect.forEach(
      tasks,
      (task, index) => CodeAgent.solve(task, { stream: index % 2 === 0 }),
      { concurrency: 16 }
    ).pipe(Effect.provide(Layer.merge(Layer.provide(model, UndiciHttpClient.layer()), sandbox)))
    return { solutions, tally: yield* faults.tally }
  })

describe("CodeAgent, on a provider that fails by seed", () => {
  it("has 44 tasks, half of them in each language, and nine wrong first answers", () => {
    assert.strictEqual(tasks.length, 44)
    assert.strictEqual(tasks.filter(({ language }) => language === "python").length, 22)
    assert.strictEqual(wrongCode.length, 9)
  })

  for (const seed of [2, 2026]) {
    it.live(`solves every task with the faults of seed ${seed}, each of them survived`, () =>
      Effect.gen(function* () {
        const { solutions, tally } = yield* solveAll(seed)
        assert.isTrue(solutions.every(({ passed }) => passed))
        assert.strictEqual(solutions.flatMap(({ rounds }) => rounds).length, 44 + 9)
        assert.isAbove(solutions.filter(({ brokenStreams }) => brokenStreams > 0).length, 0)
        for (const kind of Fault.kinds) assert.isAtLeast(tally.injected[kind], 3, kind)
        assert.deepStrictEqual(tally.survived, tally.injected)
        const injected = Object.values(tally.injected).reduce((sum, n) => sum + n, 0)
        assert.isAtLeast(injected, tally.requests / 4)
        // Nothing is sent that the agent does not account for.
        assert.strictEqual(solutions.flatMap(({ attempts }) => attempts).length, tally.requests)
      })
    )
  }
})
