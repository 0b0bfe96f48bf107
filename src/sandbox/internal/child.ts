/**
 * The parent's side of one guest process: spawn, exchange lines, stop, kill. The process is untrusted: whatever it
 * says that is not a well-formed reply to what it was asked ends it.
 */
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Readable, Writable } from "node:stream"
import * as Url from "node:url"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { SessionLost } from "../SandboxError.ts"
import { pieceBytes, type FileAnswer, type FileQuestion, type FileReply } from "./fileFrame.ts"
import { decodeReply, resultCost, type Boot, type End, type Reply, type Run } from "./frame.ts"
import { nodePath, type Command, type Wall } from "./wall.ts"

/** How to start a guest. */
export interface Start {
  readonly wall: Wall
  readonly boot: Omit<Boot, "nonce">
  /** Folders and files that it may read, beside its own code. */
  readonly readable: ReadonlyArray<string>
}

/** What a run says before it ends. */
export type Event = Extract<Reply, { readonly t: "out" | "result" }>

/** One run in flight. */
export interface Exchange {
  readonly end: Deferred.Deferred<End, SessionLost>
  readonly onEvent: (event: Event) => void
  readonly id: number
  outputChars: number
  resultChars: number
}

/** Compiled or source, as this file is. */
const guestFile = Fs.realpathSync(
  Url.fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./guest.ts" : "./guest.js", import.meta.url))
)
const guestFolder = Path.dirname(guestFile)

/** V8's heap of the guest: file names and glue, not the guest's data, which is in wasm and in array buffers. */
const heapMebibytes = 256

/**
 * Deep recursion must meet the engine's own limit before V8's, which ends the process: by default it does not. Half of
 * what Linux and macOS give a program; Windows gives less than V8's default.
 */
const stackSize = process.platform === "win32" ? [] : ["--stack-size=3900"]

/** The command that runs the guest's code with every door of Node closed that Node can close. */
export const command = (wall: Wall, readable: ReadonlyArray<string>): Command =>
  wall.wrap(
    [
      nodePath,
      "--permission",
      ...[guestFolder, ...readable].map((path) => `--allow-fs-read=${path}`),
      "--disallow-code-generation-from-strings",
      `--max-old-space-size=${heapMebibytes}`,
      ...stackSize,
      "--no-warnings",
      guestFile
    ],
    [guestFolder, ...readable]
  )

/** Guests that live. They are killed when this process exits, however it does, short of SIGKILL. */
const living = new Set<Child>()
let hooked = false
const hook = () => {
  if (hooked) return
  hooked = true
  process.on("exit", () => {
    for (const child of living) child.signal()
  })
}

/** A file that exists only as two descriptors: ours to write, the guest's to read. */
const cancelFile = (): { readonly write: number; readonly read: number } => {
  const path = Path.join(Os.tmpdir(), `holdfast-${process.pid}-${Crypto.randomUUID()}`)
  const write = Fs.openSync(path, "wx", 0o600)
  try {
    return { write, read: Fs.openSync(path, "r") }
  } finally {
    Fs.unlinkSync(path)
  }
}

/** A line may carry the largest result twice over, escaped, or a piece of a file, and no more. */
const lineBytes = (boot: Start["boot"]): number =>
  Math.max(4 * Math.max(boot.resultBytes, boot.outputBytes), 2 * pieceBytes) + 65_536

/** How long a guest may think about a file. It takes milliseconds, but the machine may be busy. */
const answerTimeout = "30 seconds"

/** One question about a file in flight. */
interface Asking {
  readonly id: number
  readonly answer: Deferred.Deferred<FileAnswer, SessionLost>
}

export class Child {
  readonly pid: number | undefined
  private readonly process: ChildProcess.ChildProcess
  private readonly boot: Start["boot"]
  private readonly nonce = Crypto.randomBytes(16).toString("hex")
  private readonly cancelFd: number
  private readonly readiness = Deferred.makeUnsafe<void, SessionLost>()
  private readonly exited = Deferred.makeUnsafe<void>()
  private readonly stdin: Writable
  private pending: Array<Buffer> = []
  private pendingBytes = 0
  private exchange: Exchange | undefined
  private asking: Asking | undefined
  private questions = 0
  private stderr = ""
  /** Why it will be, or is, gone. The first reason stands. */
  private lost: SessionLost | undefined
  private isOver = false

  constructor(start: Start) {
    hook()
    this.boot = start.boot
    const file = cancelFile()
    this.cancelFd = file.write
    const [program, ...args] = command(start.wall, start.readable)
    try {
      this.process = ChildProcess.spawn(program, args, {
        cwd: "/",
        // The guest's clock must not tell where its host is.
        env: { TZ: "UTC" },
        detached: true,
        windowsHide: true,
        stdio: ["pipe", "pipe", "pipe", file.read]
      })
    } finally {
      Fs.closeSync(file.read)
    }
    this.pid = this.process.pid
    living.add(this)
    const { stdin, stdout, stderr } = this.process
    if (stdin === null || stdout === null || stderr === null) throw new Error("the guest has no pipes")
    this.stdin = stdin
    this.listen(stdin, stdout, stderr)
    this.stdin.write(`${JSON.stringify({ ...start.boot, nonce: this.nonce })}\n`)
  }

  get isAlive(): boolean {
    return this.lost === undefined && !this.isOver
  }

  /** Why it is gone; `undefined` while it is there. */
  get loss(): SessionLost | undefined {
    return this.isOver
      ? (this.lost ?? new SessionLost({ why: "crashed", description: "the guest process ended" }))
      : this.lost
  }

  /** Calls `f` once when the process is gone. */
  onOver(f: () => void): void {
    this.process.once("exit", f)
  }

  /** Done when it has booted and locked itself. */
  get ready(): Effect.Effect<void, SessionLost> {
    return Deferred.await(this.readiness)
  }

  /** Sends a run. The caller makes sure that it is the only one. */
  send(run: Omit<Run, "t">, onEvent: (event: Event) => void): Exchange {
    const end = Deferred.makeUnsafe<End, SessionLost>()
    const exchange = { end, onEvent, id: run.id, outputChars: 0, resultChars: 0 }
    if (this.lost !== undefined) Deferred.doneUnsafe(end, Effect.fail(this.lost))
    else {
      this.exchange = exchange
      this.process.ref()
      this.stdin.write(`${JSON.stringify({ t: "run", ...run })}\n`)
    }
    return exchange
  }

  /**
   * Asks about a file and waits for the answer, as a whole: an interruption waits too. The caller makes sure that
   * nothing else is in flight.
   */
  ask(question: FileQuestion): Effect.Effect<FileAnswer, SessionLost> {
    return Effect.suspend(() => {
      if (this.loss !== undefined) return Effect.fail(this.loss)
      const answer = Deferred.makeUnsafe<FileAnswer, SessionLost>()
      const id = ++this.questions
      this.asking = { id, answer }
      this.process.ref()
      this.stdin.write(`${JSON.stringify({ t: "file", id, ...question })}\n`)
      return Deferred.await(answer).pipe(
        Effect.timeoutOrElse({
          duration: answerTimeout,
          orElse: () =>
            Effect.andThen(this.kill("protocol", "the guest did not answer about a file"), Deferred.await(answer))
        })
      )
    }).pipe(Effect.uninterruptible)
  }

  /** Asks the guest to stop run `id`; it looks every few milliseconds, unless it is deep in a C loop. */
  cancel(id: number): void {
    if (this.isOver) return
    const mark = Buffer.alloc(8)
    mark.writeBigUInt64LE(BigInt(id))
    Fs.writeSync(this.cancelFd, mark, 0, 8, 0)
  }

  /** Kills the whole process group, now. */
  signal(): void {
    if (this.isOver || this.pid === undefined) return
    try {
      if (process.platform === "win32") this.process.kill("SIGKILL")
      else process.kill(-this.pid, "SIGKILL")
    } catch {
      this.process.kill("SIGKILL")
    }
  }

  /** Kills it and waits until it is gone. */
  kill(why: SessionLost["why"], description: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.lose(why, description)
      if (!this.isOver) this.process.ref()
      this.signal()
      return Deferred.await(this.exited)
    })
  }

  private listen(stdin: Writable, stdout: Readable, stderr: Readable): void {
    for (const stream of [stdin, stdout, stderr]) if (stream instanceof Net.Socket) stream.unref()
    stdin.on("error", () => undefined) // the exit says more
    stdout.on("data", (chunk: Buffer) => this.receive(chunk))
    stderr.on("data", (chunk: Buffer) => {
      if (this.stderr.length < 8192) this.stderr += chunk.toString("utf8")
    })
    this.process.on("error", (cause) => {
      this.lose("crashed", "the guest process did not start", cause)
      if (this.pid === undefined) this.over()
    })
    this.process.on("exit", (code, signal) => {
      // What it said last may still be in the pipe: `close` comes after the pipes' end.
      this.isOver = true
      living.delete(this)
      // Nor is a wrapper's end the guest's: that is when nobody holds the pipes any more. Wait for it.
      for (const stream of [stdout, stderr]) if (stream instanceof Net.Socket) stream.ref()
      const settle = () => this.settle(code, signal)
      if (stdout.readableEnded) settle()
      else this.process.once("close", settle)
    })
  }

  private settle(code: number | null, signal: string | null): void {
    if (/heap out of memory|Fatal process out of memory/.test(this.stderr))
      this.lose("outOfMemory", "the guest process ran out of heap")
    // 137: what a wall exits with when what stands behind it was killed so.
    else if (signal === "SIGKILL" || code === 137) this.lose("killed", "somebody killed the guest process")
    else this.lose("crashed", `the guest process ended (${signal ?? `exit code ${code}`}) ${this.stderr.slice(0, 200)}`)
    this.over()
  }

  private over(): void {
    this.isOver = true
    living.delete(this)
    try {
      Fs.closeSync(this.cancelFd)
    } catch {
      // closed before: `error` and `exit` may both come
    }
    const lost = this.lost ?? new SessionLost({ why: "crashed", description: "the guest process ended" })
    Deferred.doneUnsafe(this.readiness, Effect.fail(lost))
    if (this.exchange !== undefined) Deferred.doneUnsafe(this.exchange.end, Effect.fail(lost))
    if (this.asking !== undefined) Deferred.doneUnsafe(this.asking.answer, Effect.fail(lost))
    this.exchange = undefined
    this.asking = undefined
    Deferred.doneUnsafe(this.exited, Effect.void)
  }

  private lose(why: SessionLost["why"], description: string, cause?: unknown): void {
    this.lost ??= new SessionLost({ why, description, cause })
  }

  private breach(description: string): void {
    this.lose("protocol", description)
    this.pending = []
    this.signal()
  }

  private receive(chunk: Buffer): void {
    let rest = chunk
    for (;;) {
      if (this.lost !== undefined) return
      const at = rest.indexOf(10)
      const part = at < 0 ? rest : rest.subarray(0, at)
      this.pendingBytes += part.length
      if (this.pendingBytes > lineBytes(this.boot)) return this.breach("the guest sent a line without an end")
      this.pending.push(part)
      if (at < 0) return
      const line = Buffer.concat(this.pending).toString("utf8")
      this.pending = []
      this.pendingBytes = 0
      this.handle(decodeReply(line, this.nonce))
      rest = rest.subarray(at + 1)
    }
  }

  private handle(reply: Reply | undefined): void {
    if (reply === undefined) return this.breach("the guest sent a line that is no reply")
    switch (reply.t) {
      case "ready":
        // An idle guest must not keep a program alive that forgot it; a boot, a run and a kill do.
        this.process.unref()
        if (!Deferred.doneUnsafe(this.readiness, Effect.void)) this.breach("the guest was ready twice")
        return
      case "gone":
        this.lose(reply.why, farewell[reply.why](reply.what))
        this.signal()
        return
      case "out":
      case "result":
        return this.event(reply)
      case "end":
        return this.end(reply)
      case "file":
        return this.answer(reply)
    }
  }

  private answer(answer: FileReply): void {
    const asking = this.asking
    if (asking?.id !== answer.id) return this.breach("the guest answered what it was not asked")
    this.asking = undefined
    this.process.unref()
    Deferred.doneUnsafe(asking.answer, Effect.succeed(answer))
  }

  private event(event: Event): void {
    const exchange = this.exchange
    if (exchange === undefined) return this.breach("the guest spoke unasked")
    if (event.t === "out") exchange.outputChars += Math.max(1, event.text.length)
    else
      exchange.resultChars += Object.entries(event.result).reduce((sum, form) => sum + form.join("").length, resultCost)
    // The guest cuts at the limit; twice the limit is a guest that no longer does.
    const isFlood = exchange.outputChars > 2 * this.boot.outputBytes || exchange.resultChars > 2 * this.boot.resultBytes
    if (isFlood) this.breach("the guest sent more than its limit")
    else exchange.onEvent(event)
  }

  private end(end: End): void {
    const exchange = this.exchange
    if (exchange?.id !== end.id) return this.breach("the guest ended a run that is not in flight")
    this.exchange = undefined
    this.process.unref()
    Deferred.doneUnsafe(exchange.end, Effect.succeed(end))
  }
}

const farewell: Readonly<Record<Extract<Reply, { readonly t: "gone" }>["why"], (what: string) => string>> = {
  exited: (code) => `the program ended its own process with code ${code}`,
  violation: (name) => `the program called ${name}, which the lock forbids`,
  crashed: (error) => `the engine broke: ${error}`,
  outOfMemory: (what) => what
}

/** Starts a guest and waits until it is ready; killed when that is interrupted or fails. `guests` holds it while it lives. */
export const boot = (start: Start, guests: Set<Child>): Effect.Effect<Child, SessionLost> =>
  Effect.suspend(() => {
    const child = spawn(start)
    if (child instanceof SessionLost) return Effect.fail(child)
    guests.add(child)
    child.onOver(() => guests.delete(child))
    return child.ready.pipe(
      Effect.as(child),
      Effect.onError(() => child.kill("closed", "its start was given up"))
    )
  })

const spawn = (start: Start): Child | SessionLost => {
  try {
    return new Child(start)
  } catch (cause) {
    return new SessionLost({ why: "crashed", description: `the guest process did not start: ${String(cause)}`, cause })
  }
}
