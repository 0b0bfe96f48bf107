/**
 * The parent's side of one session's processes: starts the keeper behind its wall, exchanges lines with it, watches
 * what all of it holds, and kills it. Whatever comes from inside is untrusted: what is no well-formed reply to
 * something that was asked ends the session.
 */
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import type { Readable, Writable } from "node:stream"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { SessionLost } from "../SandboxError.ts"
import { pieceBytes, type FileAnswer, type FileQuestion } from "./fileFrame.ts"
import { decodeReply, type Boot, type Command, type End, type Reply, type Run } from "./processFrame.ts"
import * as Wall from "./processWall.ts"
import * as Watch from "./processWatch.ts"

/** What a session may hold in all. */
export interface Ceiling {
  readonly memoryBytes: number
  readonly processes: number
  readonly fileCount: number
}

/** How to start one. */
export interface Start {
  readonly cage: Wall.Cage
  readonly kernels: Boot["kernels"]
  readonly env: Readonly<Record<string, string>>
  readonly outputBytes: number
  readonly resultBytes: number
  readonly ceiling: Ceiling
}

/** What a run or a command says before it ends. */
export type Event = Extract<Reply, { readonly t: "out" | "result" }>

/** One run or command in flight. */
export interface Exchange {
  readonly id: number
  readonly end: Deferred.Deferred<End, SessionLost>
  readonly onEvent: (event: Event) => void
  outputBytes: number
  resultBytes: number
}

type Ask = Omit<Run, "id"> | Omit<Command, "id">

/** Guests that live. They are killed when this process exits, however it does, short of SIGKILL. */
const living = new Set<Guest>()
let isHooked = false
const hook = () => {
  if (isHooked) return
  isHooked = true
  process.on("exit", () => {
    for (const guest of living) guest.signal()
  })
}

const isSocket = (stream: unknown): stream is Net.Socket => stream instanceof Net.Socket

/** A session's home, processes and files; used until `kill`, never again. */
export class Guest {
  readonly home: string
  private readonly start: Start
  private readonly process: ChildProcess.ChildProcess
  private readonly stdin: Writable
  private readonly nonce = Crypto.randomBytes(16).toString("hex")
  private readonly readiness = Deferred.makeUnsafe<void, SessionLost>()
  private readonly exited = Deferred.makeUnsafe<void>()
  private readonly exchanges = new Map<number, Exchange>()
  private readonly questions = new Map<number, Deferred.Deferred<FileAnswer, SessionLost>>()
  private readonly watching: NodeJS.Timeout
  private pending: Array<Buffer> = []
  private pendingBytes = 0
  private lastId = 0
  private stderr = ""
  private lost: SessionLost | undefined
  private isOver = false

  constructor(start: Start) {
    hook()
    this.start = start
    const { cage } = start
    this.home = cage.home ?? Wall.temporaryHome()
    const keeper = [cage.node, "--disable-sigusr1", "--max-old-space-size=256", "--no-warnings"] as const
    const [program, ...args] = cage.wrap([...keeper, `${cage.folder}/processKeeper${Wall.extension}`], this.home)
    this.process = ChildProcess.spawn(program, args, {
      cwd: cage.home === undefined ? this.home : "/",
      env: {},
      detached: true,
      windowsHide: true,
      stdio: ["pipe", "pipe", "pipe"]
    })
    living.add(this)
    const { stdin, stdout, stderr } = this.process
    if (stdin === null || stdout === null || stderr === null) throw new Error("the guest has no pipes")
    this.stdin = stdin
    this.watching = Watch.everyTick(() => this.watch())
    this.listen(stdin, stdout, stderr)
    this.say({ ...this.boot(), nonce: this.nonce })
  }

  private boot(): Omit<Boot, "nonce"> {
    const { cage, kernels, env, outputBytes, resultBytes } = this.start
    const base = {
      HOME: this.home,
      PATH: "/usr/local/bin:/usr/bin:/bin",
      LANG: "C.UTF-8",
      USER: "user",
      TMPDIR: cage.home === undefined ? this.home : "/tmp"
    }
    return { home: this.home, kernels, env: { ...base, ...env }, outputBytes, resultBytes }
  }

  /** Why it is gone; `undefined` while it is there. */
  get loss(): SessionLost | undefined {
    return this.isOver ? (this.lost ?? crashed) : this.lost
  }

  /** Done when the keeper listens. */
  get ready(): Effect.Effect<void, SessionLost> {
    return Deferred.await(this.readiness)
  }

  /** Resident memory of the session's processes; `0` where the system does not say. */
  get heldBytes(): number {
    const { pid } = this.process
    return pid === undefined ? 0 : Watch.residentBytes(Watch.processesOf(pid, this.start.ceiling.processes))
  }

  /** Sends a run or a command. */
  send(ask: Ask, onEvent: (event: Event) => void): Exchange {
    const end = Deferred.makeUnsafe<End, SessionLost>()
    const exchange: Exchange = { id: ++this.lastId, end, onEvent, outputBytes: 0, resultBytes: 0 }
    if (this.loss !== undefined) Deferred.doneUnsafe(end, Effect.fail(this.loss))
    else {
      this.exchanges.set(exchange.id, exchange)
      this.hold()
      this.say({ ...ask, id: exchange.id })
    }
    return exchange
  }

  /** Asks what runs as `id` to stop, or does not ask. */
  halt(how: "stop" | "kill", id: number): void {
    if (this.loss === undefined) this.say({ t: how, id })
  }

  /** Asks about a file, by a path that means nothing out here. */
  ask(question: FileQuestion): Effect.Effect<FileAnswer, SessionLost> {
    return Effect.suspend(() => {
      if (this.loss !== undefined) return Effect.fail(this.loss)
      const answer = Deferred.makeUnsafe<FileAnswer, SessionLost>()
      const id = ++this.lastId
      this.questions.set(id, answer)
      this.hold()
      this.say({ ...question, t: "file", id })
      return Deferred.await(answer)
    })
  }

  /** Kills all of it, now: bubblewrap takes its namespace with it; without one, each process is looked up. */
  signal(): void {
    const { pid } = this.process
    if (this.isOver || pid === undefined) return
    const below = this.start.cage.os === "bubblewrap" ? [] : Watch.processesBelow(pid)
    for (const target of [-pid, pid, ...below]) {
      try {
        process.kill(target, "SIGKILL")
      } catch {
        // gone already
      }
    }
  }

  /** Kills it and waits until it is gone, and its temporary home with it. */
  kill(why: SessionLost["why"], description: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.lose(why, description)
      if (!this.isOver) this.process.ref()
      this.signal()
      return Deferred.await(this.exited)
    })
  }

  private listen(stdin: Writable, stdout: Readable, stderr: Readable): void {
    for (const stream of [stdin, stdout, stderr]) if (isSocket(stream)) stream.unref()
    stdin.on("error", () => undefined) // the exit says more
    stdout.on("data", (chunk: Buffer) => this.receive(chunk))
    stderr.on("data", (chunk: Buffer) => {
      if (this.stderr.length < 8192) this.stderr += chunk.toString("utf8")
    })
    this.process.on("error", (cause) => {
      this.lose("crashed", "the session's process did not start", cause)
      if (this.process.pid === undefined) this.over()
    })
    // Its pipes close when nobody inside holds them any more.
    this.process.on("exit", () => {
      for (const stream of [stdout, stderr]) if (isSocket(stream)) stream.ref()
    })
    this.process.on("close", (code, signal) => {
      const how = `${signal ?? `exit code ${code}`} ${this.stderr.slice(0, 200)}`.trim()
      this.lose("crashed", `the session's processes ended (${how})`)
      this.over()
    })
  }

  private over(): void {
    if (this.isOver) return
    this.isOver = true
    living.delete(this)
    Watch.stop(this.watching)
    const lost = Effect.fail(this.lost ?? crashed)
    Deferred.doneUnsafe(this.readiness, lost)
    for (const { end } of this.exchanges.values()) Deferred.doneUnsafe(end, lost)
    for (const answer of this.questions.values()) Deferred.doneUnsafe(answer, lost)
    // A link in it is removed, not followed.
    if (this.start.cage.home === undefined) Fs.rmSync(this.home, { recursive: true, force: true })
    Deferred.doneUnsafe(this.exited, Effect.void)
  }

  private lose(why: SessionLost["why"], description: string, cause?: unknown): void {
    this.lost ??= new SessionLost({ why, description, cause })
  }

  private end(why: SessionLost["why"], description: string): void {
    this.lose(why, description)
    this.pending = []
    this.signal()
  }

  private watch(): void {
    const { pid } = this.process
    // Before it is ready, its file systems are still those of the host.
    if (pid === undefined || this.loss !== undefined || !Deferred.isDoneUnsafe(this.readiness)) return
    const { memoryBytes, processes, fileCount } = this.start.ceiling
    const pids = Watch.processesOf(pid, processes)
    const held = Watch.residentBytes(pids)
    if (held > memoryBytes) this.end("outOfMemory", `the session's processes held ${held} bytes`)
    else if (pids.length > processes) this.end("violation", `the session had more than ${processes} processes`)
    else if (this.start.cage.os === "bubblewrap" && Watch.fileCount(pids[1], Wall.mounts) > fileCount)
      this.end("violation", `the session had more than ${fileCount} files`)
  }

  /** An idle session must not keep a program alive that forgot it; what is asked of it does. */
  private hold(): void {
    if (this.exchanges.size + this.questions.size > 0) this.process.ref()
    else this.process.unref()
  }

  private say(line: object): void {
    this.stdin.write(`${JSON.stringify(line)}\n`)
  }

  private receive(chunk: Buffer): void {
    // A line may carry the largest result, escaped, or a piece of a file, and no more.
    const lineBytes = 4 * Math.max(this.start.resultBytes, this.start.outputBytes, pieceBytes) + 65_536
    let rest = chunk
    while (this.lost === undefined) {
      const at = rest.indexOf(10)
      const part = at < 0 ? rest : rest.subarray(0, at)
      this.pendingBytes += part.length
      if (this.pendingBytes > lineBytes) return this.end("protocol", "the session sent a line without an end")
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
    if (reply === undefined) return this.end("protocol", "the session sent a line that is no reply")
    switch (reply.t) {
      case "ready":
        this.process.unref()
        Deferred.doneUnsafe(this.readiness, Effect.void)
        return
      case "out":
      case "result":
        return this.event(reply)
      case "end":
        return this.finish(reply)
      case "died":
        return this.died(reply)
      case "file": {
        const answer = this.questions.get(reply.id)
        this.questions.delete(reply.id)
        this.hold()
        if (answer === undefined) this.end("protocol", "the session answered what nobody asked")
        else Deferred.doneUnsafe(answer, Effect.succeed(reply))
      }
    }
  }

  private event(event: Event): void {
    const exchange = this.exchanges.get(event.id)
    if (exchange === undefined) return this.end("protocol", "the session spoke unasked")
    if (event.t === "out") exchange.outputBytes += event.text.length
    else for (const form of Object.values(event.result)) exchange.resultBytes += form.length
    // The keeper cuts at the limit; over it, this is no longer the keeper that speaks.
    const isFlood =
      exchange.outputBytes > 2 * this.start.outputBytes || exchange.resultBytes > 2 * this.start.resultBytes
    if (isFlood) this.end("protocol", "the session sent more than its limit")
    else exchange.onEvent(event)
  }

  private finish(end: End): void {
    const exchange = this.exchanges.get(end.id)
    if (exchange === undefined) return this.end("protocol", "the session ended a run that is not in flight")
    this.exchanges.delete(end.id)
    this.hold()
    Deferred.doneUnsafe(exchange.end, Effect.succeed(end))
  }

  /** A kernel that is gone takes its variables along, so the session is lost, and what it left must not run on. */
  private died({ how, isOutOfMemory }: Extract<Reply, { readonly t: "died" }>): void {
    if (isOutOfMemory) this.end("outOfMemory", "the interpreter ran out of memory")
    else if (how.startsWith("exit code")) this.end("exited", `the program ended its own interpreter (${how})`)
    else this.end("crashed", `the interpreter ended (${how})`)
  }
}

const crashed = new SessionLost({ why: "crashed", description: "the session's processes ended" })

/** Starts a session's processes and waits until they are ready; killed when that is interrupted or fails. */
export const boot = (start: Start): Effect.Effect<Guest, SessionLost> =>
  Effect.suspend(() => {
    const guest = spawn(start)
    if (guest instanceof SessionLost) return Effect.fail(guest)
    return guest.ready.pipe(
      Effect.as(guest),
      Effect.onError(() => guest.kill("closed", "its start was given up"))
    )
  })

const spawn = (start: Start): Guest | SessionLost => {
  try {
    return new Guest(start)
  } catch (cause) {
    return new SessionLost({ why: "crashed", description: `its process did not start: ${String(cause)}`, cause })
  }
}
