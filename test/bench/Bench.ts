/** Runs contenders against one another: a process for each, all on one core, taking turns within each round. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { availableParallelism } from "node:os"
import type { Order, Sample } from "./worker.ts"

/** Five rounds are the least that a median is taken of. */
export const rounds = Math.max(5, Number(process.env.BENCH_ROUNDS ?? 7))
// A busy client's steady state is what is measured. With rounds of a third of a second and a forced collection before
// each, as it was until 2026-11-21, every client looked twice as slow: the collector throws compiled code away.
const roundMillis = 1000
// The compiler is done with a client only after some ten thousand calls.
const warmUpMillis = Number(process.env.BENCH_WARM_UP_MILLIS ?? 8000)

const canPin = availableParallelism() > 1 && spawnSync("taskset", ["--version"]).status === 0

const fromSource = ["--conditions=holdfast-source"]

const start = (core: number, args: ReadonlyArray<string>, flags: ReadonlyArray<string> = fromSource): ChildProcess => {
  const node = [...flags, "--expose-gc", "--no-warnings", ...args]
  const [command, ...rest] = canPin
    ? ["taskset", "-c", String(core), process.execPath, ...node]
    : [process.execPath, ...node]
  return spawn(command, rest, { cwd: import.meta.dirname, stdio: ["ignore", "inherit", "inherit", "ipc"] })
}

const nextMessage = async <A>(child: ChildProcess): Promise<A> => {
  const ended = new AbortController()
  try {
    return await Promise.race([
      once(child, "message", ended).then(([message]): A => message),
      once(child, "exit", ended).then(([code]) => Promise.reject(new Error(`a contender ended with ${code}`)))
    ])
  } finally {
    ended.abort()
  }
}

export const startServer = async (): Promise<{ readonly origin: string; readonly stop: () => void }> => {
  const child = start(0, ["server.ts"])
  const port = await nextMessage<number>(child)
  return { origin: `http://127.0.0.1:${port}`, stop: () => child.disconnect() }
}

/** Runs a script with its arguments and gives what it sends first. Default flags: holdfast from its sources. */
export const runOnce = async <A>(args: ReadonlyArray<string>, flags?: ReadonlyArray<string>): Promise<A> => {
  const child = start(1, args, flags)
  const message = await nextMessage<A>(child)
  child.disconnect()
  return message
}

export interface Worker {
  readonly name: string
  readonly file: string
  readonly order: (order: Order) => Promise<Sample>
  readonly stop: () => void
}

export const startWorker = async (file: string, kind: string, url: string): Promise<Worker> => {
  const child = start(1, ["worker.ts", file, kind, url])
  const name = await nextMessage<string>(child)
  return {
    name,
    file,
    stop: () => child.disconnect(),
    order: (order) => {
      child.send(order)
      return nextMessage<Sample>(child)
    }
  }
}

export interface Plan {
  readonly kind: string
  readonly url: string
  /** The first one is what the others are divided by. */
  readonly contenders: ReadonlyArray<string>
  readonly concurrency: number
  /** Calls of one round. Default: as many as take a second. */
  readonly count?: number
  /** Calls of one step of the warm-up. */
  readonly warmUp: number
}

/** The samples of each contender, one per round. */
export interface Samples {
  readonly name: string
  readonly file: string
  readonly samples: ReadonlyArray<Sample>
}

const warmUp = async (worker: Worker, order: Order): Promise<void> => {
  const start = performance.now()
  while (performance.now() - start < warmUpMillis) await worker.order(order)
}

/** Warms all contenders up, then lets each run once in every round, in an order that turns. */
export const compare = async (plan: Plan): Promise<ReadonlyArray<Samples>> => {
  const [all] = await compareEach(plan, [plan.concurrency])
  if (all === undefined) throw new Error("nothing was measured")
  return all
}

/** The same for several numbers of calls at a time, each contender warmed up once for all of them. */
export const compareEach = async (
  plan: Plan,
  concurrencies: ReadonlyArray<number>
): Promise<ReadonlyArray<ReadonlyArray<Samples>>> => {
  const workers: Array<Worker> = []
  for (const file of plan.contenders) {
    const worker = await startWorker(file, plan.kind, plan.url)
    await warmUp(worker, { count: plan.warmUp, concurrency: plan.concurrency })
    workers.push(worker)
  }
  const measured: Array<ReadonlyArray<Samples>> = []
  for (const concurrency of concurrencies) measured.push(await measureRounds(workers, plan, concurrency))
  for (const { stop } of workers) stop()
  return measured
}

const measureRounds = async (
  workers: ReadonlyArray<Worker>,
  plan: Plan,
  concurrency: number
): Promise<ReadonlyArray<Samples>> => {
  const runners: Array<{ readonly worker: Worker; readonly count: number; readonly samples: Array<Sample> }> = []
  for (const worker of workers) {
    const { units, wallMillis } = await worker.order({ count: plan.warmUp, concurrency })
    const fitting = Math.ceil((roundMillis / Math.max(1, wallMillis)) * units)
    runners.push({ worker, count: plan.count ?? Math.max(fitting, concurrency * 4), samples: [] })
  }
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < runners.length; turn++) {
      const runner = runners[(round + turn) % runners.length]
      if (runner === undefined) continue
      runner.samples.push(await runner.worker.order({ count: runner.count, concurrency }))
    }
  }
  return runners.map(({ samples, worker }) => ({ name: worker.name, file: worker.file, samples }))
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** The median over rounds of `of(one) / of(base)`. */
export const ratio = (one: Samples, base: Samples, of: (sample: Sample) => number): number =>
  median(
    one.samples.flatMap((sample, round) => {
      const other = base.samples[round]
      return other === undefined ? [] : [of(sample) / of(other)]
    })
  )
