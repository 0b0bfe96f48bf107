/**
 * The operating system's part: a namespace wall where the machine allows one, and a child that dies with its parent.
 * Probed by doing it, once for each process; never assumed.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { Unavailable } from "../SandboxError.ts"

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: ReadonlyArray<string>]

/** What stands around the guest process. */
export interface Wall {
  readonly os: "bubblewrap" | "none"
  /** Puts a command behind the wall; `folders` stay readable. */
  readonly wrap: (command: Command, folders: ReadonlyArray<string>) => Command
}

// Absolute paths, so that a PATH with a stranger's folder in it changes nothing.
const bubblewrap = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"]
const setpriv = ["/usr/bin/setpriv", "/bin/setpriv"]

/** What every program needs to start; read-only behind the wall. */
export const systemFolders = ["/usr", "/lib", "/lib64", "/bin"]

/** The wall's own arguments: nothing shared, nobody, no capability, an empty machine but for `folders`. */
const bubblewrapArgs = (folders: ReadonlyArray<string>): ReadonlyArray<string> => [
  "--unshare-all",
  "--die-with-parent",
  "--new-session",
  "--cap-drop",
  "ALL",
  "--uid",
  "65534",
  "--gid",
  "65534",
  "--clearenv",
  ...systemFolders.flatMap((folder) => ["--ro-bind-try", folder, folder]),
  "--proc",
  "/proc",
  "--dev",
  "/dev",
  "--tmpfs",
  "/tmp",
  ...folders.flatMap((folder) => ["--ro-bind", folder, folder]),
  "--chdir",
  "/",
  "--"
]

const succeeds = (program: string, args: ReadonlyArray<string>) =>
  Effect.callback<boolean>((resume) => {
    const probe = ChildProcess.execFile(program, [...args], { env: {}, timeout: 5000 }, (error) =>
      resume(Effect.succeed(error === null))
    )
    return Effect.sync(() => probe.kill("SIGKILL"))
  })

const firstThat = Effect.fnUntraced(function* (programs: ReadonlyArray<string>, args: ReadonlyArray<string>) {
  for (const program of programs) if (Fs.existsSync(program) && (yield* succeeds(program, args))) return program
  return undefined
})

/** This Node, by its real path: behind the wall no symbolic link leads anywhere. */
export const nodePath = Fs.realpathSync(process.execPath)
const nodeFolder = Path.dirname(nodePath)

/** Without it, a parent killed by SIGKILL leaves a guest in a C loop behind; see `Channel.isStopped` for other loops. */
const withDeathSignal = Effect.gen(function* () {
  if (process.platform !== "linux") return undefined
  return yield* firstThat(setpriv, ["--pdeathsig", "KILL", "/bin/true"])
})

const probe = Effect.gen(function* () {
  if (process.platform !== "linux") return undefined
  return yield* firstThat(bubblewrap, [...bubblewrapArgs([nodeFolder]), nodePath, "--version"])
})

/** Finds the wall that `os` asks for. */
export const find = Effect.fnUntraced(function* (os: "auto" | "require" | "off") {
  const bwrap = os === "off" ? undefined : yield* probe
  if (bwrap !== undefined) {
    const wall: Wall = {
      os: "bubblewrap",
      wrap: (command, folders) => [bwrap, ...bubblewrapArgs([nodeFolder, ...folders]), ...command]
    }
    return wall
  }
  if (os === "require")
    return yield* Effect.fail(
      new Unavailable({
        description:
          'no operating system wall: bubblewrap is not installed or may not make namespaces here; install it, or use os: "auto"'
      })
    )
  const priv = yield* withDeathSignal
  const wall: Wall = {
    os: "none",
    wrap: (command) => (priv === undefined ? command : [priv, "--pdeathsig", "KILL", "--", ...command])
  }
  return wall
})
