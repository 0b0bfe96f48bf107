import { Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { QdrantVectorStore } from "holdfast/vector"
import type { Contender } from "../Contender.ts"
import { over } from "../holdfastVectors.ts"
import { kept } from "../vectors.ts"

export const contender: Contender = {
  name: "holdfast, Qdrant",
  ...kept((baseUrl) =>
    over(
      Layer.provide(
        QdrantVectorStore.layer({ baseUrl, collection: `holdfast ${process.pid}` }),
        UndiciHttpClient.layer()
      )
    )
  )
}
