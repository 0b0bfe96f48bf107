import { getLoadablePath } from "sqlite-vec"
import { DatabaseSync } from "node:sqlite"
import type { Contender } from "../Contender.ts"
import { dimensions, kept, temporary } from "../vectors.ts"

const bytes = (vector: ReadonlyArray<number>): Uint8Array => new Uint8Array(Float32Array.from(vector).buffer)

export const contender: Contender = {
  name: "sqlite-vec",
  ...kept(async () => {
    const database = new DatabaseSync(temporary(), { allowExtension: true })
    database.loadExtension(getLoadablePath())
    database.exec("PRAGMA journal_mode = WAL")
    database.exec(
      `CREATE VIRTUAL TABLE items USING vec0(id text primary key, v float[${dimensions}] distance_metric=cosine)`
    )
    const remove = database.prepare("DELETE FROM items WHERE id = ?")
    const insert = database.prepare("INSERT INTO items (id, v) VALUES (?, ?)")
    const search = database.prepare("SELECT id, distance FROM items WHERE v MATCH ? AND k = 10 ORDER BY distance")
    return {
      // It has no upsert.
      upsert: async (items) => {
        database.exec("BEGIN")
        for (const { id, vector } of items) {
          remove.run(id)
          insert.run(id, bytes(vector))
        }
        database.exec("COMMIT")
      },
      search: async (vector) => search.all(bytes(vector)),
      close: async () => database.close()
    }
  })
}
