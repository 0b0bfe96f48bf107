/** Processes that the keeper starts: kernels, which keep variables, and commands. Each leads a process group. */
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import { Socket } from "node:net"
import type { Readable } from "node:stream"
import { parse, strings } from "./fields.ts"
import { decodeVerdict, type Boot, type Command, type End, type Reply, type Run } from "./processFrame.ts"

/** Sends a line to the parent. */
export type Send = (reply: Reply) => void

/** What one run or command has said, up to the limits. */
class Job {
  readonly id: number
  private readonly send: Send
  private outputLeft: number
  private resultLeft: number
  private cut = false
  private readonly decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }

  constructor(id: number, boot: Boot, send: Send) {
    this.id = id
    this.send = send
    this.outputLeft = boot.outputBytes
    this.resultLeft = boot.resultBytes
  }

  write(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const size = Math.min(bytes.length, this.outputLeft)
    if (size < bytes.length) this.cut = true
    this.outputLeft -= size
    if (size > 0) this.say(stream, this.decoders[stream].decode(bytes.subarray(0, size), { stream: true }))
  }

  /** JSON of a record of strings; anything else is dropped. */
  result(json: string): void {
    this.resultLeft -= json.length
    const from = this.resultLeft < 0 ? undefined : parse(json)
    const result = from === undefined ? undefined : strings(from)
    if (result === undefined) this.cut = true
    else this.send({ t: "result", id: this.id, result })
  }

  end(verdict: Pick<End, "ok" | "error" | "exitCode">): void {
    for (const stream of ["stdout", "stderr"] as const) this.say(stream, this.decoders[stream].decode())
    this.send({ t: "end", id: this.id, ...verdict, truncated: this.cut })
  }

  private say(stream: "stdout" | "stderr", text: string): void {
    if (text !== "") this.send({ t: "out", id: this.id, stream, text })
  }
}

/**
 * Calls `then` when everything has been read that was written before now: it lies in the sockets' buffers, and one
 * whole turn of the event loop reads those to their end.
 */
const afterOutput = (then: () => void): void => {
  setImmediate(() => setImmediate(() => setImmediate(then)))
}

/** Signals a whole process group; one that is gone is no error. */
const signalGroup = (pid: number | undefined, signal: NodeJS.Signals): void => {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // gone already
  }
}

const sealChars = 32

/** One interpreter. It lives as long as the keeper. */
export class Kernel {
  private readonly boot: Boot
  private readonly send: Send
  private readonly language: Run["language"]
  private readonly process: ChildProcess.ChildProcess
  private readonly input: Socket
  private job: Job | undefined
  private seal = ""
  private pending = ""
  private lastWords = ""

  constructor(language: Run["language"], boot: Boot, send: Send) {
    this.boot = boot
    this.send = send
    this.language = language
    const [program = "", ...args] = boot.kernels[language]
    this.process = ChildProcess.spawn(program, args, {
      cwd: boot.home,
      env: { ...boot.env },
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"]
    })
    const [, stdout, stderr, input, output] = this.process.stdio
    if (!(stdout instanceof Socket && stderr instanceof Socket && input instanceof Socket && output instanceof Socket))
      throw new Error("a kernel has no pipes")
    this.input = input
    input.on("error", () => undefined) // its exit says more
    stdout.on("data", (bytes: Buffer) => this.job?.write("stdout", bytes))
    stderr.on("data", (bytes: Buffer) => {
      this.lastWords = (this.lastWords + bytes.toString("latin1")).slice(-4096)
      this.job?.write("stderr", bytes)
    })
    output.setEncoding("utf8").on("data", (text: string) => this.receive(text))
    this.process.on("error", (error) => this.gone(error.message))
    this.process.on("exit", (code, signal) => afterOutput(() => this.gone(signal ?? `exit code ${code}`)))
  }

  get isBusy(): boolean {
    return this.job !== undefined
  }

  run(request: Run): void {
    this.job = new Job(request.id, this.boot, this.send)
    this.seal = Crypto.randomBytes(sealChars / 2).toString("hex")
    const { id, code, isTyped, env, cwd } = request
    const body =
      this.language === "bash" ? bashBody(request) : sized(Buffer.from(JSON.stringify({ id, code, isTyped, env, cwd })))
    this.input.write(Buffer.concat([body, Buffer.from(this.seal)]))
    if (this.process.exitCode !== null || this.process.signalCode !== null) this.gone("it had ended before")
  }

  /** Asks what runs as `id` to stop. */
  signal(id: number, signal: "SIGINT" | "SIGKILL"): void {
    if (this.job?.id !== id) return
    // Node cannot hear a signal in a loop; its worker hears this.
    if (signal === "SIGINT" && this.language === "javascript") this.input.write(sized(Buffer.alloc(0)))
    else signalGroup(this.process.pid, signal)
  }

  private receive(text: string): void {
    this.pending += text
    for (let at = this.pending.indexOf("\n"); at >= 0; at = this.pending.indexOf("\n")) {
      this.line(this.pending.slice(0, at))
      this.pending = this.pending.slice(at + 1)
    }
    // No result is this long: it is not the driver that speaks.
    if (this.pending.length > 2 * this.boot.resultBytes + 1024 * 1024) signalGroup(this.process.pid, "SIGKILL")
  }

  private line(line: string): void {
    const job = this.job
    if (job === undefined) return
    if (line.startsWith("R")) return job.result(line.slice(1))
    const sign = line[1 + sealChars]
    const isSealed = line.startsWith(`E${this.seal}`) && (sign === "+" || sign === "-")
    const verdict = isSealed ? parse(line.slice(2 + sealChars)) : undefined
    const end = verdict === undefined ? undefined : decodeVerdict({ ...verdict, ok: sign === "+" })
    // Somebody else wrote to the driver's descriptor; what this kernel says is worth nothing from here on.
    if (end === undefined) return signalGroup(this.process.pid, "SIGKILL")
    afterOutput(() => {
      if (this.job !== job) return
      this.job = undefined
      job.end(end)
    })
  }

  private gone(how: string): void {
    const job = this.job
    this.job = undefined
    const isOutOfMemory = /heap out of memory|Fatal process out of memory/.test(this.lastWords)
    if (job !== undefined) this.send({ t: "died", id: job.id, how, isOutOfMemory })
  }
}

const sized = (body: Buffer): Buffer =>
  Buffer.concat([Buffer.from(body.length.toString(16).padStart(8, "0"), "latin1"), body])

/** bash has no NUL, neither in code nor in variables; what follows one would be read as another field. */
const bashBody = ({ code, cwd, env }: Run): Buffer => {
  const entries = Object.entries(env)
  const parts = [cwd, code, String(entries.length), ...entries.flat()]
  return Buffer.from(parts.map((part) => `${part.replaceAll("\0", "")}\0`).join(""))
}

const read = (stream: Readable | null, job: Job, name: "stdout" | "stderr"): void => {
  stream?.on("data", (bytes: Buffer) => job.write(name, bytes))
}

/** 128 and the signal's number, as shells say it. */
const codeOf = (code: number | null, signal: NodeJS.Signals | null, numbers: Readonly<Record<string, number>>) =>
  code ?? 128 + (numbers[signal ?? ""] ?? 0)

/** Starts a command; `ended` comes once. What it leaves in the background lives on, unheard. */
export const command = (
  request: Command,
  boot: Boot,
  numbers: Readonly<Record<string, number>>,
  send: Send,
  ended: () => void
): ((signal: NodeJS.Signals) => void) => {
  const job = new Job(request.id, boot, send)
  const [program = ""] = boot.kernels.bash
  const child = ChildProcess.spawn(program, ["--norc", "--noprofile", "-c", request.command], {
    cwd: request.cwd,
    env: { ...boot.env, ...request.env },
    detached: true,
    stdio: [request.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"]
  })
  let isOver = false
  const end = (exitCode: number) => {
    if (isOver) return
    isOver = true
    ended()
    job.end({ ok: exitCode === 0, error: undefined, exitCode: exitCode & 255 })
    for (const stream of [child.stdout, child.stderr]) stream?.removeAllListeners("data").resume()
  }
  read(child.stdout, job, "stdout")
  read(child.stderr, job, "stderr")
  child.stdin?.on("error", () => undefined) // it need not read all of it
  child.stdin?.end(Buffer.from(request.stdin ?? "", "base64"))
  child.on("error", (error) => {
    job.write("stderr", Buffer.from(`${error.message}\n`))
    end(127)
  })
  child.on("exit", (code, signal) => afterOutput(() => end(codeOf(code, signal, numbers))))
  return (signal) => signalGroup(child.pid, signal)
}
