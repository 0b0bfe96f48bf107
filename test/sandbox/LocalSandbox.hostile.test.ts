/**
 * Programs that try to get out: every one of them, each in a session of its own, with and without the operating
 * system's wall; of our own `npm test` tries one half with it and the other without, `.ci/run` all on two more Nodes. The
 * limits are small, so that what fills them does so soon; `test/soak/hostile.test.ts` has the defaults.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"
import { halves } from "../soak/scale.ts"
import { allContained, corpus, host, missingCorpus, own } from "./hostile.ts"
import { guests } from "./processes.ts"

const mebibyte = 1024 * 1024
const limits = { pythonMemoryBytes: 192 * mebibyte, javascriptMemoryBytes: 96 * mebibyte, fileBytes: 32 * mebibyte }
const sandbox = (os: "off" | "require") =>
  LocalSandbox.layer({ os, maxSessions: 4, pool: { python: 2, javascript: 1 }, limits })

const hasWall = await Effect.runPromise(
  Effect.scoped(Sandbox.create({ language: "javascript" })).pipe(
    Effect.map(({ isolation }) => isolation.os === "bubblewrap"),
    Effect.provide(LocalSandbox.layer({ pool: { python: 0 } }))
  )
)

if (!hasWall) {
  const missing = "LocalSandbox behind bubblewrap: this machine has none that works"
  if (process.env["CI"] !== undefined) throw new Error(missing)
  process.stderr.write(`SKIPPED: ${missing}\n`)
}

describe.each(["off", "require"] as const)("LocalSandbox, os: %s", (os) => {
  const run = (snippets: typeof own) =>
    Effect.flatMap(host, (host) => allContained(snippets, host, 2)).pipe(
      Effect.provide(sandbox(os)),
      Effect.scoped,
      Effect.tap((endings) => Effect.sync(() => console.info(JSON.stringify(endings)))),
      Effect.andThen(Effect.sync(() => assert.deepStrictEqual(guests(), [])))
    )

  it.live.skipIf(os === "require" && !hasWall)(
    "contains our own snippets",
    () => run(halves(own, os === "require")),
    1_200_000
  )

  it.live.skipIf(os === "require" && !hasWall)(
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
