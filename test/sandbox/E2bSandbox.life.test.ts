/** A sandbox of E2B from its making to its end: what is asked of the control plane, and that nothing is left over. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { UndiciHttpClient } from "holdfast/http"
import { Policy } from "holdfast/policy"
import { E2bSandbox, Sandbox } from "holdfast/sandbox"
import { afterAll, afterEach, beforeAll } from "vitest"
import { type E2b, startE2b } from "../fixtures/e2b.ts"
import { accessTo, callsOf, policy, refuses, until, within } from "./e2bLayer.ts"

let e2b: E2b

beforeAll(async () => {
  e2b = await startE2b()
})

afterEach(() => {
  for (const { id } of e2b.boxes()) e2b.expire(id)
})

afterAll(() => e2b.close())

const creates = "POST /v2/sandboxes"
const kills = "DELETE /sandboxes/*"

const reasonOf = <A, E, R>(self: Effect.Effect<A, { readonly reason: E }, R>) =>
  Effect.map(Effect.flip(self), (error) => error.reason)

const called = (name: string, times?: number) => Effect.promise(() => e2b.called(name, times))

const total = (name: string) => callsOf(e2b, name).length

describe("E2bSandbox, its machines", () => {
  it.effect("makes a sandbox of what it is asked for, and kills it when the scope closes", () =>
    Effect.gen(function* () {
      const since = e2b.calls.length
      yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* Sandbox.create({
            env: { A: "plain", B: "it's" },
            lifetime: "61.5 seconds",
            userId: "u"
          })
          assert.strictEqual(e2b.boxes()[0]?.id, session.id)
          assert.strictEqual(session.userId, "u")
          assert.deepStrictEqual(session.isolation, { engine: "e2b", process: "remote", os: "remote", network: "none" })
          yield* session.extend("2 minutes")
          assert.deepStrictEqual(e2b.boxes()[0]?.timeouts, [62, 120])
        })
      )
      assert.deepStrictEqual(e2b.boxes(), [])
      const [made] = callsOf(e2b, creates, since)
      const { metadata, ...body } = JSON.parse(made?.body ?? "")
      const wanted = { templateID: "base", timeout: 62, envVars: { A: "plain" }, allow_internet_access: false }
      assert.deepStrictEqual(body, wanted)
      assert.deepStrictEqual(Object.keys(metadata), ["team", "holdfast.create"])
      assert.strictEqual(made?.headers["x-api-key"], e2b.apiKey)
      assert.deepStrictEqual(callsOf(e2b, kills, since).length, 1)
    }).pipe(within(e2b, { template: "base", metadata: { team: "t" }, allowInternetAccess: false }))
  )

  it.effect("kills it too when its program fails or is interrupted", () =>
    Effect.gen(function* () {
      yield* Effect.flip(Effect.scoped(Effect.andThen(Sandbox.create(), Effect.fail("no"))))
      assert.deepStrictEqual(e2b.boxes(), [])
      const made = yield* Deferred.make<void>()
      const stays = Sandbox.create().pipe(
        Effect.andThen(Deferred.succeed(made, undefined)),
        Effect.andThen(Effect.never),
        Effect.scoped
      )
      const fiber = yield* Effect.forkChild(stays)
      yield* Deferred.await(made)
      assert.strictEqual(e2b.boxes().length, 1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(e2b.boxes(), [])
    }).pipe(within(e2b))
  )

  it.effect("waits as E2B asks when there are too many, and says what else is refused", () =>
    Effect.gen(function* () {
      const waits: Array<[string, unknown]> = []
      const onRetry: NonNullable<Policy.Options["retry"]>["onRetry"] = ({ cause, error }) =>
        Effect.sync(() => void waits.push([cause, error instanceof Object && Reflect.get(error, "_tag")]))
      const watched = Policy.make({ retry: { retries: 2, base: 0, onRetry }, retryBudget: false })
      const create = (options?: Partial<E2bSandbox.Options>) =>
        Effect.scoped(Sandbox.create()).pipe(within(e2b, { policy: watched, ...options }))
      e2b.fail(creates, refuses(429, { code: 429, message: "too many" }, { "retry-after-ms": "5" }))
      const fiber = yield* Effect.forkChild(create())
      yield* called(creates, total(creates) + 1)
      yield* until(() => waits.length > 0)
      yield* TestClock.adjust("5 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(waits, [["retryAfter", "RateLimited"]])

      const since = e2b.calls.length
      const wrong = yield* reasonOf(create({ apiKey: Redacted.make("e2b_0") }))
      assert.strictEqual(wrong._tag, "Unauthorized")
      assert.strictEqual(callsOf(e2b, creates, since).length, 1)
      assert.strictEqual((yield* reasonOf(create({ template: "nobody" })))._tag, "InvalidRequest")
      assert.strictEqual((yield* reasonOf(create({ lifetime: "2 hours" })))._tag, "InvalidRequest")
    })
  )

  it.effect("tries again where there is no capacity, and not where there never will be", () =>
    Effect.gen(function* () {
      const no = (status: number, error_code: string) => refuses(status, { code: status, message: "no", error_code })
      const since = e2b.calls.length
      e2b.fail(creates, no(503, "sandbox_capacity_unavailable"), no(504, "sandbox_placement_timeout"))
      yield* Effect.scoped(Sandbox.create())
      assert.strictEqual(callsOf(e2b, creates, since).length, 3)
      e2b.fail(creates, no(503, "sandbox_no_compatible_node"))
      const reason = yield* reasonOf(Effect.scoped(Sandbox.create()))
      assert.deepInclude(reason, { _tag: "Unavailable", transient: false })
      assert.strictEqual(callsOf(e2b, creates, since).length, 4)
      e2b.fail(creates, ...[1, 2, 3].map(() => no(500, "sandbox_create_failed")))
      const failed = yield* reasonOf(Effect.scoped(Sandbox.create()))
      assert.deepInclude(failed, { _tag: "Unavailable", transient: true })
      assert.include(failed.message, "sandbox_create_failed")
    }).pipe(within(e2b))
  )

  it.effect("sends a making again under the same tag, and kills what the lost answer had made", () =>
    Effect.gen(function* () {
      const before = { kills: total(kills), made: e2b.made(), calls: e2b.calls.length }
      e2b.fail(creates, { reset: "after" })
      const session = yield* Sandbox.create()
      yield* called(kills, before.kills + 1)
      assert.strictEqual(e2b.made() - before.made, 2)
      assert.deepStrictEqual(
        e2b.boxes().map(({ id }) => id),
        [session.id]
      )
      const tags = callsOf(e2b, creates, before.calls).map(({ body }) => JSON.parse(body).metadata["holdfast.create"])
      assert.strictEqual(tags.length, 2)
      assert.strictEqual(new Set(tags).size, 1)
    }).pipe(Effect.scoped, within(e2b))
  )

  it.effect("finds what an interrupted making has made, also when it is made late", () =>
    Effect.gen(function* () {
      const before = { kills: total(kills), lists: total("GET /v2/sandboxes") }
      const made = Promise.withResolvers<void>()
      // It is made when nobody waits for it any more.
      e2b.fail(creates, { after: made.promise })
      const fiber = yield* Effect.forkChild(Effect.scoped(Sandbox.create()))
      yield* until(() => callsOf(e2b, creates).some(({ isOver }) => !isOver))
      yield* Fiber.interrupt(fiber)
      yield* called("GET /v2/sandboxes", before.lists + 1)
      assert.deepStrictEqual(e2b.boxes(), [])
      made.resolve()
      yield* until(() => e2b.boxes().length > 0)
      yield* TestClock.adjust("1 second")
      yield* called(kills, before.kills + 1)
      assert.deepStrictEqual(e2b.boxes(), [])
    }).pipe(within(e2b))
  )

  it.effect("looks once more when the layer closes, for what was given up just before", () =>
    Effect.gen(function* () {
      const held = Promise.withResolvers<void>()
      e2b.fail(creates, { until: held.promise })
      const made = e2b.made()
      const fiber = yield* Effect.forkChild(Effect.scoped(Sandbox.create()).pipe(within(e2b)))
      yield* until(() => e2b.made() > made)
      yield* Fiber.interrupt(fiber)
      held.resolve()
      assert.deepStrictEqual(e2b.boxes(), [])
    })
  )

  it.effect("gives up a making at its time, and looks for what it made", () =>
    Effect.gen(function* () {
      const made = e2b.made()
      const never = Promise.withResolvers<void>()
      e2b.fail(creates, { until: never.promise })
      const fiber = yield* Effect.forkChild(reasonOf(Effect.scoped(Sandbox.create({ createTimeout: "10 seconds" }))))
      yield* until(() => e2b.made() > made)
      const before = total(kills)
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "Unavailable", transient: true })
      yield* called(kills, before + 1)
      assert.deepStrictEqual(e2b.boxes(), [])
      never.resolve()
    }).pipe(within(e2b))
  )

  it.effect("leaves no machine of resets that overlap, nor of one that the session's end overtakes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(Sandbox.create(), scope)
      const made = e2b.made()
      yield* Effect.all([session.reset, session.reset], { concurrency: 2 })
      assert.strictEqual(e2b.made() - made, 2)
      assert.strictEqual(e2b.boxes().length, 1)
      const held = Promise.withResolvers<void>()
      e2b.fail(creates, { until: held.promise })
      const late = yield* Effect.forkChild(session.reset)
      yield* until(() => e2b.made() - made === 3)
      yield* Scope.close(scope, Exit.void)
      held.resolve()
      yield* Fiber.join(late)
      assert.deepStrictEqual(e2b.boxes(), [])
    }).pipe(within(e2b))
  )

  it.effect("kills nobody else's machine where the list is not filtered", () =>
    Effect.gen(function* () {
      const other = yield* Sandbox.create()
      const kept = { sandboxID: other.id, metadata: { "holdfast.create": "another" } }
      const before = { kills: total(kills), lists: total("GET /v2/sandboxes") }
      e2b.fail(creates, { reset: "after" })
      e2b.fail("GET /v2/sandboxes", { status: 200, body: JSON.stringify([kept, { sandboxID: "nameless" }]) })
      yield* Sandbox.create()
      yield* called("GET /v2/sandboxes", before.lists + 1)
      yield* TestClock.adjust("1 second")
      // The second look, whose list is the server's own.
      yield* called(kills, before.kills + 1)
      assert.strictEqual(total(kills) - before.kills, 1)
      assert.include(
        e2b.boxes().map(({ id }) => id),
        other.id
      )
    }).pipe(Effect.scoped, within(e2b))
  )

  it.effect("counts a run's time from its send, not while it waits for a slot", () =>
    Effect.gen(function* () {
      const execute = "49999 POST /execute"
      const done = { script: { lines: [{ type: "end_of_execution" }], ending: "end" as const } }
      const [first, second] = yield* Effect.all([Sandbox.create(), Sandbox.create()])
      e2b.fail(execute, done, done, { script: { lines: [{ type: "stdout", text: "on" }], ending: "stall" } }, done)
      yield* first.runCode("known")
      yield* second.runCode("known")
      const before = total(execute)
      const blocking = yield* Effect.forkChild(first.runCode("blocks"))
      yield* until(() => total(execute) > before)
      const waiting = yield* Effect.forkChild(second.runCode("waits", { timeout: "10 seconds" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("15 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(blocking)
      assert.strictEqual((yield* Fiber.join(waiting)).outcome, "ok")
    }).pipe(
      Effect.scoped,
      within(e2b, { policy: Policy.make({ maxConcurrency: 1, retry: { base: 0 }, retryBudget: false }) })
    )
  )

  it.effect("kills again in the background what could not be killed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Sandbox.create().pipe(Scope.provide(scope))
      const before = total(kills)
      e2b.fail(kills, ...[1, 2, 3].map(() => refuses(500, { code: 500, message: "Error killing sandbox" })))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(e2b.boxes().length, 1)
      yield* TestClock.adjust("1 second")
      yield* called(kills, before + 4)
      assert.deepStrictEqual(e2b.boxes(), [])
    }).pipe(within(e2b))
  )

  it.effect("kills what an earlier program of the same name has left, and nobody else's", () =>
    Effect.gen(function* () {
      const abandoned = yield* Scope.make()
      const layer = (name: string) =>
        E2bSandbox.layer({ ...accessTo(e2b), reapOrphans: name }).pipe(Layer.provide(UndiciHttpClient.layer()))
      const create = (name: string) =>
        Effect.flatMap(Layer.build(layer(name)), (context) => Effect.provide(Sandbox.create(), context)).pipe(
          Scope.provide(abandoned)
        )
      yield* create("mine & only")
      const other = yield* create("other")
      const mine = yield* create("mine & only")
      assert.sameMembers(
        e2b.boxes().map(({ id }) => id),
        [other.id, mine.id]
      )
    })
  )

  it.effect("lists, pauses, resumes and kills by id", () =>
    Effect.gen(function* () {
      const access = accessTo(e2b)
      const session = yield* Sandbox.create()
      yield* session.files.write("a.txt", "kept")
      const [listed] = yield* E2bSandbox.list(access, { metadata: { team: "a b&c=d%" } })
      assert.deepInclude(listed, { id: session.id, state: "running", template: "code-interpreter-v1" })
      assert.deepStrictEqual(yield* E2bSandbox.list(access, { metadata: { team: "nobody" } }), [])
      assert.isTrue(yield* E2bSandbox.pause(access, session.id))
      assert.isFalse(yield* E2bSandbox.pause(access, session.id))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const again = yield* E2bSandbox.connect({ ...access, lifetime: "1 hour" }, session.id)
          assert.strictEqual(yield* again.files.readText("a.txt"), "kept")
          assert.strictEqual((yield* reasonOf(again.reset))._tag, "Unsupported")
        })
      )
      assert.deepStrictEqual(e2b.boxes()[0]?.timeouts.at(-1), 3600)
      assert.isTrue(yield* E2bSandbox.kill(access, session.id))
      assert.isFalse(yield* E2bSandbox.kill(access, session.id))
      const lost = yield* reasonOf(Effect.scoped(E2bSandbox.connect(access, session.id)))
      assert.deepInclude(lost, { _tag: "SessionLost", why: "gone" })
    }).pipe(Effect.scoped, within(e2b, { metadata: { team: "a b&c=d%" } }))
  )

  it.effect("reads its key and its addresses from the environment, and sends that key nowhere else", () =>
    Effect.gen(function* () {
      const build = (env: Readonly<Record<string, string>>, options?: Parameters<typeof E2bSandbox.layerConfig>[0]) =>
        Effect.scoped(Sandbox.create()).pipe(
          Effect.provide(E2bSandbox.layerConfig({ policy, ...options })),
          Effect.provide(UndiciHttpClient.layer()),
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env)))
        )
      const { apiKey, apiUrl, sandboxUrl } = e2b
      yield* build({ E2B_API_KEY: apiKey, E2B_API_URL: apiUrl, E2B_SANDBOX_URL: sandboxUrl })
      const none = yield* Effect.flip(build({ E2B_API_URL: apiUrl }))
      assert.include(String(none), "E2B_API_KEY")
      const since = e2b.calls.length
      const elsewhere = yield* Effect.flip(build({ E2B_API_KEY: apiKey }, { apiUrl }))
      assert.include(String(elsewhere), "apiKey")
      assert.strictEqual(e2b.calls.length, since)
    })
  )

  it.effect("reaches each service at its own host, with the headers that route it", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      /** The names of the cloud, answered by the fake. */
      const cloud = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, (client) =>
          HttpClient.mapRequest(client, (request) => {
            const url = new URL(request.url)
            seen.push(`${request.method} ${url.origin}`)
            const base = url.hostname.startsWith("api.") ? e2b.apiUrl : e2b.sandboxUrl
            return HttpClientRequest.setUrl(request, `${base}${url.pathname}`)
          })
        )
      ).pipe(Layer.provide(UndiciHttpClient.layer()))
      const use = (domain?: string) =>
        Effect.gen(function* () {
          const { files, id, ...session } = yield* Sandbox.create()
          yield* files.write("a", "")
          e2b.fail("49999 POST /execute", { script: { lines: [{ type: "end_of_execution" }], ending: "end" } })
          yield* session.runCode("1")
          return id
        }).pipe(
          Effect.scoped,
          Effect.provide(E2bSandbox.layer({ apiKey: Redacted.make(e2b.apiKey), domain, policy })),
          Effect.provide(cloud)
        )
      const since = e2b.calls.length
      const id = yield* use()
      assert.deepStrictEqual(
        [...new Set(seen.splice(0))],
        [
          "POST https://api.e2b.app",
          "POST https://sandbox.e2b.app",
          `GET https://49999-${id}.e2b.app`,
          `POST https://49999-${id}.e2b.app`,
          "DELETE https://api.e2b.app"
        ]
      )
      const own = yield* use("e2b.example.test")
      assert.deepStrictEqual(
        [...new Set(seen)],
        [
          "POST https://api.e2b.example.test",
          `POST https://49983-${own}.e2b.example.test`,
          `GET https://49999-${own}.e2b.example.test`,
          `POST https://49999-${own}.e2b.example.test`,
          "DELETE https://api.e2b.example.test"
        ]
      )
      // The account's key stays with the control plane, and a sandbox's token with the sandbox.
      for (const { headers, name } of e2b.calls.slice(since)) {
        const isControl = !/^\d/.test(name)
        assert.strictEqual(headers["x-api-key"] === undefined, !isControl)
        assert.strictEqual(headers["x-access-token"] === undefined, isControl)
      }
    })
  )
})
