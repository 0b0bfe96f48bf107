import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Duration, Effect, Exit, Fiber, Redacted, Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { UndiciHttpClient } from "holdfast/http"
import { EvolutionLlm, Llm, LlmError, TokenAuth } from "holdfast/llm"
import { Policy, type Retryable } from "holdfast/policy"
import { inspect } from "node:util"
import { given, keyId, secret, startEvolution, tokenOf } from "../fixtures/evolution.ts"
import { recording } from "../policy/tracer.ts"

const busy = new LlmError.ServerError({ description: "busy", status: 503 })

/** A source whose fetches wait until they are let go, each with a token of its own. */
const gated = (options: Partial<TokenAuth.Options> & { readonly expiresIn?: Duration.Input } = {}) =>
  Effect.gen(function* () {
    const { expiresIn, ...rest } = options
    const fetches: Array<Deferred.Deferred<void, LlmError.Reason>> = []
    let interrupted = 0
    const fetch = Effect.gen(function* () {
      const gate = yield* Deferred.make<void, LlmError.Reason>()
      const count = fetches.push(gate)
      yield* Effect.onInterrupt(Deferred.await(gate), () => Effect.sync(() => interrupted++))
      return { value: Redacted.make(`token-${count}`), expiresIn }
    })
    const auth = yield* TokenAuth.make({ name: "the tokens", fetch, ...rest })
    return {
      auth,
      token: Effect.map(auth.token, Redacted.value),
      fetches,
      interrupted: () => interrupted,
      letGo: (count: number) =>
        Effect.asVoid(Deferred.succeed(fetches[count - 1] ?? assert.fail("no fetch"), undefined)),
      fail: (count: number) => Effect.asVoid(Deferred.fail(fetches[count - 1] ?? assert.fail("no fetch"), busy))
    }
  })

const now = { startImmediately: true } as const

/** Lets fibers that were woken run. */
const turn = Effect.yieldNow

describe("TokenAuth", () => {
  it.effect("fetches on first use, once for all who wait, and keeps the token", () =>
    Effect.gen(function* () {
      const { fetches, letGo, token } = yield* gated()
      assert.strictEqual(fetches.length, 0)
      const waiting = yield* Effect.forEach(Array(20).keys(), () => Effect.forkChild(token, now))
      assert.strictEqual(fetches.length, 1)
      yield* letGo(1)
      assert.deepStrictEqual(new Set(yield* Fiber.joinAll(waiting)), new Set(["token-1"]))
      // Without a word from the source a token lives for an hour.
      yield* TestClock.adjust(Duration.seconds(3600 - 31))
      assert.strictEqual(yield* token, "token-1")
      assert.strictEqual(fetches.length, 1)
    })
  )

  it.effect("replaces a token ahead of its end, and hands the old one out meanwhile", () =>
    Effect.gen(function* () {
      const { fetches, letGo, token } = yield* gated({ expiresIn: "10 minutes" })
      const first = yield* Effect.forkChild(token, now)
      yield* letGo(1)
      yield* Fiber.join(first)
      yield* TestClock.adjust("570 seconds")
      assert.deepStrictEqual(yield* Effect.all([token, token, token]), ["token-1", "token-1", "token-1"])
      assert.strictEqual(fetches.length, 2)
      yield* letGo(2)
      yield* turn
      assert.strictEqual(yield* token, "token-2")
      assert.strictEqual(fetches.length, 2)
    })
  )

  it.effect("makes callers wait once the token has ended", () =>
    Effect.gen(function* () {
      const { fetches, letGo, token } = yield* gated({ expiresIn: "10 minutes" })
      const first = yield* Effect.forkChild(token, now)
      yield* letGo(1)
      yield* Fiber.join(first)
      yield* TestClock.adjust("10 minutes")
      const second = yield* Effect.forkChild(token, now)
      assert.isUndefined(second.pollUnsafe())
      assert.strictEqual(fetches.length, 2)
      yield* letGo(2)
      assert.strictEqual(yield* Fiber.join(second), "token-2")
    })
  )

  it.effect("keeps a token of a few seconds for half of its life", () =>
    Effect.gen(function* () {
      const { fetches, letGo, token } = yield* gated({ expiresIn: "20 seconds" })
      const first = yield* Effect.forkChild(token, now)
      yield* letGo(1)
      yield* Fiber.join(first)
      yield* TestClock.adjust("9 seconds")
      yield* token
      assert.strictEqual(fetches.length, 1)
      yield* TestClock.adjust("1 seconds")
      yield* token
      assert.strictEqual(fetches.length, 2)
    })
  )

  it.effect("shares a failure with those who waited, and asks anew after it", () =>
    Effect.gen(function* () {
      const { fail, fetches, letGo, token } = yield* gated()
      const waiting = yield* Effect.forEach(Array(3).keys(), () => Effect.forkChild(Effect.flip(token), now))
      yield* fail(1)
      assert.deepStrictEqual(new Set(yield* Fiber.joinAll(waiting)), new Set([busy]))
      assert.strictEqual(fetches.length, 1)
      const next = yield* Effect.forkChild(token, now)
      yield* letGo(2)
      assert.strictEqual(yield* Fiber.join(next), "token-2")
    })
  )

  it.effect("lives on the old token while its replacement fails, and asks again after a pause", () =>
    Effect.gen(function* () {
      const { fail, fetches, letGo, token } = yield* gated({ expiresIn: "10 minutes" })
      const first = yield* Effect.forkChild(token, now)
      yield* letGo(1)
      yield* Fiber.join(first)
      yield* TestClock.adjust("580 seconds")
      yield* token
      yield* fail(2)
      yield* turn
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* token, "token-1")
      assert.strictEqual(fetches.length, 2)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* token, "token-1")
      assert.strictEqual(fetches.length, 3)
    })
  )

  it.effect("hands no ended token out after a failure", () =>
    Effect.gen(function* () {
      const { fail, fetches, token } = yield* gated({ expiresIn: "10 minutes" })
      const first = yield* Effect.forkChild(token, now)
      yield* Deferred.succeed(fetches[0] ?? assert.fail("no fetch"), undefined)
      yield* Fiber.join(first)
      yield* TestClock.adjust("597 seconds")
      yield* token
      yield* fail(2)
      yield* turn
      // The pause after the failure is longer than the token's life.
      yield* TestClock.adjust("3 seconds")
      const second = yield* Effect.forkChild(Effect.flip(token), now)
      assert.strictEqual(fetches.length, 3)
      yield* fail(3)
      assert.strictEqual(yield* Fiber.join(second), busy)
      const third = yield* Effect.forkChild(token, now)
      assert.isUndefined(third.pollUnsafe())
      assert.strictEqual(fetches.length, 4)
      yield* Fiber.interrupt(third)
    })
  )

  it.effect("goes on for the others when the first who waited is interrupted", () =>
    Effect.gen(function* () {
      const { fetches, interrupted, letGo, token } = yield* gated()
      const first = yield* Effect.forkChild(token, now)
      const second = yield* Effect.forkChild(token, now)
      yield* Fiber.interrupt(first)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(first)))
      yield* letGo(1)
      assert.strictEqual(yield* Fiber.join(second), "token-1")
      assert.deepStrictEqual([fetches.length, interrupted()], [1, 0])
    })
  )

  it.effect("keeps what was fetched for callers who have all left", () =>
    Effect.gen(function* () {
      const { fetches, letGo, token } = yield* gated()
      const only = yield* Effect.forkChild(token, now)
      yield* Fiber.interrupt(only)
      yield* letGo(1)
      yield* turn
      assert.strictEqual(yield* token, "token-1")
      assert.strictEqual(fetches.length, 1)
    })
  )

  it.effect("forgets a refused token by its value, and only while it is the one in force", () =>
    Effect.gen(function* () {
      const { auth, fetches, letGo, token } = yield* gated()
      const first = yield* Effect.forkChild(token, now)
      yield* letGo(1)
      yield* Fiber.join(first)
      const refused = Redacted.make("token-1")
      yield* auth.invalidate(refused)
      const second = yield* Effect.forkChild(token, now)
      // Others who were refused with the old token come while the new one is fetched, and after it.
      yield* auth.invalidate(refused)
      yield* letGo(2)
      assert.strictEqual(yield* Fiber.join(second), "token-2")
      yield* auth.invalidate(refused)
      assert.strictEqual(yield* token, "token-2")
      assert.strictEqual(fetches.length, 2)
    })
  )

  it.effect("joins the replacement that is under way when the old token is refused", () =>
    Effect.gen(function* () {
      const { auth, fetches, letGo, token } = yield* gated({ expiresIn: "10 minutes" })
      const first = yield* Effect.forkChild(token, now)
      yield* letGo(1)
      yield* Fiber.join(first)
      yield* TestClock.adjust("585 seconds")
      yield* auth.invalidate(Redacted.make(yield* token))
      const second = yield* Effect.forkChild(token, now)
      yield* letGo(2)
      assert.strictEqual(yield* Fiber.join(second), "token-2")
      assert.strictEqual(fetches.length, 2)
    })
  )

  it.effect("gives a fetch thirty seconds", () =>
    Effect.gen(function* () {
      const { fetches, interrupted, token } = yield* gated()
      const waiting = yield* Effect.forkChild(Effect.flip(token), now)
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      const reason = yield* Fiber.join(waiting)
      assert.deepInclude(reason, { _tag: "Unreachable", isRetryable: true, phase: "notSent" })
      assert.include(reason.message, "the tokens: no token within 30000 ms")
      assert.deepStrictEqual([fetches.length, interrupted()], [1, 1])
    })
  )

  it.effect("ends with its scope, and tells who waits that it is closing", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { fetches, interrupted, token } = yield* Scope.provide(gated(), scope)
      const waiting = yield* Effect.forkChild(Effect.flip(token), now)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Draining")
      assert.strictEqual((yield* Effect.flip(token))._tag, "Draining")
      assert.deepStrictEqual([fetches.length, interrupted()], [1, 1])
    })
  )

  it.effect("fetches in the trace of the call that needs the token, and otherwise in a context of its own", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const Caller = Context.Reference<string>("test/Caller", { defaultValue: () => "nobody" })
      const seen: Array<string> = []
      const fetch = Effect.map(Caller, (caller) => {
        seen.push(caller)
        return { value: Redacted.make("token-1") }
      }).pipe(Effect.withSpan("fetch"))
      const auth = yield* TokenAuth.make({ name: "the tokens", fetch })
      // A deadline of one caller is a service of this kind; it must not end what all wait for.
      const call = Effect.provideService(auth.token, Caller, "the first")
      yield* call.pipe(Effect.withSpan("call"), Effect.withTracer(tracer))
      assert.deepStrictEqual(seen, ["nobody"])
      const [outer, fetched] = spans
      assert.deepStrictEqual([outer?.name, fetched?.name], ["call", "fetch"])
      assert.strictEqual(fetched?.parent._tag === "Some" && fetched.parent.value.spanId, outer?.spanId)
    })
  )

  it.effect("is a defect for all who wait when its fetch is one", () =>
    Effect.gen(function* () {
      const auth = yield* TokenAuth.make({ name: "the tokens", fetch: Effect.die("a bug") })
      const exit = yield* Effect.exit(auth.token)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it.effect("takes the last tokens out of texts, and prints none", () =>
    Effect.gen(function* () {
      let count = 0
      const fetch = Effect.sync(() => ({ value: Redacted.make(`token-${++count}`) }))
      const auth = yield* TokenAuth.make({ name: "the tokens", fetch })
      for (let at = 0; at < 5; at++) yield* auth.invalidate(yield* auth.token)
      assert.strictEqual(
        auth.redact?.("token-5 token-4, token-3; token-2 token-1"),
        "<redacted> <redacted>, <redacted>; <redacted> token-1"
      )
      assert.notInclude(inspect(auth, { depth: 9, showHidden: true }) + JSON.stringify(auth), "token-5")
    })
  )
})

/** The tokens of an IAM that answers all requests the same. */
const answering = (status: number, body: string, headers: Record<string, string> = {}) =>
  TokenAuth.evolution({ keyId, secret: Redacted.make(secret), url: "https://iam.test/token" }).pipe(
    Effect.provideService(
      HttpClient.HttpClient,
      HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
      )
    )
  )

describe("TokenAuth.evolution", () => {
  it.live("builds without the network, and fetches with the key pair", () =>
    Effect.gen(function* () {
      const cloud = yield* evolution
      const auth = yield* TokenAuth.evolution({ keyId, secret: Redacted.make(secret), url: cloud.tokenUrl })
      assert.deepStrictEqual(cloud.tokenRequests, [])
      assert.strictEqual(Redacted.value(yield* auth.token), tokenOf(1))
      assert.deepStrictEqual(cloud.tokenRequests, [{ keyId, secret }])
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )

  it.effect("reads how long a token is valid", () =>
    Effect.gen(function* () {
      const lives: ReadonlyArray<readonly [object, number]> = [
        [{ expires_in: 120 }, 120],
        [{ expires_in: "120" }, 120],
        [{ expires_in: undefined }, 3600],
        [{ expires_in: 0 }, 3600],
        [{ expires_in: "soon" }, 3600]
      ]
      for (const [fields, seconds] of lives) {
        let requests = 0
        const client = HttpClient.make((request) => {
          const body = given(tokenOf(++requests), fields)
          return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body)))
        })
        const options = { keyId, secret: Redacted.make(secret) }
        const auth = yield* Effect.provideService(TokenAuth.evolution(options), HttpClient.HttpClient, client)
        yield* auth.token
        yield* TestClock.adjust(Duration.seconds(seconds - 31))
        yield* auth.token
        assert.strictEqual(requests, 1, JSON.stringify(fields))
        yield* TestClock.adjust("31 seconds")
        yield* auth.token
        assert.strictEqual(requests, 2, JSON.stringify(fields))
      }
    })
  )

  const said = (message: string): string => JSON.stringify({ message })
  const table: ReadonlyArray<
    readonly [number, string, LlmError.Reason["_tag"], boolean, Retryable.Phase, string, Record<string, string>?]
  > = [
    [
      401,
      said("no such key"),
      "Unauthorized",
      false,
      "rejected",
      `the key pair with the keyId "${keyId}": no such key`
    ],
    [403, "", "Unauthorized", false, "rejected", `the key pair with the keyId "${keyId}"`],
    [400, said(`bad secret ${secret}`), "InvalidRequest", false, "rejected", "status 400: bad secret <redacted>"],
    [404, "<html>not here</html>", "InvalidRequest", false, "rejected", "answers with status 404)"],
    [307, "", "InvalidRequest", false, "rejected", "the redirect 307", { location: "https://elsewhere.test" }],
    // Whatever is wrong there, nothing of the call that waits was sent, and it is not the model that throttles.
    [429, "", "Unreachable", true, "notSent", "status 429", { "retry-after": "7" }],
    [500, said("oops"), "Unreachable", true, "notSent", "status 500"],
    [503, "", "Unreachable", true, "notSent", "status 503"],
    [200, "{}", "InvalidResponse", true, "answered", "answers without an access_token"],
    [200, '{"token":"a-token-by-another-name"}', "InvalidResponse", true, "answered", "without an access_token"],
    [200, "<html>", "InvalidResponse", true, "answered", "without an access_token"]
  ]

  it.effect.each(table)("reads %i %s as %s", ([status, body, tag, isRetryable, phase, words, headers]) =>
    Effect.gen(function* () {
      const auth = yield* answering(status, body, headers)
      const reason = yield* Effect.flip(auth.token)
      assert.deepStrictEqual([reason._tag, reason.isRetryable, reason.phase], [tag, isRetryable, phase])
      assert.include(reason.message, "the token endpoint https://iam.test/token")
      assert.include(reason.message, words)
      const printed = inspect(reason, { depth: 9, showHidden: true }) + String(reason) + JSON.stringify(reason)
      assert.notInclude(printed, secret)
      assert.notInclude(printed, "a-token-by-another-name")
    })
  )

  it.live("says where nobody listens, with nothing of the call sent", () =>
    Effect.gen(function* () {
      const options = { keyId, secret: Redacted.make(secret), url: "http://127.0.0.1:1/token" }
      const auth = yield* TokenAuth.evolution(options)
      const reason = yield* Effect.flip(auth.token)
      assert.deepInclude(reason, { _tag: "Unreachable", isRetryable: true, phase: "notSent" })
      assert.include(reason.message, "the token endpoint http://127.0.0.1:1/token")
      assert.notInclude(inspect(reason, { depth: 9, showHidden: true }), secret)
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )

  it.effect("says that a URL is none", () =>
    Effect.gen(function* () {
      const auth = yield* TokenAuth.evolution({ keyId, secret: Redacted.make(secret), url: "nonsense" })
      const reason = yield* Effect.flip(auth.token)
      assert.strictEqual(reason._tag, "InvalidRequest")
      assert.include(reason.message, "the token endpoint nonsense")
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )

  it.live("fetches one new token for twenty callers whose token has expired, and repeats each once", () =>
    Effect.gen(function* () {
      const cloud = yield* evolution
      const llm = EvolutionLlm.layer({
        keyId,
        secret: Redacted.make(secret),
        baseUrl: cloud.baseUrl,
        tokenUrl: cloud.tokenUrl
      })
      yield* Effect.gen(function* () {
        assert.strictEqual(cloud.tokenRequests.length, 0)
        yield* Llm.generateText("hi")
        cloud.revoke()
        const calls = Array.from({ length: 20 }, () => Llm.generateText("hi"))
        const answers = yield* Effect.all(calls, { concurrency: "unbounded" })
        assert.isTrue(answers.every(({ attempts, text }) => text === "hello" && attempts.length === 1))
      }).pipe(Effect.provide(llm))
      assert.strictEqual(cloud.tokenRequests.length, 2)
      const statuses = cloud.modelRequests.map(({ status }) => status)
      assert.deepStrictEqual(
        [200, 401].map((status) => statuses.filter((one) => one === status).length),
        [21, 20]
      )
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )

  it.live("fails with Unauthorized when the new token is refused, too", () =>
    Effect.gen(function* () {
      const cloud = yield* evolution
      cloud.answer = { status: 403, body: said(`${tokenOf(2)} may not do this`) }
      const options = { keyId, secret: Redacted.make(secret), baseUrl: cloud.baseUrl, tokenUrl: cloud.tokenUrl }
      const failure = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), EvolutionLlm.layer(options)))
      assert.strictEqual(failure.code, "Unauthorized")
      assert.include(failure.message, "<redacted> may not do this")
      assert.deepStrictEqual([cloud.tokenRequests.length, cloud.modelRequests.length], [2, 2])
      assert.strictEqual(failure.attempts.length, 1)
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )

  it.live("leaves an IAM that fails to the policy of the call", () =>
    Effect.gen(function* () {
      const cloud = yield* evolution
      cloud.replyTo = (count) => (count === 1 ? { status: 503, body: "" } : undefined)
      const policy = Policy.make({ retry: { base: 1 } })
      const options = { keyId, secret: Redacted.make(secret), baseUrl: cloud.baseUrl, tokenUrl: cloud.tokenUrl, policy }
      const { attempts, text } = yield* Effect.provide(Llm.generateText("hi"), EvolutionLlm.layer(options))
      assert.strictEqual(text, "hello")
      assert.deepStrictEqual(
        attempts.map(({ outcome }) => outcome),
        ["Unreachable", "ok"]
      )
      assert.deepStrictEqual([cloud.tokenRequests.length, cloud.modelRequests.length], [2, 1])
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )
})

/** A loopback IAM and its model, closed with the test. */
const evolution = Effect.acquireRelease(
  Effect.promise(() => startEvolution()),
  (cloud) => Effect.promise(() => cloud[Symbol.asyncDispose]())
)
