/**
 * The guest process's side of the wire. Everything blocks: after the lock closes, the process never returns to its
 * event loop, so no timer, promise or socket of anything inside it can ever fire.
 */
import * as Fs from "node:fs"
import { strings } from "./fields.ts"
import { decodeRequest, resultCost, type Boot, type Raised, type Reply, type Run } from "./frame.ts"
import { answer, type GuestFiles } from "./guestFiles.ts"

/** The file in which the parent writes the number of the run to stop. Inherited, and already unlinked. */
const cancelFd = 3

/** How often a busy guest looks for a stop: the parent's `grace` is many times this. */
const pollMillis = 20

/** Output leaves in chunks of this size, or as old as `pollMillis`: one line per `print` would cost ten times more. */
const chunkBytes = 16 * 1024

type Outgoing = Exclude<Reply, { readonly t: "end" | "out" }>

/** Reads lines from stdin, blocking. */
export class Lines {
  private pending: Buffer = Buffer.alloc(0)
  private readonly block = Buffer.alloc(64 * 1024)

  /** The next line; `undefined` when the parent is gone. */
  next(): string | undefined {
    const parts: Array<Buffer> = []
    for (;;) {
      const at = this.pending.indexOf(10)
      if (at >= 0) {
        parts.push(this.pending.subarray(0, at))
        this.pending = Buffer.from(this.pending.subarray(at + 1))
        return Buffer.concat(parts).toString("utf8")
      }
      parts.push(this.pending)
      const size = read(this.block)
      if (size === 0) return undefined
      this.pending = Buffer.from(this.block.subarray(0, size))
    }
  }
}

const read = (block: Buffer): number => {
  try {
    return Fs.readSync(0, block, 0, block.length, null)
  } catch {
    return 0 // EOF on a Windows pipe, or the parent is gone
  }
}

/** The guest's output, its results, and the parent's wish to stop. */
export class Channel {
  private readonly boot: Boot
  private readonly ear = new Int32Array(new SharedArrayBuffer(4))
  private readonly mark = Buffer.alloc(8)
  private readonly decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  private readonly parent = process.ppid
  private chunks: Array<Uint8Array> = []
  private chunkStream: "stdout" | "stderr" = "stdout"
  private held = 0
  private heldSince = 0
  private lastPoll = 0
  private stopped = false
  private run = 0
  private outputLeft = 0
  private resultLeft = 0
  private cut = false

  constructor(boot: Boot) {
    this.boot = boot
  }

  /** Starts a run: its limits are fresh, and only its own number stops it. */
  begin(run: number): void {
    this.run = run
    this.stopped = false
    this.cut = false
    this.outputLeft = this.boot.outputBytes
    this.resultLeft = this.boot.resultBytes
  }

  /** Ends a run. */
  end(ok: boolean, error: Raised | undefined, exitCode: number, memoryBytes: number): void {
    this.flush(true)
    this.line({ t: "end", id: this.run, ok, error, exitCode, memoryBytes, truncated: this.cut })
    this.run = 0
  }

  send(reply: Outgoing): void {
    this.flush()
    this.line(reply)
  }

  /** Takes output of the guest; what is over the limit is dropped. Between runs there is nobody to hear it. */
  write(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const size = Math.min(bytes.length, this.outputLeft)
    if (size < bytes.length) this.cut = true
    if (this.run === 0 || size === 0) return
    this.outputLeft -= size
    if (this.chunkStream !== stream) this.flush()
    if (this.held === 0) this.heldSince = performance.now()
    this.chunkStream = stream
    this.chunks.push(bytes.slice(0, size))
    this.held += size
    if (this.held >= chunkBytes || performance.now() - this.heldSince >= pollMillis) this.flush()
  }

  /** Takes a result of the guest: JSON of a record of strings. Anything else is dropped. */
  result(json: string | Uint8Array): void {
    if (this.run === 0) return
    // Before it is read: a guest may hand over all of its memory as one result.
    this.resultLeft -= json.length + resultCost
    if (this.resultLeft < 0) {
      this.cut = true
      return
    }
    try {
      // The Python driver writes ASCII.
      const result = strings(JSON.parse(typeof json === "string" ? json : Buffer.from(json).toString("latin1")))
      if (result !== undefined) this.send({ t: "result", result })
    } catch {
      this.cut = true
    }
  }

  /** Hands held output to the parent. `last` also gives out an unfinished character. */
  flush(last = false): void {
    this.emit(this.chunkStream, Buffer.concat(this.chunks), last)
    if (last) this.emit(this.chunkStream === "stdout" ? "stderr" : "stdout", new Uint8Array(0), true)
    this.chunks = []
    this.held = 0
  }

  /** Whether the parent wants this run to stop. Cheap: it looks at the file every `pollMillis`. */
  isStopped(): boolean {
    const now = performance.now()
    if (this.stopped || now - this.lastPoll < pollMillis) return this.stopped
    this.lastPoll = now
    if (this.held > 0 && now - this.heldSince >= pollMillis) this.flush()
    // A parent that died cannot kill us: on POSIX an orphan has another parent.
    if (process.ppid !== this.parent) process.exit(1)
    this.stopped = this.run > 0 && Fs.readSync(cancelFd, this.mark, 0, 8, 0) === 8 && this.wanted() === this.run
    return this.stopped
  }

  /** Sleeps, in slices, until the time is over or the run is to stop. */
  sleep(millis: number): void {
    this.flush()
    const until = performance.now() + millis
    for (;;) {
      const left = until - performance.now()
      if (!(left > 0) || this.isStopped()) return
      Atomics.wait(this.ear, 0, 0, Math.min(left, pollMillis))
    }
  }

  /** Says why and ends the process. Control never goes back to the guest. */
  die(why: "exited" | "violation" | "crashed" | "outOfMemory", what: string): never {
    this.flush(true)
    this.line({ t: "gone", why, what: what.slice(0, 2000) })
    return process.exit(86)
  }

  private wanted(): number {
    return Number(this.mark.readBigUInt64LE(0))
  }

  private emit(stream: "stdout" | "stderr", bytes: Uint8Array, last: boolean): void {
    const text = this.decoders[stream].decode(bytes, { stream: !last })
    if (text !== "") this.line({ t: "out", stream, text })
  }

  private line(fields: Readonly<Record<string, unknown>>): void {
    writeAll(Buffer.from(JSON.stringify({ ...fields, n: this.boot.nonce }) + "\n"))
  }
}

/** Serves what the parent asks for, until it is gone or speaks nonsense. */
export const serveRequests = (lines: Lines, channel: Channel, files: GuestFiles, execute: (run: Run) => void): void => {
  channel.send({ t: "ready" })
  for (;;) {
    const line = lines.next()
    const request = line === undefined ? undefined : decodeRequest(line)
    if (request === undefined) return
    if (request.t === "run") execute(request)
    else channel.send(answer(files, request))
  }
}

/** Writes all of it to the parent; a parent that is gone ends the process. */
export const writeAll = (bytes: Uint8Array): void => {
  let at = 0
  while (at < bytes.length) {
    try {
      at += Fs.writeSync(1, bytes, at)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) process.exit(1)
    }
  }
}
