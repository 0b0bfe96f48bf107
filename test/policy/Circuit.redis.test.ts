/** Against a real redis-server. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Effect, Layer } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { Circuit } from "holdfast/policy"
import { describe, expect, it } from "vitest"
import { isSkipped, notice, useRedis } from "./redis.ts"

const { path } = useRedis()

/** A circuit with a connection of its own, as another process has it. */
const circuitOfAnother = Effect.gen(function* () {
  const redis = NodeRedis.layer({ socket: { path, tls: false } })
  const stores = yield* Layer.build(Layer.fresh(Layer.provide(CircuitBreaker.layerStoreRedis(), Layer.fresh(redis))))
  const store = yield* Effect.provide(CircuitBreaker.CircuitBreakerStore, stores)
  return yield* Circuit.make({ failures: 2, openFor: "3 seconds", failureIf: () => true, store })
})

describe(`Circuit in Redis${notice}`, () => {
  it.skipIf(isSkipped)("is opened by the failures of all, and closed by the trial of one", { timeout: 60_000 }, () =>
    Effect.gen(function* () {
      const [here, there] = yield* Effect.all([circuitOfAnother, circuitOfAnother])
      const fail = (circuit: Circuit.Circuit) => Effect.exit(circuit.protect("k")(Effect.fail("down")))
      const refused = (circuit: Circuit.Circuit) => Effect.flip(circuit.protect("k")(Effect.die("sent")))
      yield* fail(here)
      yield* fail(there)
      expect((yield* refused(here))._tag).toBe("CircuitOpen")
      expect((yield* refused(there))._tag).toBe("CircuitOpen")
      expect(here.openUntilUnsafe("k")).toBeDefined()

      const trial = Effect.retry(there.protect("k")(Effect.succeed("up")), { times: 500 })
      expect(yield* Effect.delay(trial, "3 seconds")).toBe("up")
      expect(yield* here.protect("k")(Effect.succeed("up, too"))).toBe("up, too")
    }).pipe(Effect.scoped, Effect.runPromise)
  )
})
