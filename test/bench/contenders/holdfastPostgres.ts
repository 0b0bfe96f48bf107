import { Redacted } from "effect"
import { PostgresVectorStore } from "holdfast/vector"
import type { Contender } from "../Contender.ts"
import { over } from "../holdfastVectors.ts"
import { kept } from "../vectors.ts"

export const contender: Contender = {
  name: "holdfast, PostgreSQL",
  ...kept((url) =>
    over(
      PostgresVectorStore.layerConfig({
        url: Redacted.make(url),
        maxConnections: 1,
        collection: `holdfast_${process.pid}`
      })
    )
  )
}
