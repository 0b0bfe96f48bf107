/** What the parent does with a guest process that no longer keeps to the protocol of files. */
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Stream } from "effect"
import type { Sandbox } from "holdfast/sandbox"
import * as Child from "../../src/sandbox/internal/child.ts"
import { Guests } from "../../src/sandbox/internal/guests.ts"
import type { Wall } from "../../src/sandbox/internal/wall.ts"
import * as Session from "../../src/sandbox/internal/session.ts"

const liar = fileURLToPath(new URL("lyingGuest.ts", import.meta.url))

const mebibyte = 1 << 20

const lying = Effect.fnUntraced(function* (lie: string) {
  const wall: Wall = { os: "none", wrap: () => [process.execPath, liar, lie] }
  const boot = {
    language: "python",
    snapshotOnly: false,
    engine: "",
    variant: "",
    snapshot: "",
    memoryBytes: mebibyte,
    fileBytes: mebibyte,
    fileCount: 100,
    outputBytes: 1000,
    resultBytes: 1000,
    env: {}
  } as const
  const boots = Effect.orDie(Child.boot({ wall, readable: [], boot }, new Set()))
  const guests = yield* Guests.make({ provider: "local", first: "python", take: () => boots, fileCount: 100 })
  return yield* Session.make({
    id: "lying",
    userId: undefined,
    language: "python",
    languages: ["python", "javascript"],
    isolation: { engine: "none", process: "child", os: "none", network: "host" },
    env: {},
    cwd: undefined,
    lifetime: Duration.hours(1),
    guests,
    engineOf: (language) => (language === "python" ? "python" : "javascript"),
    grace: Duration.millis(500),
    maxTimeout: Duration.minutes(5),
    codeBytes: 1000,
    transferBytes: 2 * mebibyte,
    fileCount: 100,
    residentBytes: () => 1024 * mebibyte
  })
})

const read = ({ files }: Sandbox.Session) => files.read("a")
const list = ({ files }: Sandbox.Session) => files.list()
const download = ({ files }: Sandbox.Session) => Stream.runDrain(files.download("a"))
const move = ({ runCode }: Sandbox.Session) => runCode("1", { language: "javascript" })

describe("LocalSandbox", () => {
  it.live.each([
    ["unasked", read],
    ["number", read],
    ["kind", read],
    ["more", download],
    ["names", move],
    ["many", list],
    ["long", read]
  ] as const)("loses a session whose guest lies about %s", ([lie, use]) =>
    Effect.gen(function* () {
      const session = yield* lying(lie)
      const error = yield* Effect.flip<
        unknown,
        { readonly reason: { readonly _tag: string; readonly why?: unknown } },
        never
      >(use(session))
      assert.deepStrictEqual([error.reason._tag, error.reason.why], ["SessionLost", "protocol"])
      const after = yield* Effect.flip(session.files.write("a", ""))
      assert.strictEqual(after.code, "SessionLost")
    })
  )

  it.live("takes no more of a file than one call may carry, whatever its guest said", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip((yield* lying("endless")).files.read("a"))
      assert.strictEqual(error.code, "LimitExceeded")
    })
  )

  it.live("loses a session whose guest dies of a question", () =>
    Effect.gen(function* () {
      const { reason } = yield* Effect.flip((yield* lying("dies")).files.read("a"))
      assert.strictEqual(reason._tag === "SessionLost" && reason.why, "crashed")
    })
  )
})
