import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { ResilientHttpClient } from "holdfast/http"
import { Attempt, Policy, PolicyError } from "holdfast/policy"

type Step = number | "reset" | "refused" | { readonly status: number; readonly headers: Record<string, string> }

/** A client that answers by a script, and counts what reached it. */
const scripted = (...steps: ReadonlyArray<Step>) => {
  const state = { requests: 0 }
  const client = HttpClient.make((request) => {
    const step = steps[state.requests++ % steps.length] ?? 200
    if (step === "reset" || step === "refused") {
      const cause = Object.assign(new Error(step), { code: step === "reset" ? "ECONNRESET" : "ECONNREFUSED" })
      const reason = new HttpClientError.TransportError({ request, cause })
      return Effect.fail(new HttpClientError.HttpClientError({ reason }))
    }
    const { headers, status } = typeof step === "number" ? { status: step, headers: {} } : step
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(`body ${status}`, { status, headers })))
  })
  return { client, state }
}

const run = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
    return yield* Fiber.join(fiber)
  })

const under = (client: HttpClient.HttpClient, options: Policy.Options = {}) =>
  Effect.map(Policy.open(Policy.make(options)), (held) => ResilientHttpClient.wrap(client, held))

const get = HttpClientRequest.get("http://example.test/a")
const post = HttpClientRequest.post("http://example.test/a")

describe("ResilientHttpClient", () => {
  it.effect("returns a failed response with its body when no retry is left to pay", () =>
    Effect.gen(function* () {
      const { client, state } = scripted(503)
      const http = yield* under(client, { retryBudget: { floor: 1, ratio: 0 } })
      const [first, second] = yield* run(Effect.all([http.execute(get), http.execute(get)], { concurrency: 2 }))
      // Both found a retry in the budget before their wait, and one of them after it.
      assert.strictEqual(state.requests, 3)
      assert.strictEqual(yield* first.text, "body 503")
      assert.strictEqual(yield* second.text, "body 503")
    })
  )

  it.effect("tries a GET again and tells the story", () =>
    Effect.gen(function* () {
      const { client, state } = scripted(503, "reset", 429, 200)
      const recorder = new Attempt.Recorder()
      const http = yield* under(client, { retry: { retries: 3 } })
      const response = yield* run(Effect.provideService(http.execute(get), Attempt.Story, recorder))
      assert.strictEqual(response.status, 200)
      assert.strictEqual(state.requests, 4)
      assert.deepStrictEqual(
        recorder.attempts.map(({ endpoint, outcome }) => [endpoint, outcome]),
        ["Status503", "TransportError", "Status429", "ok"].map((outcome) => ["http://example.test", outcome])
      )
    })
  )

  it.effect("sends `retries` times more at the most, over all failures together", () =>
    Effect.gen(function* () {
      const { client, state } = scripted(503, 503, 503, "reset")
      const http = yield* under(client, { retry: { retries: 3 } })
      yield* run(Effect.exit(http.execute(get)))
      assert.strictEqual(state.requests, 4)
    })
  )

  it.effect("returns the last answer as it is, as the stock client does", () =>
    Effect.gen(function* () {
      const { client } = scripted(503)
      const response = yield* run((yield* under(client)).execute(get))
      assert.strictEqual(response.status, 503)
      assert.strictEqual(yield* response.text, "body 503")
    })
  )

  it.effect("leaves other answers alone", () =>
    Effect.gen(function* () {
      const { client, state } = scripted(404)
      assert.strictEqual((yield* run((yield* under(client)).execute(get))).status, 404)
      assert.strictEqual(state.requests, 1)
    })
  )

  it.effect("re-sends a POST when it was refused or rejected, and after a reset only when it has a key", () =>
    Effect.gen(function* () {
      const requestsOf = (request: HttpClientRequest.HttpClientRequest, ...steps: ReadonlyArray<Step>) =>
        Effect.gen(function* () {
          const { client, state } = scripted(...steps)
          yield* run(Effect.exit((yield* under(client)).execute(request)))
          return state.requests
        })
      assert.strictEqual(yield* requestsOf(post, "refused"), 3)
      assert.strictEqual(yield* requestsOf(post, 429), 3)
      assert.strictEqual(yield* requestsOf(post, "reset"), 1)
      assert.strictEqual(yield* requestsOf(post, 500), 1)
      const keyed = HttpClientRequest.setHeader(post, "Idempotency-Key", "k")
      assert.strictEqual(yield* requestsOf(keyed, "reset"), 3)
    })
  )

  it.effect("obeys x-should-retry and Retry-After", () =>
    Effect.gen(function* () {
      const stop = scripted({ status: 500, headers: { "x-should-retry": "false" } })
      yield* run((yield* under(stop.client)).execute(get))
      assert.strictEqual(stop.state.requests, 1)
      const long = scripted({ status: 429, headers: { "retry-after": "61" } })
      const response = yield* run((yield* under(long.client)).execute(get))
      assert.strictEqual(response.headers["retry-after"], "61")
      assert.strictEqual(long.state.requests, 1)
    })
  )

  it.effect("says what the policy refused", () =>
    Effect.gen(function* () {
      const never = HttpClient.make(() => Effect.never)
      const http = yield* under(never, { retry: { retries: 0 }, timeout: { attempt: "5 seconds" } })
      const error = yield* run(Effect.flip(http.execute(get)))
      assert.instanceOf(ResilientHttpClient.refusal(error), PolicyError.AttemptTimeout)
      assert.strictEqual(error.reason._tag, "TransportError")
    })
  )

  it.effect("sends exactly once under the send of another policy", () =>
    Effect.gen(function* () {
      const { client, state } = scripted(503)
      const http = yield* under(client, { retry: { retries: 5, base: 0 } })
      const outer = yield* Policy.open(Policy.make({ retry: { retries: 2, base: 0 } }))
      const send = Effect.flatMap(http.execute(get), ({ status }) =>
        Effect.fail({ isRetryable: true, phase: "rejected", status } as const)
      )
      const exit = yield* run(Effect.exit(outer.apply({ key: "outer", safety: "idempotent" })(send)))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(state.requests, 3)
    })
  )
})
