/** The hostile programs on the system's interpreters: all of them in the soak, a tenth in `npm test`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ProcessSandbox } from "holdfast/sandbox"
import { sample } from "../soak/scale.ts"
import { allContained, corpus, host, missingCorpus, own } from "./hostile.ts"
import { hasWall } from "./processWall.ts"
import { guests } from "./processes.ts"

const run = (snippets: typeof own) =>
  Effect.flatMap(host, (host) => allContained(sample(snippets), host, 2)).pipe(
    Effect.provide(ProcessSandbox.layer({ maxSessions: 4 })),
    Effect.scoped,
    Effect.tap((endings) => Effect.sync(() => console.info(JSON.stringify(endings)))),
    Effect.andThen(Effect.sync(() => assert.deepStrictEqual(guests(), [])))
  )

describe.skipIf(!hasWall)("ProcessSandbox", () => {
  it.live("contains our own snippets", () => run(own), 1_200_000)

  it.live(
    "contains the corpus",
    (context) => {
      if (corpus !== undefined) return run(corpus)
      if (process.env["CI"] !== undefined) throw new Error(missingCorpus)
      console.warn(missingCorpus)
      return context.skip(missingCorpus)
    },
    1_200_000
  )
})
