/**
 * The memory of a booted Python, kept in the user's cache folder: a session starts from it in a fifth of the time.
 *
 * The file's name carries the hash of what it holds, checked before its first use in a process; a file that does not
 * match is removed. It is made by a guest process that has run no code and may write nothing: the bytes come through
 * its stdout, and this process writes them to a temporary file and renames it, so that several may do so at once. Those
 * of other releases go when nobody has used them for a month. Whatever fails, sessions start without it.
 */
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Child from "./child.ts"
import * as Driver from "./driver.ts"
import { pyodideVersion } from "./engines.ts"

/** A snapshot is 31 MB; one that is twice as long is none. */
const maxBytes = 128 * 1024 * 1024

/** Booting and importing takes 2.5 s on an idle machine. */
const buildTimeout = "60 seconds"

const hash = (data: string | Uint8Array): string => Crypto.createHash("sha256").update(data).digest("hex")

/** Which snapshot this code can use: another release or another driver makes another. */
const key = `python-${pyodideVersion}-${hash(Driver.source).slice(0, 16)}`

/** The user's cache folder, as the system names it. */
export const defaultFolder: Effect.Effect<string> = Effect.gen(function* () {
  const read = (name: string) => Config.option(Config.NonEmptyString(name))
  const home = Os.homedir()
  if (process.platform === "darwin") return Path.join(home, "Library", "Caches", "holdfast")
  if (process.platform === "win32")
    return Path.join(
      Option.getOrElse(yield* read("LOCALAPPDATA"), () => Path.join(home, "AppData", "Local")),
      "holdfast"
    )
  return Path.join(
    Option.getOrElse(yield* read("XDG_CACHE_HOME"), () => Path.join(home, ".cache")),
    "holdfast"
  )
}).pipe(Effect.orElseSucceed(() => Path.join(Os.homedir(), ".cache", "holdfast")))

/** Files that this process has checked. */
const checked = new Set<string>()

/** Nobody else may write where a snapshot comes from. */
const isOurs = (folder: string): boolean => {
  const stat = Fs.statSync(folder)
  return process.getuid === undefined || (stat.uid === process.getuid() && (stat.mode & 0o022) === 0)
}

const find = (folder: string): string | undefined => {
  for (const name of Fs.readdirSync(folder)) {
    if (!name.startsWith(`${key}-`) || !name.endsWith(".snapshot")) continue
    const path = Path.join(folder, name)
    const mark = `${path} ${Fs.statSync(path).mtimeMs} ${Fs.statSync(path).size}`
    if (checked.has(mark)) return path
    if (name === `${key}-${hash(Fs.readFileSync(path))}.snapshot`) {
      checked.add(mark)
      return path
    }
    Fs.rmSync(path, { force: true })
  }
  return undefined
}

const build = (start: Child.Start) =>
  Effect.callback<Buffer | undefined>((resume) => {
    const [program, ...args] = Child.command(start.wall, start.readable)
    const builder = ChildProcess.spawn(program, args, { cwd: "/", env: {}, stdio: ["pipe", "pipe", "ignore"] })
    const parts: Array<Buffer> = []
    let size = 0
    builder.stdout.on("data", (part: Buffer) => {
      size += part.length
      if (size > maxBytes) builder.kill("SIGKILL")
      else parts.push(part)
    })
    builder.stdin.on("error", () => undefined)
    builder.on("error", () => resume(Effect.succeed(undefined)))
    builder.on("close", (code) => resume(Effect.succeed(code === 0 && size > 0 ? Buffer.concat(parts) : undefined)))
    builder.stdin.end(`${JSON.stringify({ ...start.boot, nonce: "", snapshot: "", snapshotOnly: true })}\n`)
    return Effect.sync(() => builder.kill("SIGKILL"))
  })

const store = (folder: string, bytes: Buffer): string => {
  const path = Path.join(folder, `${key}-${hash(bytes)}.snapshot`)
  const temporary = Path.join(folder, `${Crypto.randomUUID()}.tmp`)
  try {
    Fs.writeFileSync(temporary, bytes, { mode: 0o600, flag: "wx" })
    Fs.renameSync(temporary, path)
  } finally {
    Fs.rmSync(temporary, { force: true })
  }
  return path
}

const unusedMillis = 30 * 24 * 3600 * 1000

/** Removes what nobody has read for long: snapshots of other releases, and what a killed process left half-written. */
const tidy = (folder: string, kept: string, nowMillis: number): void => {
  for (const name of Fs.readdirSync(folder)) {
    const path = Path.join(folder, name)
    if (path === kept || !/^python-.*\.snapshot$|\.tmp$/.test(name)) continue
    const { atimeMs, mtimeMs } = Fs.statSync(path)
    // Where the system does not keep the time of reading, a snapshot is made anew each month.
    if (nowMillis - Math.max(atimeMs, mtimeMs) > unusedMillis) Fs.rmSync(path, { force: true })
  }
}

const attempt = <A>(f: () => A) => Effect.try({ try: f, catch: (cause) => cause })

/** Finds a snapshot or makes one; `""` when neither can be done. */
export const prepare = (folder: string, start: Child.Start): Effect.Effect<string> =>
  Effect.gen(function* () {
    const found = yield* attempt(() => {
      Fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
      return isOurs(folder) ? (find(folder) ?? "build") : ""
    })
    if (found !== "build") return found
    yield* attempt(() => Fs.accessSync(folder, Fs.constants.W_OK))
    const bytes = yield* build(start)
    if (bytes === undefined) return ""
    const path = yield* attempt(() => store(folder, bytes))
    const now = yield* Clock.currentTimeMillis
    yield* Effect.ignore(attempt(() => tidy(folder, path, now)))
    return path
  }).pipe(
    Effect.timeoutOrElse({ duration: buildTimeout, orElse: () => Effect.succeed("") }),
    // Everything that the file system says is a reason to boot without one, and none to fail.
    Effect.orElseSucceed(() => ""),
    Effect.withSpan("LocalSandbox.snapshot")
  )
