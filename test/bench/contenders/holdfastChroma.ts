import { Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { ChromaVectorStore } from "holdfast/vector"
import type { Contender } from "../Contender.ts"
import { over } from "../holdfastVectors.ts"
import { kept } from "../vectors.ts"

export const contender: Contender = {
  name: "holdfast, Chroma",
  ...kept((baseUrl) =>
    over(
      Layer.provide(
        ChromaVectorStore.layer({ baseUrl, collection: `holdfast-${process.pid}` }),
        UndiciHttpClient.layer()
      )
    )
  )
}
