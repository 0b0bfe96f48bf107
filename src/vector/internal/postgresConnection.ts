/** Connections to PostgreSQL by `@effect/sql-pg`, which is loaded where it is asked for: who has no PostgreSQL needs none. */
import type * as PgClientModule from "@effect/sql-pg/PgClient"
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { SqlClient } from "effect/sql/SqlClient"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import { type Reason, VectorError } from "../VectorError.ts"
import * as Settings from "../../http/internal/settings.ts"
import { reasonOfSql } from "./sqlReason.ts"

const failure = (reason: Reason): VectorError => new VectorError({ provider: "postgres", reason, attempts: [] })

const load: Effect.Effect<typeof PgClientModule, VectorError> = Effect.tryPromise({
  try: () => import("@effect/sql-pg/PgClient"),
  catch: () =>
    failure(new InvalidRequest({ description: "@effect/sql-pg is not installed: npm install @effect/sql-pg" }))
})

export interface Connection {
  readonly url?: Redacted.Redacted<string> | undefined
  readonly maxConnections?: number | undefined
  readonly collection?: string | undefined
}

export const connected = ({
  collection = "vectors",
  maxConnections = 10,
  url
}: Connection): Layer.Layer<SqlClient, ConfigError | VectorError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const address = url ?? (yield* Settings.secret("DATABASE_URL"))
      if (address === undefined) {
        const description =
          "no database: give `url`, or set DATABASE_URL to postgres://user:password@host:5432/database"
        return yield* Effect.fail(failure(new InvalidRequest({ description })))
      }
      const PgClient = yield* load
      // Connections are made by the first statement, and fail under its policy.
      return Layer.effectContext(
        Effect.mapError(Layer.build(PgClient.layer({ url: address, maxConnections, minConnections: 0 })), (error) =>
          failure(reasonOfSql(error, collection))
        )
      )
    })
  )
