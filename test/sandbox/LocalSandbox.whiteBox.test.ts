/**
 * What holds when an engine is broken: an attacker with all of its memory, all of its imports and all of its function
 * table reaches nothing of the host. (Programs that get there from Python are among the hostile snippets.)
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as Child from "../../src/sandbox/internal/child.ts"
import * as Engines from "../../src/sandbox/internal/engines.ts"
import { verdict } from "../../src/sandbox/internal/imports.ts"
import * as Snapshot from "../../src/sandbox/internal/snapshot.ts"
import * as Wall from "../../src/sandbox/internal/wall.ts"
import { atScale } from "../soak/scale.ts"

const mebibyte = 1024 * 1024

interface Plan {
  readonly attack: "imports" | "table" | "memory"
  readonly seed: number
  readonly rounds: number
  readonly from: number
  readonly step: number
  readonly names?: ReadonlyArray<string>
}

/** What an attack came to. It is `undefined` where one call never returned. */
interface Ended {
  readonly reached: ReadonlyArray<string>
  readonly denied: ReadonlyArray<string>
  readonly tally: Readonly<Record<string, number>>
}

interface Told {
  readonly ended: Ended | undefined
  readonly doing: string | number | undefined
  readonly length: number
  readonly stderr: string
}

/** A call that takes this long is taken for an endless one; a real guest would be killed at its timeout. */
const stallMillis = 3000

const prepare = Effect.fnUntraced(function* (language: "python" | "javascript") {
  const engine = yield* Engines.find(language)
  const limits = { memoryBytes: 256 * mebibyte, fileBytes: 16 * mebibyte, fileCount: 2000 }
  const boot = {
    language,
    engine: engine.engine,
    variant: engine.variant,
    snapshot: "",
    snapshotOnly: false,
    env: {},
    outputBytes: mebibyte,
    resultBytes: mebibyte,
    ...limits
  }
  const start = { wall: yield* Wall.find("off"), readable: engine.folders, boot }
  if (language === "javascript") return start
  const snapshot = yield* Snapshot.prepare(yield* Snapshot.defaultFolder, start)
  return { ...start, readable: [...start.readable, snapshot], boot: { ...boot, snapshot } }
})

/** Starts the attacker with the flags of a guest. */
const attack = (start: Child.Start, plan: Plan): Effect.Effect<Told, never, Scope.Scope> =>
  Effect.callback<Told>((resume) => {
    const folder = import.meta.dirname
    const [program, ...args] = Child.command(start.wall, [...start.readable, folder, `${folder}/../soak`])
    args[args.length - 1] = `${folder}/whiteBoxGuest.ts`
    args.push(JSON.stringify({ ...start.boot, nonce: "n" }), JSON.stringify(plan))
    const child = spawn(program, args, { cwd: "/", env: {}, stdio: ["ignore", "pipe", "pipe"] })
    let told: Told = { ended: undefined, doing: undefined, length: 0, stderr: "" }
    let rest = ""
    let stall = setTimeout(() => child.kill("SIGKILL"), 30_000)
    child.stderr.on("data", (part: Buffer) => {
      told = { ...told, stderr: (told.stderr + part.toString()).slice(0, 500) }
    })
    child.stdout.on("data", (part: Buffer) => {
      clearTimeout(stall)
      stall = setTimeout(() => child.kill("SIGKILL"), stallMillis)
      const lines = (rest + part.toString()).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) {
        const said = JSON.parse(line)
        told = { ...told, ...said, ended: said.done === true ? said : undefined }
      }
    })
    child.on("close", () => {
      clearTimeout(stall)
      resume(Effect.succeed(told))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const wasm = readFileSync(createRequire(import.meta.url).resolve("pyodide/pyodide.asm.wasm"))
const imports = WebAssembly.Module.imports(new WebAssembly.Module(wasm))
const names = imports.filter((item) => item.kind === "function").map((item) => item.name)

const nothing = { attack: "imports", seed: 1, rounds: 0, from: 0, step: 1 } as const

describe("an attacker in the engine", () => {
  it.live(
    "who calls every import with any arguments reaches nothing, and is ended by each that is not allowed",
    () =>
      Effect.gen(function* () {
        const start = yield* prepare("python")
        const { doing, ended, stderr } = yield* attack(start, { ...nothing, names, rounds: atScale(100) })
        assert.deepStrictEqual(ended?.reached, [], `${doing} ${stderr}`)
        const forbidden = names.filter((name) => verdict(name) === "denied")
        const denied = (ended?.denied ?? []).filter((end) => end.startsWith("violation ")).map((end) => end.slice(10))
        assert.deepStrictEqual(new Set(denied), new Set(forbidden))
      }),
    120_000
  )

  it.live(
    "who calls the function table reaches nothing",
    () =>
      Effect.gen(function* () {
        const start = yield* prepare("python")
        const total = atScale(2000)
        let length = 14_196
        let calls = 0
        for (let from = 1; from < length;) {
          const step = Math.ceil(length / total)
          const told = yield* attack(start, { ...nothing, attack: "table", seed: from, rounds: total, from, step })
          assert.deepStrictEqual(told.ended?.reached ?? [], [], `${told.doing} ${told.stderr}`)
          assert.isAbove(told.length, 0, told.stderr)
          length = told.length
          calls += 1
          // One that never came back is a program that runs out of time. On with the next.
          from = told.ended === undefined ? Number(told.doing ?? from) + step : length
        }
        assert.isAbove(calls, 0)
      }),
    900_000
  )

  for (const language of ["python", "javascript"] as const)
    it.live(
      `who writes all over the memory of ${language} reaches nothing`,
      () =>
        Effect.gen(function* () {
          const start = yield* prepare(language)
          for (let seed = 1; seed <= atScale(10); seed++) {
            const told = yield* attack(start, { ...nothing, attack: "memory", seed, rounds: 200 })
            assert.deepStrictEqual(told.ended?.reached ?? [], [], `${told.doing} ${told.stderr}`)
            assert.isDefined(told.doing, told.stderr)
          }
        }),
      300_000
    )

  it.live("who calls every import of the JavaScript engine reaches nothing but a timer that never fires", () =>
    Effect.gen(function* () {
      const start = yield* prepare("javascript")
      const { doing, ended, stderr } = yield* attack(start, { ...nothing, rounds: atScale(1000) })
      assert.isDefined(ended, `${doing} ${stderr}`)
      // The process never returns to its event loop, so `setitimer` only costs the memory of a timer.
      assert.deepStrictEqual(
        (ended?.reached ?? []).filter((call) => !call.startsWith("setTimeout(")),
        []
      )
    })
  )
})
