/** Tries hostile programs on a sandbox and watches the host while they run. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Clock, Effect, Schedule, Schema } from "effect"
import { Sandbox } from "holdfast/sandbox"
import { exists, guestBytes, guests } from "./processes.js"
const Kind = Schema.Literals([
  "no-secret-in-output",
  "no-marker",
  "no-connect",
  "no-signal",
  "no-host-pollution",
  "deadline",
  "rss",
  "disk",
  "output-cap",
  "parent-alive",
  "clean-next",
  "not-ok",
  "info"
])
/** A program that tries to get out, and how one sees that it did. An unknown `kind` fails to decode. */
export const Snippet = Schema.Struct({
  id: Schema.String,
  language: Schema.Literals(["python", "javascript"]),
  code: Schema.String,
  mustNotHappen: Schema.String,
  detect: Schema.Array(Schema.Struct({ kind: Kind, how: Schema.optional(Schema.String) })),
  timeoutMs: Schema.Number
})
const closed = (server) =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
  })
/** Sets the host up: a secret file, a secret variable, a listener, a signal handler. */
export const host = Effect.acquireRelease(
  Effect.callback((resume) => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-hostile-"))
    const secret = `secret-${crypto.randomUUID()}`
    const environmentSecret = `variable-${crypto.randomUUID()}`
    const environmentName = "HOLDFAST_HOSTILE_TOKEN"
    mkdirSync(join(folder, "secrets"))
    const secretFile = join(folder, "secrets", "token.txt")
    writeFileSync(secretFile, secret)
    process.env[environmentName] = environmentSecret
    const server = createServer((socket) => {
      it.connections += 1
      socket.destroy()
    })
    const it = {
      folder,
      secretFile,
      secret,
      environmentName,
      environmentSecret,
      port: 0,
      server,
      connections: 0,
      signals: 0
    }
    process.on("SIGUSR2", () => (it.signals += 1))
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      it.port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed(it))
    })
  }),
  (it) =>
    Effect.andThen(
      closed(it.server),
      Effect.sync(() => {
        process.removeAllListeners("SIGUSR2")
        delete process.env[it.environmentName]
        rmSync(it.folder, { recursive: true })
      })
    )
)
const fill = (snippet, host, marker) =>
  snippet.code
    .replaceAll("{{SECRET_FILE}}", host.secretFile)
    .replaceAll("{{SECRET_DIR}}", join(host.folder, "secrets"))
    .replaceAll("{{MARKER}}", marker)
    .replaceAll("{{PORT}}", String(host.port))
    .replaceAll("{{ENV}}", host.environmentName)
const freeBytes = () => {
  const { bavail, bsize } = statfsSync(tmpdir())
  return bavail * bsize
}
const mebibyte = 1024 * 1024
/** Everything that the sandbox gave out, as one text. */
const said = (run) => (run === undefined ? "" : JSON.stringify(run))
/** Of a program that only goes on and on, half a second shows as much as two. */
const endless = new Set(["deadline", "no-marker", "no-connect", "not-ok"])
const timeoutOf = (snippet) =>
  snippet.detect.every((detector) => endless.has(detector.kind)) &&
  snippet.detect.some(({ kind }) => kind === "deadline")
    ? Math.min(snippet.timeoutMs, 500)
    : snippet.timeoutMs
/** Runs one snippet and asserts what it lists, and what holds for every one of them. */
export const contained = Effect.fnUntraced(function* (snippet, host) {
  const marker = join(host.folder, `marker-${snippet.id}`)
  const kinds = new Set(snippet.detect.map((detector) => detector.kind))
  const isWatched = kinds.has("rss")
  let peak = 0
  const watching = Effect.gen(function* () {
    for (;;) {
      peak = Math.max(peak, guestBytes())
      yield* Effect.sleep("100 millis")
    }
  })
  const disk = freeBytes()
  const parentBytes = process.memoryUsage().rss
  const pids = yield* Effect.scoped(
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ language: snippet.language })
      const alive = guests()
      const begun = yield* Clock.currentTimeMillis
      const running = session.runCode(fill(snippet, host, marker), { timeout: timeoutOf(snippet) }).pipe(Effect.result)
      const result = yield* isWatched ? Effect.raceFirst(running, watching) : running
      const millis = (yield* Clock.currentTimeMillis) - begun
      // A failure is an answer too, as long as it is the one that the service names.
      if (result._tag === "Failure") assert.strictEqual(result.failure.code, "SessionLost", result.failure.message)
      const run = result._tag === "Success" ? result.success : undefined
      const output = said(run)
      assert.notInclude(output, host.secret)
      assert.notInclude(output, host.environmentSecret)
      assert.notInclude(output, "root:x:0:0")
      assert.isBelow(millis, timeoutOf(snippet) + 1500, "it ran past its timeout")
      if (kinds.has("not-ok")) assert.notStrictEqual(run?.outcome, "ok")
      if (kinds.has("output-cap")) {
        const shown = (run?.results ?? []).flatMap((result) => Object.values(result)).join("").length
        assert.isAtMost((run?.stdout.length ?? 0) + (run?.stderr.length ?? 0) + shown, 2 * mebibyte)
        assert.isBelow(process.memoryUsage().rss - parentBytes, 200 * mebibyte)
      }
      if (kinds.has("clean-next")) {
        const next = yield* Effect.result(
          session.runCode(snippet.language === "python" ? "print('n')" : "console.log('n')")
        )
        if (next._tag === "Success") assert.strictEqual(next.success.stdout, "n\n")
        else assert.strictEqual(next.failure.code, "SessionLost")
      }
      if (kinds.has("info")) console.info(`${snippet.id}: ${run?.stdout.trim()}`)
      return alive
    })
  )
  assert.isBelow(peak, 1000 * mebibyte)
  assert.isFalse(existsSync(marker), "it left its marker on the host")
  assert.isFalse(existsSync(join(host.folder, "secrets", "marker-nodefs")))
  assert.strictEqual(host.connections, 0, "it connected")
  assert.strictEqual(host.signals, 0, "it sent a signal")
  assert.strictEqual(Reflect.get({}, "polluted"), undefined)
  if (kinds.has("disk")) assert.isBelow(disk - freeBytes(), 200 * mebibyte)
  // Nothing of it spins on. (What lived in a namespace dies with it, a moment later; the test's timeout is the bound.)
  assert.isAbove(pids.length, 0)
  yield* Effect.suspend(() => (pids.some(exists) ? Effect.fail("alive") : Effect.void)).pipe(
    Effect.retry(Schedule.spaced("5 millis"))
  )
  if (kinds.has("parent-alive")) {
    const fresh = yield* Sandbox.runCode("1 + 1", { language: snippet.language })
    assert.strictEqual(fresh.results[0]?.["text/plain"], "2")
  }
})
