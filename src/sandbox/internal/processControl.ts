/**
 * The worker beside a session's JavaScript: it holds the descriptors and each run's seal, apart from the thread that runs
 * the code, and ends loops that this thread cannot leave.
 */
import * as Fs from "node:fs"
import * as Inspector from "node:inspector"
import * as Net from "node:net"
import * as Timers from "node:timers"
import type * as WorkerThreads from "node:worker_threads"
import { count, fields, flag, own, parse, text, type Fields } from "./fields.ts"

/** How long the main thread may take to answer before it is taken to compute. */
const answerMillis = { stop: 50, ping: 500 }

/** The worker: descriptor 3 brings runs and stops, 4 takes results and ends. */
export class Control {
  private readonly session = new Inspector.Session()
  private readonly tell: (message: unknown) => void
  private readonly ear: Int32Array
  private pending: Buffer = Buffer.alloc(0)
  private run: { readonly id: number; readonly seal: string } | undefined
  /** A run was stopped while it waited: what it waited for may still come, and compute for ever. */
  private guarding: NodeJS.Timeout | undefined

  constructor(port: WorkerThreads.MessagePort, ear: Int32Array) {
    this.tell = port.postMessage.bind(port)
    this.ear = ear
    this.session.connectToMainThread()
    const input = new Net.Socket({ fd: 3, readable: true, writable: false })
    input.on("data", (chunk: Buffer) => {
      this.pending = Buffer.concat([this.pending, chunk])
      while (this.take());
    })
    input.on("close", () => process.kill(process.pid, "SIGKILL"))
    port.on("message", (message: unknown) => this.hear(fields(message) ?? {}))
  }

  private hear(from: Fields): void {
    const result = text(from, "result")
    const end = fields(own(from, "end"))
    if (result !== undefined) write(`R${result}`)
    else if (end === undefined) this.halt()
    else if (this.run !== undefined) {
      write(`E${this.run.seal}${flag(end, "ok") === true ? "+" : "-"}${JSON.stringify(end)}`)
      this.run = undefined
    }
  }

  /** Takes one request out of what has come; `false` when it is not whole yet. */
  private take(): boolean {
    const { pending } = this
    if (pending.length < 8) return false
    const size = Number.parseInt(pending.toString("latin1", 0, 8), 16)
    const whole = size === 0 ? 8 : 8 + size + 32
    if (pending.length < whole) return false
    this.pending = pending.subarray(whole)
    if (size === 0) this.stop()
    else this.begin(pending.toString("utf8", 8, 8 + size), pending.toString("latin1", 8 + size, whole))
    return true
  }

  private begin(body: string, seal: string): void {
    if (this.guarding !== undefined) this.settle()
    Timers.clearInterval(this.guarding)
    this.guarding = undefined
    this.run = { id: count(parse(body) ?? {}, "id") ?? 0, seal }
    this.tell({ run: body })
  }

  private asks(message: object, millis: number): boolean {
    Atomics.store(this.ear, 0, 0)
    this.tell(message)
    return Atomics.wait(this.ear, 0, 0, millis) !== "timed-out"
  }

  private terminate(): void {
    this.session.post("Runtime.terminateExecution")
    this.guard()
  }

  /** Tears the main thread out of what nobody waits for any more. A termination may hit late, so it is asked again. */
  private settle(): void {
    let isClean = true
    for (let round = 0; round < 5; round++) {
      const answers = this.asks({ ping: true }, answerMillis.ping)
      if (answers && isClean) return
      isClean = answers
      if (!answers) this.terminate()
    }
  }

  private halt(): void {
    this.terminate()
    if (this.run !== undefined) this.tell({ stop: this.run.id })
  }

  private stop(): void {
    if (this.run === undefined) return
    // A main thread that only waits answers at once; one that computes must be torn out of it.
    if (this.asks({ stop: this.run.id }, answerMillis.stop)) this.guard()
    else this.terminate()
  }

  private guard(): void {
    this.guarding ??= Timers.setInterval(() => {
      if (this.run === undefined) this.settle()
    }, answerMillis.ping).unref()
  }
}

const write = (line: string): void => {
  const bytes = Buffer.from(`${line}\n`)
  for (let at = 0; at < bytes.length;) at += Fs.writeSync(4, bytes, at)
}
