/** Give a model a sandbox: it runs code, keeps files, and is told the truth when a program is stopped. */
import { Effect } from "effect"
import { SandboxToolkit } from "holdfast/agent"
import { ToolLoop } from "holdfast/llm"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"
import { TestLlm } from "holdfast/testing"

// In place of a layer like `OpenAiLlm.layer({ apiKey, model })`.
const call = (name: string, input: object) => ({
  toolCalls: [{ id: name, name, input, inputText: JSON.stringify(input) }]
})
const model = TestLlm.layer([
  call("write_file", { path: "sales.csv", content: "may,3\njune,4\n" }),
  call("run_code", {
    code: `const rows = require("fs").readFileSync("sales.csv", "utf8").trim().split("\\n")
      console.log(rows.length, "rows")
      rows.map((row) => Number(row.split(",")[1])).reduce((a, b) => a + b)`
  }),
  call("run_code", { code: "for (;;) {}", timeout_seconds: 0.3 }),
  "7 in two months."
])

const program = Effect.gen(function* () {
  const session = yield* Sandbox.create({ language: "javascript" })
  // For effect/ai: `yield* SandboxToolkit.toolkit(session)`, as the `toolkit` of `LanguageModel.generateText`.
  const tools = SandboxToolkit.tools(session)
  const { rounds, text } = yield* ToolLoop.run(tools, "How much did we sell?")
  for (const { content } of rounds.flatMap(({ results }) => results)) console.log(`${content}\n--`)
  console.log(text)
})

const sandbox = LocalSandbox.layer({ languages: ["javascript"] })
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide([model, sandbox])))
// Output:
// Wrote 13 characters to sales.csv.
// --
// stdout:
// 2 rows
//
// result:
// 7
// --
// The program did not end within 0.3 seconds and was stopped. Variables and files are kept.
// --
// 7 in two months.
