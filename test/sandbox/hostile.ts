/** Tries hostile programs on a sandbox and watches the host while they run. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Cause, Clock, Effect, Schema, Semaphore } from "effect"
import { Sandbox } from "holdfast/sandbox"
import { guestBytes } from "./processes.ts"

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
  language: Schema.Literals(["python", "javascript", "typescript"]),
  code: Schema.String,
  mustNotHappen: Schema.String,
  detect: Schema.Array(Schema.Struct({ kind: Kind, how: Schema.optional(Schema.String) })),
  timeoutMs: Schema.Number
})
export type Snippet = typeof Snippet.Type

/** What the snippets may not find, reach or leave behind. */
export interface Host {
  readonly folder: string
  readonly secretFile: string
  readonly secret: string
  readonly environmentName: string
  readonly environmentSecret: string
  readonly port: number
  readonly server: Server
  connections: number
  signals: number
}

const closed = (server: Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
  })

/** Sets the host up: a secret file, a secret variable, a listener, a signal handler. */
export const host = Effect.acquireRelease(
  Effect.callback<Host>((resume) => {
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

const fill = (snippet: Snippet, host: Host, marker: string) =>
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
const said = (run: Sandbox.Execution | undefined) => (run === undefined ? "" : JSON.stringify(run))

/** Half a second shows as much as two of a program that only goes on and on, but not of one that fills something. */
const filling = new Set<typeof Kind.Type>(["rss", "disk", "output-cap"])
const timeoutOf = (snippet: Snippet) =>
  snippet.detect.every(({ kind }) => !filling.has(kind)) && snippet.detect.some(({ kind }) => kind === "deadline")
    ? Math.min(snippet.timeoutMs, 500)
    : snippet.timeoutMs

/** Polls what the guests hold while `running` runs. */
const peakBytes = <A, E, R>(running: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    let peak = 0
    const watching = Effect.sync(() => (peak = Math.max(peak, guestBytes()))).pipe(
      Effect.andThen(Effect.sleep("100 millis")),
      Effect.forever
    )
    return Effect.raceFirst(running, watching).pipe(Effect.map((value) => ({ value, peak })))
  })

/** What a run shows of itself, by what its snippet says to look at. */
const check = (snippet: Snippet, host: Host, run: Sandbox.Execution | undefined, millis: number) => {
  const kinds = new Set(snippet.detect.map((detector) => detector.kind))
  const output = said(run)
  assert.notInclude(output, host.secret)
  assert.notInclude(output, host.environmentSecret)
  assert.notInclude(output, "root:x:0:0")
  assert.isBelow(millis, timeoutOf(snippet) + 1500, "it ran past its timeout")
  if (kinds.has("not-ok")) assert.notStrictEqual(run?.outcome, "ok")
  if (kinds.has("output-cap")) {
    const shown = (run?.results ?? []).flatMap((result) => Object.values(result)).join("").length
    assert.isAtMost((run?.stdout.length ?? 0) + (run?.stderr.length ?? 0) + shown, 2 * mebibyte)
    assert.isAtMost(run?.results.length ?? 0, 100_000)
  }
  if (kinds.has("info")) console.info(`${snippet.id}: ${run?.stdout.trim()}`)
}

/** What holds of the host after every snippet. */
const checkHost = (snippet: Snippet, host: Host, marker: string) => {
  assert.isFalse(existsSync(marker), "it left its marker on the host")
  assert.isFalse(existsSync(join(host.folder, "secrets", "marker-nodefs")))
  assert.strictEqual(host.connections, 0, "it connected")
  assert.strictEqual(host.signals, 0, "it sent a signal")
  assert.strictEqual(Reflect.get({}, "polluted"), undefined, `${snippet.id} changed the host's objects`)
}

const hello = (language: Snippet["language"]) => (language === "python" ? "print('n')" : "console.log('n')")

/**
 * Runs one snippet in a session of its own and asserts what it lists, and what holds for every one of them. Gives how it
 * ended: the outcome, or why the session was lost.
 */
export const contained = Effect.fnUntraced(function* (snippet: Snippet, host: Host) {
  const marker = join(host.folder, `marker-${snippet.id}`)
  const kinds = new Set(snippet.detect.map((detector) => detector.kind))
  const disk = freeBytes()
  const parentBytes = process.memoryUsage().rss
  const attempt = Effect.fnUntraced(function* (session: Sandbox.Session) {
    const begun = yield* Clock.currentTimeMillis
    const running = session.runCode(fill(snippet, host, marker), { timeout: timeoutOf(snippet) }).pipe(Effect.result)
    const { peak, value: result } = yield* kinds.has("rss")
      ? peakBytes(running)
      : Effect.map(running, (value) => ({ value, peak: 0 }))
    const millis = (yield* Clock.currentTimeMillis) - begun
    // A failure is an answer too, as long as it is the one that the service names.
    if (result._tag === "Failure") assert.strictEqual(result.failure.code, "SessionLost", result.failure.message)
    check(snippet, host, result._tag === "Success" ? result.success : undefined, millis)
    assert.isBelow(peak, 1000 * mebibyte)
    if (kinds.has("output-cap")) assert.isBelow(process.memoryUsage().rss - parentBytes, 200 * mebibyte)
    if (kinds.has("clean-next")) {
      const next = yield* Effect.result(session.runCode(hello(snippet.language)))
      if (next._tag === "Success") assert.strictEqual(next.success.stdout, "n\n")
      else assert.strictEqual(next.failure.code, "SessionLost")
    }
    return result._tag === "Success"
      ? `${result.success.outcome}${result.success.sessionState === "lost" ? ", killed" : ""}`
      : `lost: ${"why" in result.failure.reason ? result.failure.reason.why : result.failure.code}`
  })
  const ending = yield* Sandbox.create({ language: snippet.language }).pipe(Effect.flatMap(attempt), Effect.scoped)
  checkHost(snippet, host, marker)
  if (kinds.has("disk")) assert.isBelow(disk - freeBytes(), 200 * mebibyte)
  return ending
})

/** A fresh session works. */
const works = Effect.fnUntraced(function* (language: Snippet["language"]) {
  const run = yield* Sandbox.runCode("1 + 1", { language })
  assert.strictEqual(run.results[0]?.["text/plain"], "2")
})

/**
 * Runs all snippets, `width` at a time; one that is watched for its memory has the machine for itself. Gives how each
 * ended; fails with all that were not contained. That the parent lives and serves is seen by the next snippet, and after
 * the last one.
 */
export const allContained = Effect.fnUntraced(function* (snippets: ReadonlyArray<Snippet>, host: Host, width: number) {
  const lanes = yield* Semaphore.make(width)
  const endings = yield* Effect.forEach(
    snippets,
    (snippet) => {
      const lanesTaken = snippet.detect.some(({ kind }) => kind === "rss") ? width : 1
      return contained(snippet, host).pipe(
        lanes.withPermits(lanesTaken),
        Effect.map((ending) => ({ id: snippet.id, ending, failure: undefined })),
        Effect.catchCause((cause) => Effect.succeed({ id: snippet.id, ending: "", failure: Cause.pretty(cause) }))
      )
    },
    { concurrency: "unbounded" }
  )
  const failures = endings.filter(({ failure }) => failure !== undefined)
  assert.deepStrictEqual(
    failures.map(({ id }) => id),
    [],
    failures.map(({ failure, id }) => `${id}: ${failure}`).join("\n")
  )
  for (const language of ["python", "javascript"] as const) yield* works(language)
  return endings
})

const decode = Schema.decodeUnknownSync(Schema.Array(Snippet))
const read = (url: URL) => decode(JSON.parse(readFileSync(url, "utf8")))

/** Our own snippets. */
export const own = read(new URL("../fixtures/sandbox/hostile-own.json", import.meta.url))

const corpusUrl = new URL("../../../shared/data/hostile.json", import.meta.url)

/** The corpus beside this checkout; `undefined` where a user's clone does not have it. */
export const corpus = existsSync(corpusUrl) ? read(corpusUrl) : undefined

/** The name of the test that says so. */
export const missingCorpus = "../shared/data/hostile.json is not here: the hostile corpus was NOT tried on this sandbox"
