import { SqliteVectorStore } from "holdfast/vector"
import type { Contender } from "../Contender.ts"
import { over } from "../holdfastVectors.ts"
import { kept, temporary } from "../vectors.ts"

export const contender: Contender = {
  name: "holdfast, SQLite",
  ...kept(() => over(SqliteVectorStore.layer({ path: temporary() })))
}
