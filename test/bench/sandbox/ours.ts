/** LocalSandbox, measured in a process of its own: `node ours.ts <language> <starts> <runs>`. */
import { rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber, Stream } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"
import { guestBytes } from "../../sandbox/processes.ts"
import type { Figures } from "./Figures.ts"

const [chosen, starts, runs] = process.argv.slice(2)
const language = chosen === "javascript" ? "javascript" : "python"
const programs = {
  python: {
    loop: "while True: pass",
    begun: "print('begun', flush=True)\nwhile True: pass",
    native: "sum(range(10 ** 12))",
    flood: "line = 'x' * 1023\nfor _ in range(10240): print(line)"
  },
  javascript: {
    loop: "for (;;) {}",
    begun: "console.log('begun'); await new Promise((r) => setTimeout(r, 30)); for (;;) {}",
    native: "'x'.repeat(1 << 22).split('').sort()",
    flood: "const line = 'x'.repeat(1023); for (let i = 0; i < 10240; i++) console.log(line)"
  }
}[language]

const options = { os: "off", pool: { python: 0 }, maxSessions: 8 } as const

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => performance.now() - start)
  })

const times = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.all(Array.from({ length: count }, () => effect))

const create = Sandbox.create({ language })
const once = Sandbox.runCode("1 + 1", { language })
/** Until the answer is there, and until the session is: what its end takes comes after it. */
const answer = Effect.scoped(timed(Effect.andThen(create, (session) => session.runCode("1 + 1"))))
const made = Effect.scoped(timed(create))

/** One sandbox is made before the clock starts, so that a snapshot is there. */
const cold = Effect.andThen(once, times(Number(starts), answer)).pipe(Effect.provide(LocalSandbox.layer(options)))

const bare = Effect.suspend(() => {
  const file = join(tmpdir(), `holdfast-bench-${process.pid}`)
  writeFileSync(file, "") // a file where the folder should be: nothing can be kept
  return Effect.andThen(once, times(Math.min(3, Number(starts)), answer)).pipe(
    Effect.provide(LocalSandbox.layer({ ...options, cacheDir: file })),
    Effect.ensuring(Effect.sync(() => rmSync(file)))
  )
})

const pooled = Effect.gen(function* () {
  yield* Effect.scoped(create)
  const taken = Effect.andThen(Effect.sleep("3 seconds"), made)
  return yield* times(Math.min(5, Number(starts)), taken)
}).pipe(Effect.provide(LocalSandbox.layer({ ...options, pool: { python: 1, javascript: 1 } })))

const sessionsPerSecond = Effect.gen(function* () {
  yield* once
  const total = Number(starts) * 2
  const millis = yield* timed(
    Effect.all(
      Array.from({ length: total }, () => once),
      { concurrency: 2 }
    )
  )
  return (total / millis) * 1000
}).pipe(Effect.provide(LocalSandbox.layer(options)))

const warm = Effect.gen(function* () {
  const session = yield* create
  const run = session.runCode("1 + 1")
  yield* times(200, run)
  const warmMillis = yield* times(Number(runs), timed(run))
  const total = warmMillis.reduce((sum, millis) => sum + millis, 0)
  return { warmMillis, runsPerSecond: (warmMillis.length / total) * 1000, residentMegabytes: guestBytes() / 1e6 }
}).pipe(Effect.scoped, Effect.provide(LocalSandbox.layer(options)))

const output = Effect.gen(function* () {
  const session = yield* create
  const flood = session.runCode(programs.flood)
  yield* flood
  return (10.48576 / (yield* timed(flood))) * 1000
}).pipe(Effect.scoped, Effect.provide(LocalSandbox.layer({ ...options, limits: { outputBytes: 16 << 20 } })))

const cancelled = Effect.gen(function* () {
  const session = yield* create
  const running = yield* session.streamCode(programs.begun).pipe(
    Stream.runForEach(() => Effect.void),
    Effect.forkChild({ startImmediately: true })
  )
  yield* Effect.sleep("150 millis")
  const millis = yield* timed(Effect.andThen(Fiber.interrupt(running), session.runCode("1")))
  return millis
}).pipe(Effect.scoped)

const past = (code: string, more: number) =>
  Effect.gen(function* () {
    const session = yield* create
    return (yield* timed(session.runCode(code, { timeout: 300 }))) - 300 - more
  }).pipe(Effect.scoped)

const measure = Effect.gen(function* () {
  const few = Math.min(5, Number(starts))
  const onOne = <A, E>(effect: Effect.Effect<A, E, Sandbox.Sandbox>) =>
    Effect.provide(times(few, effect), LocalSandbox.layer(options))
  const figures: Figures = {
    name: `LocalSandbox, ${language}`,
    coldMillis: yield* cold,
    ...(language === "python" ? { bareMillis: yield* bare } : {}),
    pooledMillis: yield* pooled,
    sessionsPerSecond: yield* sessionsPerSecond,
    ...(yield* warm),
    outputPerSecond: yield* output,
    cancelMillis: yield* onOne(cancelled),
    softMillis: yield* onOne(past(programs.loop, 0)),
    hardMillis: yield* onOne(past(programs.native, 500))
  }
  return figures
})

process.send?.(await Effect.runPromise(measure))
process.exit(0)
