/** Vector stores against the drivers that they stand on, used bare. */
import { compare, median, ratio, type Samples } from "./Bench.ts"
import { digits, type Report, type Table } from "./Report.ts"
import { chroma, postgres, qdrant, type Server } from "./vectorServers.ts"
import type { Sample } from "./worker.ts"

const micros = (sample: Sample): number => sample.micros
const wall = (sample: Sample): number => (sample.wallMillis * 1000) / sample.units

const find = (all: ReadonlyArray<Samples>, file: string): Samples => {
  const found = all.find((one) => one.file === file)
  if (found === undefined) throw new Error(`${file} was not measured`)
  return found
}

interface Pair {
  readonly bare: string
  readonly ours: ReadonlyArray<string>
  readonly server: () => Promise<Server>
  /** Batches of 500 in a round. Default: 10. */
  readonly batches?: number
}

const nothing = async (): Promise<Server> => ({ url: "", stop: async () => {} })

const pairs: ReadonlyArray<Pair> = [
  { bare: "sqliteVec", ours: ["holdfastSqlite", "holdfastMemory"], server: nothing },
  { bare: "sqlPg", ours: ["holdfastPostgres"], server: postgres },
  // Its server takes seconds for a thousand vectors.
  { bare: "chromaClient", ours: ["holdfastChroma"], server: chroma, batches: 2 },
  { bare: "qdrantClient", ours: ["holdfastQdrant"], server: () => qdrant(0) }
]

const measure = async (
  kind: "insert" | "search",
  { bare, batches = 10, ours, server }: Pair
): Promise<ReadonlyArray<Samples>> => {
  const { stop, url } = await server()
  const contenders = [bare, ...ours]
  const plan = {
    kind,
    url,
    contenders,
    concurrency: 1,
    count: kind === "insert" ? batches : 100,
    warmUp: Math.min(4, batches)
  }
  return compare(plan).finally(stop)
}

const table = (title: string, all: ReadonlyArray<readonly [Pair, ReadonlyArray<Samples>]>): Table => ({
  title,
  head: ["", "÷ the driver bare, CPU", "µs of CPU here", "µs until it was done"],
  rows: all.flatMap(([{ bare }, samples]) =>
    samples.map((one) => [
      one.name,
      digits(ratio(one, find(samples, bare), micros)),
      digits(median(one.samples.map(micros))),
      digits(median(one.samples.map(wall)))
    ])
  )
})

/** Ten queries and one, over a server that takes 50 ms for an answer. */
const ten = async (): Promise<number> => {
  const { stop, url } = await qdrant(50)
  const plan = { url, contenders: ["holdfastQdrant"], concurrency: 1, count: 10, warmUp: 2 }
  try {
    const [one] = await compare({ ...plan, kind: "searchOne" })
    const [many] = await compare({ ...plan, kind: "searchTen" })
    if (one === undefined || many === undefined) throw new Error("nothing was measured")
    return ratio(many, one, wall)
  } finally {
    await stop()
  }
}

export const vector = async (): Promise<Report> => {
  const inserted: Array<readonly [Pair, ReadonlyArray<Samples>]> = []
  const searched: Array<readonly [Pair, ReadonlyArray<Samples>]> = []
  for (const pair of pairs) {
    inserted.push([pair, await measure("insert", pair)])
    searched.push([pair, await measure("search", pair)])
  }
  const ratioOf = (all: typeof inserted, file: string, of: (sample: Sample) => number): number => {
    const [pair, samples = []] = all.find(([{ ours }]) => ours.includes(file)) ?? []
    return ratio(find(samples, file), find(samples, pair?.bare ?? ""), of)
  }
  return {
    tables: [
      table("Storing a vector of 128 numbers, in batches of 500", inserted),
      table("The nearest 10 of 10 000 vectors of 128 numbers", searched)
    ],
    measured: {
      "vector/sqlite/insert": ratioOf(inserted, "holdfastSqlite", wall),
      "vector/sqlite/search": ratioOf(searched, "holdfastSqlite", wall),
      "vector/postgres/insert": ratioOf(inserted, "holdfastPostgres", wall),
      "vector/postgres/search": ratioOf(searched, "holdfastPostgres", wall),
      "vector/chroma/insert": ratioOf(inserted, "holdfastChroma", wall),
      "vector/chroma/search": ratioOf(searched, "holdfastChroma", wall),
      "vector/qdrant/insert": ratioOf(inserted, "holdfastQdrant", micros),
      "vector/qdrant/search": ratioOf(searched, "holdfastQdrant", micros),
      "vector/ten": await ten()
    }
  }
}
