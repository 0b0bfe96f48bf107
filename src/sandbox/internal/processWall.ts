/**
 * The wall of ProcessSandbox: bubblewrap on Linux, Seatbelt on macOS, with the limits of the system around the keeper.
 * Probed by doing exactly what a session does, once for each layer. Where nothing works, nothing is started.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Url from "node:url"
import * as Effect from "effect/Effect"
import { Unavailable } from "../SandboxError.ts"
import { nodePath, systemFolders, type Command } from "./wall.ts"

/** What the wall is built from. */
export interface Plan {
  /** The wall's program; `undefined` for the usual ones. */
  readonly wall: string | undefined
  readonly unsafeNoIsolation: boolean
  /** Folders of the host that the guest may read. */
  readonly readable: ReadonlyArray<string>
  readonly fileBytes: number
  readonly processes: number
}

/** A wall that was seen to work. */
export interface Cage {
  readonly os: "bubblewrap" | "seatbelt" | "none"
  /** The guest's home; `undefined` where it is a temporary folder of the host, made for each session. */
  readonly home: string | undefined
  /** This Node and the keeper's folder, by the paths that they have inside. */
  readonly node: string
  readonly folder: string
  /** The command to spawn, for a command inside. */
  readonly wrap: (command: Command, home: string) => Command
}

/** Compiled or source, as this file is. */
export const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js"
const folder = Fs.realpathSync(Path.dirname(Url.fileURLToPath(import.meta.url)))

// Absolute paths, so that a PATH with a stranger's folder in it changes nothing.
const bubblewrap = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"]
const seatbelt = "/usr/bin/sandbox-exec"
const prlimit = "/usr/bin/prlimit"
const setpriv = "/usr/bin/setpriv"

const inside = { node: "/opt/node", folder: "/opt/keeper", home: "/home/user" }

/** `/dev/shm` is for semaphores and small shared arrays. */
const sharedBytes = 64 * 1024 * 1024

/** Nobody's number on every Linux. */
const nobody = "65534"

const bind = (from: string, to: string) => ["--ro-bind", from, to]

const words = (text: string): ReadonlyArray<string> => text.split(" ")

/** Nothing shared, nobody, no capability; the system's programs to read, and three sized file systems to write. */
const bubblewrapArgs = (plan: Plan, extras: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...words("--unshare-all --unshare-user --die-with-parent --new-session --clearenv"),
  ...words(`--cap-drop ALL --uid ${nobody} --gid ${nobody}`),
  ...extras,
  // The linker's list of folders and Debian's links between programs: no secrets, and Python may not start without.
  ...[...systemFolders, "/sbin", "/etc/ld.so.cache", "/etc/alternatives"].flatMap((path) => [
    "--ro-bind-try",
    path,
    path
  ]),
  ...words(`--proc /proc --dev /dev --size ${sharedBytes} --tmpfs /dev/shm`),
  ...words(`--size ${plan.fileBytes} --tmpfs /tmp --size ${plan.fileBytes} --tmpfs ${inside.home}`),
  ...bind(nodePath, inside.node),
  ...bind(folder, inside.folder),
  ...plan.readable.flatMap((path) => bind(path, path)),
  // What bubblewrap made to hold these mounts has no size limit, so nobody may write to it.
  ...words(`--remount-ro /dev --remount-ro / --chdir ${inside.home} --`)
]

/** Reading the system, writing the home, no network, and nothing of other users' homes or volumes. Never tried on a Mac. */
const seatbeltProfile = (plan: Plan, home: string): string => {
  const list = (paths: ReadonlyArray<string>) => paths.map((path) => `(subpath ${JSON.stringify(path)})`).join(" ")
  return [
    "(version 1)(allow default)(deny network*)(deny file-write*)",
    `(allow file-write* ${list([home])} (literal "/dev/null") (literal "/dev/dtracehelper"))`,
    `(deny file-read* ${list(["/Users", "/Volumes", "/private/var", "/private/tmp", "/private/etc"])})`,
    `(allow file-read* ${list([home, folder, Path.dirname(nodePath), ...plan.readable])})`,
    "(deny mach-lookup)(deny signal)(allow signal (target same-sandbox))(deny process-info*)",
    "(allow process-info* (target same-sandbox))"
  ].join("")
}

/** The system's limits, inherited by everything inside. No core dumps; no file larger than all files together. */
const limits = (plan: Plan, isCounting: boolean): ReadonlyArray<string> => [
  ...words(`${prlimit} --core=0 --fsize=${plan.fileBytes} --nofile=1024`),
  ...(isCounting ? [`--nproc=${plan.processes}`] : []),
  "--"
]

/** What a failed probe said, in one line; `undefined` when it did not fail. */
const attempt = ([program, ...args]: Command) =>
  Effect.callback<string | undefined>((resume) => {
    const probe = ChildProcess.execFile(program, args, { env: {}, cwd: "/", timeout: 10_000 }, (error, _out, said) =>
      resume(Effect.succeed(error === null ? undefined : said.trim().split("\n")[0] || error.message.split("\n")[0]))
    )
    return Effect.sync(() => probe.kill("SIGKILL"))
  })

const command = (parts: ReadonlyArray<string>): Command => {
  const [program = "", ...args] = parts
  return [program, ...args]
}

const cageOf = (parts: (home: string) => ReadonlyArray<string>, cage: Omit<Cage, "wrap">): Cage => ({
  ...cage,
  wrap: (inner, home) => command([...parts(home), ...inner])
})

/**
 * From the strongest to the weakest: as another user than root where this is root; with no user namespaces inside; with
 * processes counted, which older kernels do for all of the user's processes together, so that a session cannot start.
 */
const cages = (plan: Plan, program: string): ReadonlyArray<Cage> => {
  const asNobody = [setpriv, `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--"]
  const isRoot = process.getuid?.() === 0 && Fs.existsSync(setpriv)
  return (isRoot ? [asNobody, []] : [[]]).flatMap((prefix) =>
    [["--disable-userns"], []].flatMap((extras) =>
      [true, false].map((isCounting) =>
        cageOf(() => [...prefix, program, ...bubblewrapArgs(plan, extras), ...limits(plan, isCounting)], {
          ...inside,
          os: "bubblewrap"
        })
      )
    )
  )
}

const tried = Effect.fnUntraced(function* (candidates: ReadonlyArray<Cage>) {
  let said = ""
  for (const cage of candidates) {
    // Node starts threads: a limit that is too low shows here.
    const failure = yield* attempt(cage.wrap([cage.node, "-e", "0"], cage.home ?? "/"))
    if (failure === undefined) return cage
    said ||= failure
  }
  return said
})

const escape = "or set `unsafeNoIsolation: true` to run code with your own rights"

const onLinux = Effect.fnUntraced(function* (plan: Plan) {
  const program = (plan.wall === undefined ? bubblewrap : [plan.wall]).find((path) => Fs.existsSync(path))
  if (program === undefined)
    return `bubblewrap is not at ${plan.wall ?? bubblewrap[0]}: \`apt-get install bubblewrap\`, ${escape}`
  if (!Fs.existsSync(prlimit)) return `prlimit is not at ${prlimit}: \`apt-get install util-linux\`, ${escape}`
  const found = yield* tried(cages(plan, program))
  return typeof found === "string"
    ? `bubblewrap does not work here (${found}): allow user namespaces (Ubuntu: \`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\`), ${escape}`
    : found
})

const onMac = Effect.fnUntraced(function* (plan: Plan) {
  const program = plan.wall ?? seatbelt
  const cage = cageOf((home) => [program, "-p", seatbeltProfile(plan, home)], {
    os: "seatbelt",
    home: undefined,
    node: nodePath,
    folder
  })
  const found = yield* tried([cage])
  return typeof found === "string" ? `sandbox-exec does not work here (${found}): ${escape.slice(3)}` : found
})

const none: Cage = cageOf(() => [], { os: "none", home: undefined, node: nodePath, folder })

/** Finds the wall, or says in one line what to install or to set. */
export const find = Effect.fnUntraced(function* (plan: Plan) {
  const elsewhere = Effect.succeed(`there is no wall on ${process.platform}: use LocalSandbox, ${escape}`)
  const found = yield* process.platform === "linux"
    ? onLinux(plan)
    : process.platform === "darwin"
      ? onMac(plan)
      : elsewhere
  if (typeof found !== "string") return found
  if (!plan.unsafeNoIsolation) return yield* Effect.fail(new Unavailable({ description: found }))
  yield* Effect.logWarning(
    `ProcessSandbox runs code WITHOUT ISOLATION: it can read, write and send whatever this user can (${found})`
  )
  return none
})

/** The folders that hold the guest's own files, where these are file systems of their own. */
export const mounts = ["/tmp", inside.home]

/** A home on the host, for a session without a file system of its own. */
export const temporaryHome = (): string =>
  Fs.realpathSync(Fs.mkdtempSync(Path.join(Os.tmpdir(), `holdfast-${process.pid}-`)))

/** Limits the address space of a command, where the system can. */
export const withAddressSpace = (cage: Cage, bytes: number, inner: Command): Command =>
  cage.os === "bubblewrap" ? [prlimit, `--as=${bytes}`, "--", ...inner] : inner

/** Whether a program of the host is there behind the wall. */
export const isVisible = (cage: Cage, program: string, readable: ReadonlyArray<string>): boolean => {
  if (cage.os !== "bubblewrap") return true
  const real = Fs.realpathSync(program)
  return [...systemFolders, "/sbin", ...readable].some((path) => real.startsWith(`${path}/`) || real === path)
}
