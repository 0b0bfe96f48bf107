/** What is measured. Each suite gives its tables and the values that goals are held against. */
import { compare, compareEach, median, ratio, rounds, type Samples, startWorker } from "./Bench.ts"
import { bundles } from "./bundles.ts"
import { failures } from "./failures.ts"
import { imports } from "./imports.ts"
import { digits, type Report, type Table } from "./Report.ts"
import { sandbox } from "./sandbox/suite.ts"
import { vector } from "./vector.ts"
import { work } from "./work.ts"
import type { Sample } from "./worker.ts"

const peers = ["undici", "effect", "fetch", "openai", "ai"]

const micros = (sample: Sample): number => sample.micros

/** By the name of a contender's file. */
const find = (all: ReadonlyArray<Samples>, file: string): Samples => {
  const found = all.find((one) => one.file === file)
  if (found === undefined) throw new Error(`${file} was not measured`)
  return found
}

const ratioTo = (all: ReadonlyArray<Samples>, file: string, base: string, of: (sample: Sample) => number): number =>
  ratio(find(all, file), find(all, base), of)

/** A column of ratios and one of medians, for each of several comparisons of the same contenders. */
const table = (
  title: string,
  unit: string,
  base: string,
  columns: ReadonlyArray<readonly [head: string, samples: ReadonlyArray<Samples>]>,
  of: (sample: Sample) => number
): Table => ({
  title,
  head: ["", ...columns.flatMap(([head, all]) => [`${head === "" ? "" : `${head}, `}÷ ${find(all, base).name}`, unit])],
  rows: (columns[0]?.[1] ?? []).map(({ file, name }) => [
    name,
    ...columns.flatMap(([, all]) => [
      digits(ratioTo(all, file, base, of)),
      digits(median(find(all, file).samples.map(of)))
    ])
  ])
})

const unary = async (origin: string): Promise<Report> => {
  const contenders = [...peers, "holdfast", "holdfastPromise", "holdfastHttp", "holdfastTraced"]
  const plan = { kind: "unary", url: `${origin}/unary`, contenders, concurrency: 16, warmUp: 1500 }
  const [some = [], one = [], many = []] = await compareEach(plan, [16, 1, 128])
  const callsPerMilli = (sample: Sample): number => sample.units / sample.wallMillis
  const columns = [["c=1", one] as const, ["c=16", some] as const, ["c=128", many] as const]
  return {
    tables: [
      table("CPU per call", "µs", "undici", columns, micros),
      table("Throughput", "calls/ms", "openai", columns, callsPerMilli)
    ],
    measured: {
      "unary/holdfast/1": ratioTo(one, "holdfast", "undici", micros),
      "unary/holdfast/16": ratioTo(some, "holdfast", "undici", micros),
      "unary/holdfast/128": ratioTo(many, "holdfast", "undici", micros),
      "unary/promise/16": ratioTo(some, "holdfastPromise", "undici", micros),
      "unary/http/16": ratioTo(some, "holdfastHttp", "undici", micros),
      "unary/traced/16": ratioTo(some, "holdfastTraced", "undici", micros),
      "throughput/16": ratioTo(some, "holdfast", "openai", callsPerMilli)
    }
  }
}

const streaming = [...peers, "holdfast", "holdfastPromise"]

interface Late {
  readonly name: string
  readonly perStream: number
  readonly wallMillis: number
}

/** Streams one after another, with time between them for a connection to come back. */
const measureLate = async (origin: string, file: string): Promise<Late> => {
  const connections = async (): Promise<number> => {
    const response = await fetch(`${origin}/stats`)
    const stats: { readonly connections: number } = JSON.parse(await response.text())
    return stats.connections
  }
  const worker = await startWorker(file, "stream", `${origin}/late-50`)
  const read = async (): Promise<number> => {
    const { wallMillis } = await worker.order({ count: 1, concurrency: 1 })
    await new Promise((resolve) => setTimeout(resolve, 150))
    return wallMillis
  }
  for (let i = 0; i < 3; i++) await read()
  const before = await connections()
  const streams = 20
  const walls: Array<number> = []
  for (let i = 0; i < streams; i++) walls.push(await read())
  const perStream = ((await connections()) - before) / streams
  worker.stop()
  return { name: worker.name, perStream, wallMillis: median(walls) }
}

const stream = async (origin: string): Promise<Report> => {
  const at = (path: string, concurrency: number, count: number): Promise<ReadonlyArray<Samples>> =>
    compare({
      kind: "stream",
      url: `${origin}/${path}`,
      contenders: streaming,
      concurrency,
      count,
      warmUp: concurrency * 2 + 4
    })
  const one = await at("stream-20000", 1, 3)
  const packets = await at("packets-2000", 1, 4)
  const many = await at("stream-300", 64, 128)
  const late: Array<Late> = []
  for (const file of streaming) late.push(await measureLate(origin, file))
  return {
    tables: [
      table(
        "CPU per event",
        "µs",
        "undici",
        [
          ["one stream of 20 000", one] as const,
          ["one event to a packet", packets] as const,
          ["64 streams", many] as const
        ],
        micros
      ),
      {
        title: "A body that ends 100 ms after its [DONE]",
        head: ["", "new connections per stream", "ms to the end of the stream"],
        rows: late.map(({ name, perStream, wallMillis }) => [name, digits(perStream), digits(wallMillis)])
      }
    ],
    measured: {
      "stream/holdfast": ratioTo(one, "holdfast", "undici", micros),
      "stream/promise": ratioTo(one, "holdfastPromise", "undici", micros),
      "packets/holdfast": ratioTo(packets, "holdfast", "undici", micros),
      "late/connections": Math.max(
        ...late.filter(({ name }) => name.startsWith("holdfast")).map((one) => one.perStream)
      ),
      "late/wait": Math.max(...late.filter(({ name }) => name.startsWith("holdfast")).map((one) => one.wallMillis))
    }
  }
}

const retry = async (origin: string): Promise<Report> => {
  const contenders = [...peers, "holdfast", "holdfastPromise"]
  const all = await compare({ kind: "unary", url: `${origin}/retry`, contenders, concurrency: 16, warmUp: 1000 })
  return {
    tables: [table("CPU per call, 30 % answered 503 once, c=16", "µs", "undici", [["", all]], micros)],
    measured: { "retry/holdfast": ratioTo(all, "holdfast", "undici", micros) }
  }
}

const ttft = async (origin: string): Promise<Report> => {
  const url = `${origin}/packets-20`
  const all = await compare({ kind: "stream", url, contenders: streaming, concurrency: 1, count: 200, warmUp: 300 })
  const first = (sample: Sample): number => median(sample.firstMillis)
  return {
    tables: [table("Time to the first token, p50", "ms", "undici", [["", all]], first)],
    measured: { "ttft/holdfast": ratioTo(all, "holdfast", "undici", first) }
  }
}

const heap = async (origin: string): Promise<Report> => {
  // The promise client keeps at most 100 connections, so it never has 5 000 requests in flight.
  const contenders = [...peers, "holdfast"]
  const bytes = (sample: Sample): number => sample.heapBytes / 1024
  const samples: Array<{ readonly name: string; readonly file: string; readonly samples: Array<Sample> }> = []
  // A heap that has held 5 000 requests keeps some of it: each round is a new process.
  for (let i = 0; i < rounds; i++) {
    for (const file of contenders) {
      const worker = await startWorker(file, "unary", `${origin}/hold`)
      await worker.order({ count: 50, concurrency: 50, hold: origin })
      const sample = await worker.order({ count: 5000, concurrency: 5000, hold: origin })
      worker.stop()
      const known = samples.find((one) => one.file === file)
      if (known === undefined) samples.push({ name: worker.name, file, samples: [sample] })
      else known.samples.push(sample)
    }
  }
  return {
    tables: [table("Heap per request in flight, 5 000 of them", "kB", "undici", [["", samples]], bytes)],
    measured: { "heap/holdfast": ratioTo(samples, "holdfast", "undici", bytes) }
  }
}

const policy = async (): Promise<Report> => {
  const wrapping = ["plain", "pRetry", "cockatiel", "effectRetry", "holdfast"]
  const wrapped = await compare({ kind: "wrap", url: "", contenders: wrapping, concurrency: 1, warmUp: 50_000 })
  const queued = (depth: number): Promise<ReadonlyArray<Samples>> =>
    compare({
      kind: "limit",
      url: "",
      contenders: ["pLimit", "pQueue", "holdfast"],
      concurrency: depth,
      count: 100_000,
      warmUp: depth
    })
  const few = await queued(1000)
  const some = await queued(10_000)
  const many = await queued(100_000)
  const claimed = (depth: number): Promise<ReadonlyArray<Samples>> =>
    compare({
      kind: "priority",
      url: "",
      contenders: ["pQueue", "holdfast"],
      concurrency: depth,
      count: 100_000,
      warmUp: depth
    })
  const fewClaimed = await claimed(1000)
  const manyClaimed = await claimed(100_000)
  const reserving = ["effectReserve", "holdfastReserve"]
  const reserved = await compare({ kind: "reserve", url: "", contenders: reserving, concurrency: 1, warmUp: 50_000 })
  const own = (all: ReadonlyArray<Samples>): number => median(find(all, "holdfast").samples.map(micros))
  return {
    tables: [
      table(
        "CPU of a call that does nothing, with retry and timeout around it",
        "µs",
        "cockatiel",
        [["", wrapped]],
        micros
      ),
      table(
        "CPU of a task that waits one turn, 64 at a time",
        "µs",
        "pLimit",
        [["1 000 queued", few] as const, ["10 000 queued", some] as const, ["100 000 queued", many] as const],
        micros
      ),
      table(
        "CPU of a task of one of three priorities, 8 keys with 8 at a time",
        "µs",
        "pQueue",
        [["1 000 queued", fewClaimed] as const, ["100 000 queued", manyClaimed] as const],
        micros
      ),
      table("CPU of a reservation of a request and its tokens", "µs", "effectReserve", [["", reserved]], micros)
    ],
    measured: {
      "policy/micros": own(wrapped),
      "policy/cockatiel": ratioTo(wrapped, "holdfast", "cockatiel", micros),
      "limit/p-limit": ratioTo(many, "holdfast", "pLimit", micros),
      "limit/flat": own(many) / own(few),
      "priority/few": ratioTo(fewClaimed, "holdfast", "pQueue", micros),
      "priority/many": ratioTo(manyClaimed, "holdfast", "pQueue", micros),
      "reserve/micros": median(find(reserved, "holdfastReserve").samples.map(micros))
    }
  }
}

export const suites: Readonly<Record<string, (origin: string) => Promise<Report>>> = {
  unary,
  stream,
  retry,
  ttft,
  heap,
  policy,
  vector,
  work,
  import: imports,
  bundle: bundles,
  failures,
  sandbox
}
