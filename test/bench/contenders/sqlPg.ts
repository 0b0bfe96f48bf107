import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, ManagedRuntime, Redacted } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { Contender } from "../Contender.ts"
import { dimensions, kept } from "../vectors.ts"

const literal = (vector: ReadonlyArray<number>): string => `[${vector.join(",")}]`

export const contender: Contender = {
  name: "@effect/sql-pg",
  ...kept(async (url) => {
    const runtime = ManagedRuntime.make(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 }))
    const table = `client_${process.pid}`
    const run = (text: string, params: ReadonlyArray<unknown> = []): Promise<unknown> =>
      runtime.runPromise(Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(text, params)))
    await run(`CREATE EXTENSION IF NOT EXISTS vector`)
    await run(`CREATE TABLE ${table} (id text PRIMARY KEY, embedding vector(${dimensions}))`)
    return {
      upsert: (items) =>
        run(
          `INSERT INTO ${table} SELECT id, embedding::vector FROM unnest($1::text[], $2::text[]) AS item (id, embedding)
           ON CONFLICT (id) DO UPDATE SET embedding = excluded.embedding`,
          [items.map(({ id }) => id), items.map(({ vector }) => literal(vector))]
        ),
      search: (vector) =>
        run(
          `SELECT id, embedding <=> $1::text::vector AS distance FROM ${table} ORDER BY embedding <=> $1::text::vector LIMIT 10`,
          [literal(vector)]
        ),
      close: () => runtime.dispose()
    }
  })
}
