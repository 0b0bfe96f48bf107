/** Queues and batches against queues that keep nothing: what a handle, an acknowledgement, a record and a file cost. */
import { compare, compareEach, median, ratio, type Samples } from "./Bench.ts"
import { digits, type Report, type Table } from "./Report.ts"
import type { Sample } from "./worker.ts"

const micros = (sample: Sample): number => sample.micros

const find = (all: ReadonlyArray<Samples>, file: string): Samples => {
  const found = all.find((one) => one.file === file)
  if (found === undefined) throw new Error(`${file} was not measured`)
  return found
}

const base = "pQueue"

const table = (title: string, all: ReadonlyArray<Samples>): Table => ({
  title,
  head: ["", "÷ p-queue", "µs"],
  rows: all.map((one) => [
    one.name,
    digits(ratio(one, find(all, base), micros)),
    digits(median(one.samples.map(micros)))
  ])
})

export const work = async (): Promise<Report> => {
  const plan = { kind: "jobs", url: "", concurrency: 100, warmUp: 100 } as const
  // bottleneck waits for timers between its jobs: 5 ms for each.
  const memory = {
    ...plan,
    contenders: [base, "bottleneck", "holdfastQueue", "holdfastPipeline", "holdfastBatch"],
    count: 400
  }
  const [few = [], many = []] = await compareEach(memory, [100, 400])
  const file = await compare({ ...plan, contenders: [base, "holdfastQueueSqlite", "holdfastBatchFile"], count: 500 })
  return {
    tables: [
      table("CPU per job, eight at a time, 100 wait", few),
      table("CPU per job, eight at a time, 400 wait", many),
      table("CPU per job that is kept in a file, 100 wait", file)
    ],
    measured: {
      "work/few": ratio(find(few, "holdfastQueue"), find(few, "bottleneck"), micros),
      "work/many": ratio(find(many, "holdfastQueue"), find(many, "bottleneck"), micros),
      "work/pipeline": ratio(find(many, "holdfastPipeline"), find(many, base), micros),
      "work/batch": ratio(find(many, "holdfastBatch"), find(many, base), micros),
      "work/batchFile": ratio(find(file, "holdfastBatchFile"), find(file, "holdfastQueueSqlite"), micros)
    }
  }
}
