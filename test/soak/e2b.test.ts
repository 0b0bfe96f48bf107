/** The whole contract over E2B's protocol, against the fake: some thirty Python processes. In `npm test` its parts are `E2bSandbox.test.ts`. */
import { describe } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { E2bSandbox } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.ts"
import { python, startE2b } from "../fixtures/e2b.ts"

const isWhole = process.env["SOAK_SCALE"] === "1"

const layer = Layer.unwrap(
  Effect.gen(function* () {
    const e2b = yield* Effect.acquireRelease(
      Effect.promise(() => startE2b({ keepaliveMillis: 100 })),
      (e2b) => Effect.promise(() => e2b.close())
    )
    const { apiUrl, sandboxUrl } = e2b
    return E2bSandbox.layer({ apiKey: Redacted.make(e2b.apiKey), apiUrl, sandboxUrl, grace: "500 millis" })
  })
).pipe(Layer.provide(UndiciHttpClient.layer()))

describe.skipIf(python === undefined || !isWhole)("E2bSandbox", () => {
  contract("E2bSandbox", layer, ["python"], { shell: true, quotes: false })
})
