import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { Fault, TestHttpClient } from "holdfast/testing"

/** Makes `calls` logical calls against a plan, each sent again until it gets no fault, and returns the faults of each. */
const play = (plan: Fault.Plan, calls: number): Array<Array<Fault.Kind>> =>
  Array.from({ length: calls }, (_, call) => {
    const faults: Array<Fault.Kind> = []
    for (;;) {
      const fault = plan.dealUnsafe(`call ${call}`)
      if (fault === undefined) break
      faults.push(fault)
    }
    plan.answeredUnsafe(`call ${call}`)
    return faults
  })

const seeds = Array.from({ length: 50 }, (_, seed) => seed)

describe("Fault", () => {
  it.effect("spoils at least a quarter of all requests, each kind at least three times, in a run of 40 calls", () =>
    Effect.gen(function* () {
      for (const seed of seeds) {
        const plan = yield* Fault.plan({ seed })
        play(plan, 40)
        const { injected, requests } = yield* plan.tally
        const total = Object.values(injected).reduce((sum, n) => sum + n, 0)
        assert.isAtLeast(total, requests / 4, `seed ${seed}`)
        for (const kind of Fault.kinds) assert.isAtLeast(injected[kind], 3, `seed ${seed}, ${kind}`)
      }
    })
  )

  it.effect("never spoils more in a row of one call than it may, and never in the same way", () =>
    Effect.gen(function* () {
      for (const seed of seeds) {
        const faults = play(yield* Fault.plan({ seed, rate: 0.9, maxInARow: 3 }), 40)
        assert.isTrue(faults.some((kinds) => kinds.length === 3))
        for (const kinds of faults) {
          assert.isAtMost(kinds.length, 3)
          assert.strictEqual(new Set(kinds).size, kinds.length)
        }
      }
    })
  )

  it.effect("deals the same for the same seed and other faults for another", () =>
    Effect.gen(function* () {
      const first = play(yield* Fault.plan({ seed: 1 }), 40)
      assert.deepStrictEqual(play(yield* Fault.plan({ seed: 1 }), 40), first)
      assert.notDeepEqual(play(yield* Fault.plan({ seed: 2 }), 40), first)
    })
  )

  it.effect("counts a fault as survived only after its call was answered", () =>
    Effect.gen(function* () {
      const plan = yield* Fault.plan({ kinds: ["reset"] })
      assert.strictEqual(plan.dealUnsafe("a"), "reset")
      assert.deepInclude((yield* plan.tally).survived, { reset: 0 })
      plan.answeredUnsafe("b")
      assert.deepInclude((yield* plan.tally).survived, { reset: 0 })
      plan.answeredUnsafe("a")
      assert.deepInclude((yield* plan.tally).survived, { reset: 1 })
    })
  )

  it.effect("injects nothing at a rate of 0", () =>
    Effect.gen(function* () {
      const faults = play(yield* Fault.plan({ rate: 0 }), 40)
      assert.isTrue(faults.every((kinds) => kinds.length === 0))
    })
  )
})

describe("Fault.plan, asked for what can be played", () => {
  it.effect("deals only that, each kind as often as the others, and by itself the five that all can play", () =>
    Effect.gen(function* () {
      const plan = yield* Fault.plan({ kinds: Fault.allKinds, rate: 1 })
      const dealt = Array.from({ length: 90 }, (_, call) => plan.dealUnsafe(`${call}`, ["latency", "silence", "cut"]))
      for (const kind of ["latency", "silence", "cut"])
        assert.strictEqual(dealt.filter((one) => one === kind).length, 30)
      const others = Array.from({ length: 50 }, (_, call) => plan.dealUnsafe(`other ${call}`))
      assert.sameMembers([...new Set(others)], [...Fault.kinds])
    })
  )

  it("is made and read without Effect", () => {
    const plan = Fault.planUnsafe({ kinds: ["garbage"], rate: 1 })
    assert.isUndefined(plan.dealUnsafe("a", ["cut"]))
    assert.strictEqual(plan.dealUnsafe("a", ["cut", "garbage"]), "garbage")
    assert.deepInclude(plan.tallyUnsafe(), { requests: 2 })
    assert.strictEqual(plan.tallyUnsafe().injected.garbage, 1)
  })
})

const url = "http://provider.test/v1"
const body = "0123456789"

/** The first request through a plan of one kind, on a client that answers `body`. */
const firstRequest = (kind: Fault.Kind) =>
  Effect.gen(function* () {
    const plan = yield* Fault.plan({ kinds: [kind] })
    const client = (yield* HttpClient.HttpClient).pipe(Fault.httpClient(plan))
    return { send: client.get(url), plan }
  })

describe("Fault.httpClient", () => {
  it.layer(TestHttpClient.layer(body))((it) => {
    it.effect("answers 429 with a Retry-After, then lets the call through", () =>
      Effect.gen(function* () {
        const { plan, send } = yield* firstRequest("rateLimited")
        const refused = yield* send
        assert.strictEqual(refused.status, 429)
        assert.strictEqual(refused.headers["retry-after-ms"], "30")
        const answered = yield* send
        assert.strictEqual(yield* answered.text, body)
        assert.strictEqual((yield* plan.tally).survived.rateLimited, 1)
      })
    )

    it.effect("answers 503", () =>
      Effect.gen(function* () {
        const { send } = yield* firstRequest("unavailable")
        assert.strictEqual((yield* send).status, 503)
      })
    )

    it.effect("fails as a reset connection does", () =>
      Effect.gen(function* () {
        const { send } = yield* firstRequest("reset")
        const error = yield* Effect.flip(send)
        assert.strictEqual(error.reason._tag, "TransportError")
        assert.include(String(error.reason.cause), "ECONNRESET")
      })
    )

    it.effect("cuts the body in the middle", () =>
      Effect.gen(function* () {
        const { send } = yield* firstRequest("cut")
        const response = yield* send
        assert.strictEqual(response.status, 200)
        const error = yield* Effect.flip(response.text)
        assert.strictEqual(error._tag, "HttpClientError")
      })
    )

    it.effect("answers 500", () =>
      Effect.gen(function* () {
        const { send } = yield* firstRequest("serverError")
        assert.strictEqual((yield* send).status, 500)
      })
    )

    it.effect("fails as a refused connection does", () =>
      Effect.gen(function* () {
        const { send } = yield* firstRequest("refuse")
        const { reason } = yield* Effect.flip(send)
        assert.deepInclude(reason.cause, { code: "ECONNREFUSED" })
      })
    )

    it.effect("keeps the status and gives a body that is not the protocol's", () =>
      Effect.gen(function* () {
        const { send } = yield* firstRequest("garbage")
        const response = yield* send
        assert.strictEqual(response.status, 200)
        assert.strictEqual((yield* Effect.flip(response.json)).reason._tag, "DecodeError")
      })
    )

    it.effect("answers late by the clock, or never", () =>
      Effect.gen(function* () {
        const late = yield* Effect.forkChild((yield* firstRequest("latency")).send)
        const never = yield* Effect.forkChild((yield* firstRequest("silence")).send)
        yield* TestClock.adjust(1999)
        assert.isUndefined(late.pollUnsafe())
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* Effect.flatMap(Fiber.join(late), (response) => response.text), body)
        assert.isUndefined(never.pollUnsafe())
      })
    )

    it.effect("sends half of the body and then nothing more", () =>
      Effect.gen(function* () {
        const { send } = yield* firstRequest("stall")
        const response = yield* send
        const seen: Array<string> = []
        const reading = yield* Effect.forkChild(
          Stream.runForEach(Stream.decodeText(response.stream), (text) => Effect.sync(() => seen.push(text)))
        )
        while (seen.length === 0) yield* turn
        yield* turn
        assert.strictEqual(seen.join(""), "01234")
        assert.isUndefined(reading.pollUnsafe())
      })
    )
  })
})

/** Lets everything run that is ready to run. */
const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
