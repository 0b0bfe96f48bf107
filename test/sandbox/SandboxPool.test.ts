import { assert, describe, it } from "@effect/vitest"
import { Deferred, type Duration, Effect, Exit, Fiber, Layer, Ref, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Deadline, Policy } from "holdfast/policy"
import { LocalSandbox, Sandbox, SandboxError, SandboxPool } from "holdfast/sandbox"
import { TestSandbox } from "holdfast/testing"
import * as Carried from "../../src/http/internal/carried.ts"
import { guests } from "./processes.ts"

/** A pool over a sandbox by script, and what the script was given. */
const over = (options: SandboxPool.Options, script: TestSandbox.Script = "") =>
  SandboxPool.layer(options).pipe(Layer.provideMerge(TestSandbox.layer(script)))

/** Lets what is ready to run in the background do so. */
const settle = TestClock.adjust(0)

const counts = Effect.gen(function* () {
  const { created, open } = yield* TestSandbox.Journal
  yield* settle
  return { created: yield* Ref.get(created), open: yield* Ref.get(open) }
})

/** The ids of the sessions that were checked, in order: the test's own sandbox names them by their number. */
const checked = Effect.gen(function* () {
  const { runs } = yield* TestSandbox.Journal
  return (yield* Ref.get(runs)).filter(({ code }) => code === "pass").map(({ sessionId }) => sessionId)
})

describe("SandboxPool", () => {
  it.effect("makes sessions ahead, and hands each to one caller alone", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* counts, { created: 2, open: 2 })
      const first = yield* Effect.scoped(Effect.map(Sandbox.create(), ({ id }) => id))
      // The used one is gone, and another one is made in its place.
      assert.deepStrictEqual(yield* counts, { created: 3, open: 2 })
      const second = yield* Effect.scoped(Effect.map(Sandbox.create(), ({ id }) => id))
      assert.deepStrictEqual([first, second], ["test-1", "test-2"])
      assert.deepStrictEqual(yield* checked, ["test-1", "test-2"])
    }).pipe(Effect.provide(over({ min: 2 })))
  )

  it.effect("keeps a class of sessions apart from the others", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* counts, { created: 2, open: 2 })
      const one = yield* Sandbox.create({ language: "javascript", userId: "u-1" })
      assert.deepInclude(one, { id: "test-2", userId: "u-1" })
      const two = yield* Sandbox.create({ env: { B: "2", A: "1" } })
      assert.strictEqual(two.id, "test-1")
      // Nothing is made ahead for options that nobody named: this one is made now.
      yield* counts
      const other = yield* Sandbox.create({ cwd: "/tmp" })
      const { created } = yield* counts
      assert.strictEqual(other.id, `test-${created}`)
    }).pipe(Effect.scoped, Effect.provide(over({ classes: [{ env: { A: "1", B: "2" } }, { language: "javascript" }] })))
  )

  it.effect("hands out no session that is not well", () =>
    Effect.gen(function* () {
      yield* settle
      const session = yield* Sandbox.create()
      assert.strictEqual(session.id, "test-3")
      assert.deepStrictEqual(yield* checked, ["test-1", "test-2", "test-3"])
      assert.deepStrictEqual(yield* counts, { created: 5, open: 3 })
    }).pipe(
      Effect.scoped,
      Effect.provide(
        over({ min: 2 }, (run) => {
          if (run.sessionId === "test-1") return TestSandbox.raised("Broken", "")
          if (run.sessionId !== "test-2") return ""
          return Effect.fail(TestSandbox.failure(new SandboxError.SessionLost({ why: "gone", description: "gone" })))
        })
      )
    )
  )

  it.effect("says so when a fresh session is not well either", () =>
    Effect.gen(function* () {
      yield* settle
      const error = yield* Effect.flip(Effect.scoped(Sandbox.create()))
      assert.deepInclude(error.reason, { _tag: "Unavailable", transient: true })
      assert.strictEqual((yield* counts).open, 1)
    }).pipe(Effect.provide(over({ healthCheck: () => Effect.succeed(false) })))
  )

  it.effect("gives a session up whose check hangs", () =>
    Effect.gen(function* () {
      yield* settle
      const creating = yield* Effect.forkChild(Sandbox.create())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(creating)).id, "test-2")
    }).pipe(Effect.scoped, Effect.provide(over({ min: 2 }, (run) => (run.sessionId === "test-1" ? Effect.never : ""))))
  )

  it.effect("holds no more sessions than it may, and lets callers wait in line", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Effect.forEach([1, 2], () => Scope.provide(Sandbox.create(), scope))
      assert.deepStrictEqual(yield* counts, { created: 2, open: 2 })
      const third = yield* Effect.forkChild(Effect.scoped(Effect.map(Sandbox.create(), ({ id }) => id)))
      yield* settle
      const refused = yield* Effect.flip(Effect.scoped(Sandbox.create()))
      assert.deepInclude(refused.reason, { _tag: "LimitExceeded", limit: "queue" })
      assert.deepStrictEqual(yield* counts, { created: 2, open: 2 })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(third), "test-3")
    }).pipe(Effect.provide(over({ max: 2, maxQueue: 1 })))
  )

  it.effect("gives up what is ready for others, for a caller who would wait", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* counts, { created: 2, open: 2 })
      const session = yield* Sandbox.create({ language: "javascript" })
      assert.strictEqual(session.id, "test-3")
      assert.deepStrictEqual(yield* counts, { created: 3, open: 2 })
    }).pipe(Effect.scoped, Effect.provide(over({ min: 2, max: 2 })))
  )

  it.effect("does for itself what it does, under nothing that the call says which makes it do so", () => {
    const around: Array<string> = []
    // What a request below would be sent with.
    const note = (what: string) =>
      Effect.withFiber((fiber) =>
        Effect.sync(() => {
          const { headers, idempotencyKey = "-" } = fiber.getRef(Carried.Current)
          const priority = fiber.getRef(Policy.Override)?.priority ?? "-"
          const deadline = fiber.getRef(Deadline.Current) < Infinity ? "late" : "-"
          around.push(`${what} ${headers?.["x-call"] ?? "-"} ${idempotencyKey} ${priority} ${deadline}`)
        })
      )
    const noting = Layer.effect(
      Sandbox.Sandbox,
      Effect.map(Sandbox.Sandbox, ({ create }) => ({
        create: (options?: Sandbox.CreateOptions) =>
          Effect.gen(function* () {
            const session = yield* create(options)
            yield* note(`make ${session.id}`)
            // Not `Effect.addFinalizer`, which runs it as it is here.
            yield* Scope.addFinalizer(yield* Effect.scope, note(`kill ${session.id}`))
            return session
          })
      }))
    ).pipe(Layer.provide(TestSandbox.layer("")))
    const pool = SandboxPool.layer({
      max: 2,
      healthCheck: ({ id }) => Effect.as(note(`check ${id}`), id !== "test-1")
    }).pipe(Layer.provide(noting))
    const create = (options: Sandbox.CreateOptions) =>
      Sandbox.create(options).pipe(
        Deadline.within("1 hour"),
        Effect.provideService(Policy.Override, { priority: "high" }),
        Effect.provideService(Carried.Current, { headers: { "x-call": "mine" }, idempotencyKey: "k" })
      )
    return Effect.gen(function* () {
      yield* settle
      yield* create({})
      yield* settle
      // In the place of the one that is ready.
      yield* create({ language: "javascript" })
      yield* settle
      assert.deepStrictEqual(around, [
        "make test-1 - - - -",
        // Without the key: what runs next would be answered with the check.
        "check test-1 mine - high late",
        "kill test-1 - - - -",
        "make test-2 mine k high late",
        "check test-2 mine - high late",
        "make test-3 - - - -",
        "kill test-3 - - - -",
        "make test-4 mine k high late",
        "check test-4 mine - high late"
      ])
    }).pipe(Effect.scoped, Effect.provide(pool))
  })

  it.effect("gives the place of a ready session to who had it killed, not to who came meanwhile", () =>
    Effect.gen(function* () {
      const killed = yield* Deferred.make<void>()
      const slow = Layer.effect(
        Sandbox.Sandbox,
        Effect.map(Sandbox.Sandbox, ({ create }) => ({
          create: (options?: Sandbox.CreateOptions) =>
            Effect.tap(create(options), ({ id }) =>
              Effect.addFinalizer(() => (id === "test-1" ? Deferred.await(killed) : Effect.void))
            )
        }))
      ).pipe(Layer.provide(TestSandbox.layer("")))
      const pool = SandboxPool.layer({ max: 1 }).pipe(Layer.provide(slow))
      yield* Effect.gen(function* () {
        yield* settle
        const served: Array<string> = []
        const caller = (name: string, createTimeout: Duration.Input = "30 seconds") =>
          Effect.forkChild(
            Effect.scoped(
              Effect.tap(Sandbox.create({ language: "javascript", createTimeout }), () =>
                Effect.sync(() => served.push(name))
              )
            ),
            { startImmediately: true }
          )
        const left = yield* caller("left", "1 second")
        const first = yield* caller("first")
        const second = yield* caller("second")
        // Who waits for the kill no longer waits than it will.
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isFailure(yield* Fiber.await(left)))
        yield* Deferred.done(killed, Exit.void)
        yield* Fiber.joinAll([first, second])
        assert.deepStrictEqual(served, ["first", "second"])
      }).pipe(Effect.provide(pool))
    })
  )

  it.effect("gives up what is ready where nobody may wait, too", () => {
    const slow = Layer.effect(
      Sandbox.Sandbox,
      Effect.map(Sandbox.Sandbox, ({ create }) => ({
        create: (options?: Sandbox.CreateOptions) =>
          Effect.tap(create(options), () => Effect.addFinalizer(() => Effect.yieldNow))
      }))
    ).pipe(Layer.provide(TestSandbox.layer("")))
    return Effect.gen(function* () {
      yield* settle
      assert.strictEqual((yield* Sandbox.create({ language: "javascript" })).id, "test-2")
      const refused = yield* Effect.flip(Sandbox.create())
      assert.deepInclude(refused.reason, { _tag: "LimitExceeded", limit: "queue" })
    }).pipe(Effect.scoped, Effect.provide(SandboxPool.layer({ max: 1, maxQueue: 0 }).pipe(Layer.provide(slow))))
  })

  it.effect("ends a wait at createTimeout, and keeps nothing of it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(Sandbox.create(), scope)
      const waiting = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(Sandbox.create({ createTimeout: "2 seconds" })))
      )
      yield* TestClock.adjust("2 seconds")
      assert.include((yield* Fiber.join(waiting)).message, "no session within 2s")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Sandbox.create()).id, "test-2")
    }).pipe(Effect.scoped, Effect.provide(over({ max: 1 })))
  )

  it.effect("replaces what was ready for too long", () =>
    Effect.gen(function* () {
      yield* settle
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* counts, { created: 1, open: 1 })
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual(yield* counts, { created: 2, open: 1 })
      assert.strictEqual((yield* Sandbox.create()).id, "test-2")
    }).pipe(Effect.scoped, Effect.provide(over({ maxIdle: "1 minute" })))
  )

  it.effect("tries again later what could not be made ahead, and tells who needs it now", () => {
    const busy = TestSandbox.failure(new SandboxError.Unavailable({ description: "busy", transient: true }))
    return Effect.gen(function* () {
      yield* settle
      assert.strictEqual(yield* Effect.flip(Effect.scoped(Sandbox.create())), busy)
      assert.deepStrictEqual(yield* counts, { created: 0, open: 0 })
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* counts, { created: 1, open: 1 })
    }).pipe(
      Effect.provide(
        SandboxPool.layer().pipe(
          Layer.provideMerge(
            Layer.effect(
              Sandbox.Sandbox,
              Effect.map(Sandbox.Sandbox, ({ create }) => ({
                // Two of the pool's own rounds and one caller: that is 30 seconds of virtual time.
                create: (options) =>
                  Effect.flatMap(
                    Effect.clockWith((clock) => clock.currentTimeMillis),
                    (now) => (now < 30_000 ? Effect.fail(busy) : create(options))
                  )
              }))
            )
          ),
          Layer.provideMerge(TestSandbox.layer(""))
        )
      )
    )
  })

  it.effect("gives a session its whole lifetime from when it is handed out", () => {
    const extended: Array<unknown> = []
    const remembering = Layer.effect(
      Sandbox.Sandbox,
      Effect.map(Sandbox.Sandbox, ({ create }) => ({
        create: (options) =>
          Effect.map(create(options), (session) => ({
            ...session,
            extend: (lifetime) => Effect.sync(() => extended.push([session.id, lifetime]))
          }))
      }))
    )
    return Effect.gen(function* () {
      yield* settle
      yield* Sandbox.create({ lifetime: "5 minutes" })
      assert.deepStrictEqual(extended, [["test-1", "5 minutes"]])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        SandboxPool.layer({ classes: [{ lifetime: "300 seconds" }] }).pipe(
          Layer.provide(remembering),
          Layer.provide(TestSandbox.layer(""))
        )
      )
    )
  })

  it.effect("kills what is ready and what is handed out when it is closed", () =>
    Effect.gen(function* () {
      const test = yield* Layer.build(TestSandbox.layer(""))
      const scope = yield* Scope.make()
      const pool = yield* Layer.build(SandboxPool.layer({ min: 2 })).pipe(Scope.provide(scope), Effect.provide(test))
      yield* settle
      yield* Sandbox.create().pipe(Effect.provide(pool))
      assert.strictEqual((yield* Effect.provide(counts, test)).open, 3)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* Effect.provide(counts, test)).open, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("gives back a session whose caller left while it was made", () => {
    const begun = Deferred.makeUnsafe<void>()
    const slow = Layer.effect(
      Sandbox.Sandbox,
      Effect.map(Sandbox.Sandbox, ({ create }) => ({
        create: (options) =>
          Effect.tap(create(options), () =>
            Effect.andThen(Deferred.succeed(begun, undefined), Effect.sleep("1 minute"))
          )
      }))
    )
    return Effect.gen(function* () {
      const creating = yield* Effect.forkChild(Effect.scoped(Sandbox.create()))
      yield* Deferred.await(begun)
      assert.strictEqual((yield* counts).open, 1)
      yield* Fiber.interrupt(creating)
      assert.strictEqual((yield* counts).open, 0)
    }).pipe(
      Effect.provide(
        SandboxPool.layer({ classes: [] }).pipe(Layer.provide(slow), Layer.provideMerge(TestSandbox.layer("")))
      )
    )
  })

  it.live("serves real sessions, and leaves no process", () =>
    Effect.gen(function* () {
      const before = guests()
      const pooled = SandboxPool.layer({ classes: [{ language: "javascript" }], max: 2 }).pipe(
        Layer.provide(LocalSandbox.layer({ maxSessions: 2 }))
      )
      const ran = Effect.gen(function* () {
        const session = yield* Sandbox.create({ language: "javascript" })
        yield* session.runCode("let x = 20")
        const run = yield* session.runCode("typeof x + (x + 1)")
        return { id: session.id, value: run.results[0]?.["text/plain"] }
      })
      const [one, two] = yield* Effect.all([Effect.scoped(ran), Effect.scoped(ran)]).pipe(Effect.provide(pooled))
      assert.strictEqual(one.value, "'number21'")
      assert.strictEqual(two.value, "'number21'")
      assert.notStrictEqual(one.id, two.id)
      assert.deepStrictEqual(guests(), before)
    })
  )
})
