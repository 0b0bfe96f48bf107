/** Against a real redis-server of its own, on a Unix socket. Where there is none, CI fails and others are told. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { Circuit } from "holdfast/policy"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0
const isSkipped = !hasRedis && process.env.CI !== "true"

const folder = mkdtempSync(join(tmpdir(), "holdfast-redis-"))
const path = join(folder, "redis.sock")
let server: ChildProcess | undefined

/** A circuit with a connection of its own, as another process has it. */
const circuitOfAnother = Effect.gen(function* () {
  const redis = NodeRedis.layer({ socket: { path, tls: false } })
  const stores = yield* Layer.build(Layer.fresh(Layer.provide(CircuitBreaker.layerStoreRedis(), Layer.fresh(redis))))
  const store = yield* Effect.provide(CircuitBreaker.CircuitBreakerStore, stores)
  return yield* Circuit.make({ failures: 2, openFor: "300 millis", failureIf: () => true, store })
})

describe(`Circuit in Redis${isSkipped ? " (skipped: there is no redis-server; apt-get install redis-server)" : ""}`, () => {
  beforeAll(async () => {
    if (isSkipped) return
    expect(hasRedis, "CI needs redis-server").toBe(true)
    const options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder]
    server = spawn("redis-server", options, { stdio: "ignore" })
    await vi.waitFor(() => expect(existsSync(path)).toBe(true), { timeout: 20_000 })
  })

  afterAll(() => {
    server?.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  })

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
      expect(yield* Effect.delay(trial, "300 millis")).toBe("up")
      expect(yield* here.protect("k")(Effect.succeed("up, too"))).toBe("up, too")
    }).pipe(Effect.scoped, Effect.runPromise)
  )
})
