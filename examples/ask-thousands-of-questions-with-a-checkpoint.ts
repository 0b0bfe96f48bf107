/** Ask all questions of a file, be killed in the middle, and go on: nothing that is answered is asked again. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Result, Schema } from "effect"
import { Llm } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"
import { Batch } from "holdfast/work"

const folder = mkdtempSync(join(tmpdir(), "holdfast-example-"))
const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")]
writeFileSync(input, ["red", "green", "blue", "green"].map((word) => `{"word":"${word}"}\n`).join(""))

let asked: Array<string> = []

const program = (last: number) =>
  Effect.gen(function* () {
    const item = Schema.Struct({ word: Schema.String })
    // The input is read, and the checkpoint locked, before anything is asked.
    const batch = yield* Batch.open({ input, output, item, resume: true })
    console.log(`${batch.earlier.done} of ${batch.items} are recorded`)
    return yield* batch.run(
      ({ word }, { idempotencyKey, index }) => {
        // The first life ends here, as by Ctrl-C or a power cut.
        if (index > last) return Effect.interrupt
        asked.push(word)
        return Llm.generateText({ messages: [{ role: "user", content: word }], idempotencyKey })
      },
      {
        concurrency: 1,
        equalBy: ({ word }) => word,
        describe: (result) =>
          Result.isSuccess(result)
            ? { value: result.success.text, usage: result.success.usage }
            : { attempts: result.failure.attempts }
      }
    )
  }).pipe(Effect.scoped)

const model = TestLlm.layer(({ messages }) => `${String(messages.at(-1)?.content).toUpperCase()}!`)
for (const last of [0, Infinity]) {
  asked = []
  await Effect.runPromiseExit(program(last).pipe(Effect.provide([model, NodeFileSystem.layer])))
  console.log(`asked: ${asked.join(", ")}`)
}
for (const line of readFileSync(output, "utf8").trimEnd().split("\n")) {
  const { duplicateOf, index, value } = JSON.parse(line)
  console.log(`${index} ${value}${duplicateOf === undefined ? "" : ` (as ${duplicateOf})`}`)
}
rmSync(folder, { recursive: true })
// Output:
// 0 of 4 are recorded
// asked: red
// 1 of 4 are recorded
// asked: green, blue
// 0 RED!
// 1 GREEN!
// 2 BLUE!
// 3 GREEN! (as 1)
