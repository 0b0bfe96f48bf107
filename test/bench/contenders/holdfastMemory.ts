import { MemoryVectorStore } from "holdfast/vector"
import type { Contender } from "../Contender.ts"
import { over } from "../holdfastVectors.ts"
import { kept } from "../vectors.ts"

export const contender: Contender = { name: "holdfast, memory", ...kept(() => over(MemoryVectorStore.layer())) }
