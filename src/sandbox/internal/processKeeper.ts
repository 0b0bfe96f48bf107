/**
 * The first process behind ProcessSandbox's wall: starts kernels and commands, hands their output to the parent, and
 * reads and writes files as the guest that it is. Never imported, only run.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import { answer, Refusal, type GuestFiles } from "./guestFiles.ts"
import { decodeBoot, decodeRequest, type Boot, type Reply, type Request } from "./processFrame.ts"
import * as Kernel from "./processKernel.ts"

/** Throws what Node throws as the refusals that the parent knows. */
const refusing = <A>(operation: () => A): A => {
  try {
    return operation()
  } catch (error) {
    if (error instanceof Refusal) throw error
    const code = error instanceof Error && "code" in error ? String(error.code) : ""
    throw new Refusal(code, error instanceof Error ? error.message : String(error))
  }
}

const typeOf = (stats: Fs.Stats) => (stats.isFile() ? "file" : stats.isDirectory() ? "folder" : "other")

const info = (path: string) => {
  const stats = Fs.statSync(path)
  return { type: typeOf(stats), bytes: stats.isFile() ? stats.size : 0 } as const
}

/** An entry that leads nowhere is there all the same. */
const entry = (folder: string, name: string) => {
  const stats = Fs.statSync(`${folder}/${name}`, { throwIfNoEntry: false })
  const type = stats === undefined ? "other" : typeOf(stats)
  return { name, type, bytes: type === "file" ? (stats?.size ?? 0) : 0, stamp: 0 } as const
}

/** Opens a plain file. Never waits: a pipe that nobody writes to would hold the keeper for ever. */
const withFile = <A>(path: string, flags: number, use: (fd: number) => A): A => {
  const fd = Fs.openSync(path, flags | Fs.constants.O_NONBLOCK, 0o644)
  try {
    const stats = Fs.fstatSync(fd)
    if (stats.isDirectory()) throw new Refusal("EISDIR", "it is a folder")
    if (!stats.isFile()) throw new Refusal("EINVAL", "it is no file")
    return use(fd)
  } finally {
    Fs.closeSync(fd)
  }
}

const put = (path: string, flags: number, bytes: Uint8Array): void =>
  withFile(path, Fs.constants.O_WRONLY | Fs.constants.O_CREAT | flags, (fd) => {
    for (let at = 0; at < bytes.length;) at += Fs.writeSync(fd, bytes, at)
  })

const read = (path: string, at: number, length: number): Uint8Array =>
  withFile(path, Fs.constants.O_RDONLY, (fd) => {
    const bytes = new Uint8Array(length)
    let size = 0
    for (let got = 1; got > 0 && size < length; size += got)
      got = Fs.readSync(fd, bytes, size, length - size, at + size)
    return bytes.subarray(0, size)
  })

/** Node says EEXIST of a file where a folder should be. */
const makeFolder = (path: string): void => {
  const stats = Fs.statSync(path, { throwIfNoEntry: false })
  if (stats?.isFile() === true) throw new Refusal("ENOTDIR", "it is no folder")
  Fs.mkdirSync(path, { recursive: true })
}

const files: GuestFiles = {
  info: (path) => refusing(() => info(path)),
  list: (path) => refusing(() => Fs.readdirSync(path).map((name) => entry(path, name))),
  read: (path, at, length) => refusing(() => read(path, at, length)),
  create: (path, bytes) => refusing(() => put(path, Fs.constants.O_TRUNC, bytes)),
  append: (path, bytes) => refusing(() => put(path, Fs.constants.O_APPEND, bytes)),
  folder: (path) => refusing(() => makeFolder(path)),
  remove: (path) => refusing(() => Fs.rmSync(path, { recursive: true }))
}

class Keeper {
  private readonly boot: Boot
  private readonly kernels = new Map<string, Kernel.Kernel>()
  private readonly commands = new Map<number, (signal: NodeJS.Signals) => void>()

  constructor(boot: Boot) {
    this.boot = boot
  }

  /** Blocks while the parent is slow: then the kernels wait too. */
  readonly send = (reply: Reply): void => {
    const line = Buffer.from(`${JSON.stringify({ ...reply, n: this.boot.nonce })}\n`)
    for (let at = 0; at < line.length;) {
      try {
        at += Fs.writeSync(1, line, at)
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) process.exit(1)
      }
    }
  }

  handle(request: Request): void {
    switch (request.t) {
      case "file":
        return this.send(answer(files, request))
      case "run":
        return this.start(request, () => this.kernel(request).run(request))
      case "command": {
        const { signals } = Os.constants
        const over = () => this.commands.delete(request.id)
        return this.start(request, () => {
          this.commands.set(request.id, Kernel.command(request, this.boot, signals, this.send, over))
        })
      }
      case "stop":
      case "kill": {
        const signal = request.t === "stop" ? "SIGINT" : "SIGKILL"
        this.commands.get(request.id)?.(signal)
        for (const kernel of this.kernels.values()) kernel.signal(request.id, signal)
      }
    }
  }

  /** What cannot be started, because a variable or a command line is too long for the system, fails alone. */
  private start({ id }: { readonly id: number }, start: () => void): void {
    try {
      start()
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error)
      this.send({ t: "out", id, stream: "stderr", text: `${said}\n` })
      this.send({ t: "end", id, ok: false, error: undefined, exitCode: 126, truncated: false })
    }
  }

  private kernel({ kernel: name, language }: Extract<Request, { readonly t: "run" }>): Kernel.Kernel {
    const kernel = this.kernels.get(name) ?? new Kernel.Kernel(language, this.boot, this.send)
    this.kernels.set(name, kernel)
    return kernel
  }
}

// Interrupts are for kernels, which have groups of their own; without a wall a terminal's may come here too.
process.on("SIGINT", () => undefined)
let keeper: Keeper | undefined
const hear = (line: string): void => {
  if (keeper !== undefined) {
    const request = decodeRequest(line)
    if (request !== undefined) keeper.handle(request)
    return
  }
  const boot = decodeBoot(line)
  if (boot === undefined) process.exit(1)
  keeper = new Keeper(boot)
  keeper.send({ t: "ready" })
}
// Not `node:readline`: for that, U+2028 ends a line too.
let pending: Array<Buffer> = []
process.stdin.on("data", (chunk: Buffer) => {
  let rest = chunk
  for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
    const line = Buffer.concat([...pending, rest.subarray(0, at)]).toString("utf8")
    pending = []
    rest = rest.subarray(at + 1)
    hear(line)
  }
  pending.push(rest)
})
process.stdin.on("end", () => process.exit(0))
