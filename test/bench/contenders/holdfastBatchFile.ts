/** A batch from a file into a file: each record is in the checkpoint, and then in the output. */
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Schema } from "effect"
import { Batch } from "holdfast/work"
import type { Contender } from "../Contender.ts"

const task = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

export const contender: Contender = {
  name: "holdfast Batch, file",
  jobs: async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
    let batches = 0
    return {
      run: async (count) => {
        const input = join(folder, `${batches++}.jsonl`)
        writeFileSync(input, "1\n".repeat(count))
        const { worked } = await Batch.open({ input, output: `${input}.out`, item: Schema.Int }).pipe(
          Effect.flatMap((batch) => batch.run(() => task)),
          Effect.scoped,
          Effect.provide(NodeFileSystem.layer),
          Effect.runPromise
        )
        return { units: worked, firstMillis: [] }
      },
      close: async () => {}
    }
  }
}
