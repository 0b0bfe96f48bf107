/** Programs that try to get out, with the limits that users have: all of them in the soak, a tenth in `npm test`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LocalSandbox } from "holdfast/sandbox"
import { allContained, corpus, host, own } from "../sandbox/hostile.ts"
import { guests } from "../sandbox/processes.ts"
import { sample } from "./scale.ts"

describe("LocalSandbox with its default limits", () => {
  it.live(
    "contains them all",
    () =>
      Effect.flatMap(host, (host) => allContained(sample([...own, ...(corpus ?? [])]), host, 2)).pipe(
        Effect.provide(LocalSandbox.layer({ maxSessions: 3 })),
        Effect.scoped,
        Effect.andThen(Effect.sync(() => assert.deepStrictEqual(guests(), [])))
      ),
    1_800_000
  )
})
