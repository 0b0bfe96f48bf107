/** The servers of the vector suite: Chroma's own, PostgreSQL as PGlite, and our fake of Qdrant. */
import { PGlite } from "@electric-sql/pglite"
import { vector } from "@electric-sql/pglite-pgvector"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { startQdrant } from "../fixtures/qdrant.ts"

export interface Server {
  readonly url: string
  readonly stop: () => Promise<void>
}

export const chroma = async (): Promise<Server> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-chroma-"))
  const port = 20_000 + (process.pid % 20_000)
  const url = `http://127.0.0.1:${port}`
  const bin = join(import.meta.dirname, "node_modules/chromadb/dist/cli.mjs")
  const args = [bin, "run", "--path", folder, "--port", String(port), "--host", "127.0.0.1"]
  const child = spawn(process.execPath, args, { stdio: "ignore" })
  const isUp = (): Promise<boolean> =>
    fetch(`${url}/api/v2/heartbeat`).then(
      ({ ok }) => ok,
      () => false
    )
  for (let tries = 0; !(await isUp()); tries++) {
    if (tries > 300) throw new Error("Chroma's server does not start")
    await setTimeout(100)
  }
  return {
    url,
    stop: async () => {
      child.kill("SIGKILL")
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

export const postgres = async (): Promise<Server> => {
  const database = await PGlite.create({ extensions: { vector } })
  const server = new PGLiteSocketServer({ db: database, port: 0, host: "127.0.0.1", maxConnections: 4 })
  await server.start()
  return {
    url: `postgres://postgres:postgres@${server.getServerConn()}/postgres?sslmode=disable`,
    stop: async () => {
      await server.stop()
      await database.close()
    }
  }
}

/** With a distance to it, as a server in another town has. */
export const qdrant = async (latencyMillis: number): Promise<Server> => {
  const fake = await startQdrant()
  fake.latencyMillis = latencyMillis
  return { url: fake.url, stop: () => Promise.resolve(fake[Symbol.asyncDispose]()) }
}
