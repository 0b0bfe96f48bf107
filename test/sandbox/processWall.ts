/** Whether this machine has what ProcessSandbox needs; where not, its tests are skipped, and CI fails. */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import { ProcessSandbox, Sandbox } from "holdfast/sandbox"

const missing = ["/usr/bin/bwrap", "/usr/bin/python3"].filter((path) => !existsSync(path))

const reason =
  missing.length > 0
    ? `${missing.join(" and ")} missing`
    : await Effect.runPromise(
        Effect.scoped(Sandbox.create({ language: "python" })).pipe(
          Effect.as(""),
          Effect.catch((error) => Effect.succeed(error.message)),
          Effect.provide(ProcessSandbox.layer())
        )
      )

export const hasWall = reason === ""

if (!hasWall) {
  if (process.env["CI"] !== undefined) throw new Error(`ProcessSandbox cannot be tested: ${reason}`)
  process.stderr.write(`SKIPPED: ProcessSandbox: ${reason}\n`)
}
