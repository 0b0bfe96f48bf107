/** One command of a sandbox of E2B, by envd's Connect RPC (github e2b-dev/infra 54693ff, `packages/envd`). */
import * as Crypto from "node:crypto"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as Stream from "effect/Stream"
import type { Ask } from "../../http/internal/ask.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import { ConnectionLost, InvalidRequest, InvalidResponse, RateLimited, Unauthorized } from "../../http/ServiceReason.ts"
import * as Release from "../../policy/Release.ts"
import type { CommandEvent, CommandOptions, CommandResult } from "../Sandbox.ts"
import { type SandboxError, SessionLost, Unsupported } from "../SandboxError.ts"
import * as Connect from "./connect.ts"
import { refuse, toError } from "./e2bError.ts"
import type { Machine } from "./e2bMachine.ts"
import { Output } from "./e2bOutput.ts"
import * as Reason from "./e2bReason.ts"
import * as Fields from "./fields.ts"

/** What a command needs of its session. */
export interface Settings {
  readonly machine: Machine
  readonly command: string
  readonly options: CommandOptions
  readonly cwd: string | undefined
  readonly env: Readonly<Record<string, string>>
  readonly outputBytes: number
  /** Done when somebody interrupts it. */
  readonly stop: Deferred.Deferred<void>
  readonly emit: (event: CommandEvent) => void
}

/** envd reads pipes of 32 KiB, so a message is never near this. */
const maxMessageBytes = 16 * 1024 * 1024

/** Standard input is sent in pieces of this size. */
const inputBytes = 256 * 1024

/** envd kills a command whose client has vanished this much after its time; while the client is there, it kills sooner. */
const backstopMillis = 2_000

/** In a session of its own, so that what it starts can be killed with it; envd's signal reaches the first process only. */
const wrapper =
  'if command -v setsid >/dev/null 2>&1; then exec setsid /bin/bash -l -c "$0"; else exec /bin/bash -l -c "$0"; fi'

/** Signals as Go prints them: https://pkg.go.dev/syscall, Linux. */
const signals: ReadonlyArray<readonly [string, number]> = [
  ["hangup", 1],
  ["interrupt", 2],
  ["quit", 3],
  ["illegal instruction", 4],
  ["trace/breakpoint trap", 5],
  ["aborted", 6],
  ["bus error", 7],
  ["floating point exception", 8],
  ["killed", 9],
  ["user defined signal 1", 10],
  ["segmentation fault", 11],
  ["user defined signal 2", 12],
  ["broken pipe", 13],
  ["alarm clock", 14],
  ["terminated", 15]
]

/** The code of an end; without one it is 0, as proto3's JSON leaves zero out. */
const exitCodeOf = (end: Fields.Fields): number => {
  const code = Fields.integer(end, "exitCode") ?? 0
  if (code >= 0) return code
  const status = Fields.text(end, "status") ?? ""
  const number = signals.find(([name]) => status.startsWith(`signal: ${name}`))?.[1]
  return number === undefined ? 1 : 128 + number
}

/** A command by its events. */
class Progress {
  readonly output: Output
  pid: number | undefined
  exitCode: number | undefined
  failure: Connect.Failure | undefined
  readonly started = Deferred.makeUnsafe<number>()
  private readonly decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  private readonly envelopes = new Connect.Decoder(maxMessageBytes)
  private readonly emit: (event: CommandEvent) => void

  constructor(outputBytes: number, emit: (event: CommandEvent) => void) {
    this.output = new Output(outputBytes)
    this.emit = emit
  }

  /** Fails with what is wrong with the stream. */
  push(chunk: Uint8Array): string | undefined {
    const read: Array<Connect.Envelope> = []
    const wrong = this.envelopes.push(chunk, read)
    for (const envelope of read) {
      if (envelope.type === "message") this.event(Fields.fields(Fields.own(envelope.message, "event")) ?? {})
      else this.failure = envelope.failure
    }
    return wrong
  }

  private event(event: Fields.Fields): void {
    const start = Fields.fields(Fields.own(event, "start"))
    const data = Fields.fields(Fields.own(event, "data"))
    const end = Fields.fields(Fields.own(event, "end"))
    if (start !== undefined) {
      this.pid = Fields.count(start, "pid")
      if (this.pid !== undefined) Deferred.doneUnsafe(this.started, Effect.succeed(this.pid))
    }
    if (data !== undefined)
      for (const stream of ["stdout", "stderr"] as const) this.said(stream, Fields.text(data, stream))
    if (end !== undefined) this.exitCode = exitCodeOf(end)
  }

  private said(stream: "stdout" | "stderr", base64: string | undefined): void {
    if (base64 === undefined) return
    this.tell(stream, this.decoders[stream].decode(Buffer.from(base64, "base64"), { stream: true }))
  }

  private tell(stream: "stdout" | "stderr", text: string): void {
    const kept = text === "" ? "" : this.output.add(stream, text)
    if (kept !== "") this.emit({ type: stream, text: kept })
  }

  /** Gives out half a character that nothing follows any more. */
  flush(): void {
    for (const stream of ["stdout", "stderr"] as const) this.tell(stream, this.decoders[stream].decode())
  }
}

/** What Connect ends a stream with, as a reason. */
const reasonOf = (code: string, message: string): SandboxError["reason"] => {
  const description = `${message} (${code})`
  switch (code) {
    case "unauthenticated":
    case "permission_denied":
      return new Unauthorized({ description, status: 401 })
    case "resource_exhausted":
      return new RateLimited({ description, status: 429 })
    case "invalid_argument":
    case "not_found":
    case "unimplemented":
      return new InvalidRequest({ description, status: 400 })
    case "unavailable":
      return new SessionLost({ why: "gone", description })
  }
  return new ConnectionLost({ description: `the command's stream ended with: ${description}` })
}

const asked = ({ command, cwd, env, options }: Settings, tag: string, timeoutMillis: number): Ask => {
  const process = {
    cmd: "/bin/bash",
    args: ["-c", wrapper, command],
    envs: env,
    ...(cwd === undefined ? undefined : { cwd })
  }
  const message = Connect.encode({ process, tag, stdin: options.stdin !== undefined })
  return {
    method: "POST",
    path: "/process.Process/Start",
    body: HttpBody.uint8Array(message, "application/connect+json"),
    headers: {
      "connect-protocol-version": "1",
      "connect-timeout-ms": Number.isFinite(timeoutMillis)
        ? String(Math.ceil(timeoutMillis) + backstopMillis)
        : undefined,
      "keepalive-ping-interval": "50"
    },
    keyed: true,
    timeout: { attempt: "60 seconds", idleContent: timeoutMillis + 60_000, total: timeoutMillis + 120_000 }
  }
}

/** Gives the command its input and closes it. A command that does not read it may have ended: that is no failure. */
const feed = Effect.fnUntraced(function* (machine: Machine, pid: number, stdin: string | Uint8Array) {
  const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin
  const process = { pid }
  const call = (verb: string, message: object) =>
    machine.rpc(`/process.Process/${verb}`, { process, ...message }, Reason.ofCommand, "unsafe")
  for (let at = 0; at < bytes.length; at += inputBytes) {
    const stdin = Buffer.from(bytes.subarray(at, at + inputBytes)).toString("base64")
    yield* call("SendInput", { input: { stdin } })
  }
  yield* call("CloseStdin", {})
})

/** Kills the command and what it has started. A client that goes away kills nothing. */
const kill = (machine: Machine, pid: number | undefined, tag: string): Effect.Effect<void> => {
  const process = pid === undefined ? { tag } : { pid }
  const first = machine.rpc("/process.Process/SendSignal", { process, signal: "SIGNAL_SIGKILL" }, Reason.ofCommand)
  const body = Connect.encode({ process: { cmd: "/bin/kill", args: ["-KILL", "--", `-${pid}`] }, stdin: false })
  const ask: Ask = {
    method: "POST",
    path: "/process.Process/Start",
    body: HttpBody.uint8Array(body, "application/connect+json"),
    headers: { "connect-protocol-version": "1", "connect-timeout-ms": "5000" }
  }
  const group = pid === undefined ? Effect.void : machine.use(machine.envd(Reason.ofCommand).bytes(ask))
  return Effect.ignore(Release.run(Effect.andThen(Effect.ignore(group), first)))
}

type Ended = "ended" | "timedOut" | "interrupted"

/** Reads the stream to its end. A stream that breaks off says nothing of the command. */
const read = (
  settings: Settings,
  progress: Progress,
  tag: string,
  timeoutMillis: number
): Effect.Effect<Ended, SandboxError> => {
  const { machine } = settings
  const envd = machine.envd(Reason.ofCommand)
  const ask = asked(settings, tag, timeoutMillis)
  const whole = Stream.runForEach(envd.pieces(ask), (chunk) => {
    const wrong = progress.push(chunk)
    return wrong === undefined
      ? Effect.void
      : Effect.fail(refuse(new InvalidResponse({ description: wrong, delivered: true })))
  })
  const told = Effect.catch(whole, (failed) => machine.seen(failed._tag === "Failed" ? toError(failed) : failed))
  const finished = Effect.suspend((): Effect.Effect<Ended, SandboxError> => {
    if (progress.exitCode !== undefined) return Effect.succeed("ended")
    const { failure } = progress
    if (failure?.code === "deadline_exceeded") return Effect.succeed("timedOut")
    if (failure !== undefined)
      return Effect.flatMap(envd.safe(ask), (safe) =>
        machine.seen(refuse(reasonOf(failure.code, oneLine(safe(failure.message)))))
      )
    return Effect.fail(refuse(new ConnectionLost({ description: "the command's stream ended before the command" })))
  })
  const broken = (error: SandboxError): Effect.Effect<never, SandboxError> =>
    error.reason._tag === "ConnectionLost" ? Effect.andThen(machine.check, Effect.fail(error)) : Effect.fail(error)
  return Effect.catch(Effect.andThen(told, finished), broken)
}

const exitCodes = { timedOut: 124, interrupted: 130 } as const

const resultOf = (ended: Ended, { exitCode = 0, output }: Progress, durationMillis: number): CommandResult => ({
  outcome: ended === "ended" ? (exitCode === 0 ? "ok" : "failed") : ended,
  exitCode: ended === "ended" ? exitCode : exitCodes[ended],
  stdout: output.stdout,
  stderr: output.stderr,
  durationMillis,
  truncated: output.isCut
})

/** Whether the template is too old for a command that reads. */
const refusal = ({ machine, options }: Settings): SandboxError | undefined => {
  if (options.stdin === undefined || machine.hasVersion("0.5.2")) return undefined
  const description = `the template's envd ${machine.made.envdVersion} cannot close a command's input; rebuild the template`
  return refuse(new Unsupported({ operation: "runCommand with stdin", description }))
}

/** Runs a command to its end, its time's, or somebody's interruption. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const { emit, machine, options, outputBytes, stop } = settings
  yield* machine.alive
  const refused = refusal(settings)
  if (refused !== undefined) return yield* Effect.fail(refused)
  const startedAt = yield* Clock.currentTimeMillis
  const timeout = Duration.fromInputUnsafe(options.timeout ?? "30 seconds")
  const tag = Crypto.randomUUID()
  const progress = new Progress(outputBytes, emit)
  const begun = Deferred.await(progress.started)
  const { stdin } = options
  const feeding =
    stdin === undefined
      ? Effect.void
      : // Past every limit: the command holds its slot while it waits for this.
        Effect.flatMap(begun, (pid) => Effect.ignore(Release.run(feed(machine, pid, stdin), timeout)))
  const killing = Effect.suspend(() => kill(machine, progress.pid, tag))
  const ended = yield* Effect.raceAllFirst([
    read(settings, progress, tag, Duration.toMillis(timeout)),
    Effect.andThen(feeding, Effect.never),
    // Its time begins when it does.
    Effect.as(Effect.andThen(begun, Effect.sleep(timeout)), "timedOut" as const),
    Effect.as(Deferred.await(stop), "interrupted" as const)
  ]).pipe(
    Effect.tap((ended) => (ended === "ended" ? Effect.void : killing)),
    Effect.onInterrupt(() => killing),
    Effect.tapError((error) => (error.phase === "maybeSent" ? killing : Effect.void))
  )
  progress.flush()
  const result = resultOf(ended, progress, (yield* Clock.currentTimeMillis) - startedAt)
  emit({ type: "done", result })
  return result
})
