/** One contender in a process of its own: measures itself when it is told to. `worker.ts <contender> <kind> <url>` */
import { get } from "node:http"
import type { Contender, Session } from "./Contender.ts"

export interface Order {
  readonly count: number
  readonly concurrency: number
  /** Where to ask how many requests are held; makes the run a measurement of the heap. */
  readonly hold?: string
}

export interface Sample {
  /** CPU of this process per unit, user and system, in microseconds. */
  readonly micros: number
  readonly wallMillis: number
  readonly units: number
  readonly firstMillis: ReadonlyArray<number>
  /** Heap per request in flight, in bytes. */
  readonly heapBytes: number
}

const measure = async (session: Session, { concurrency, count }: Order): Promise<Sample> => {
  const start = performance.now()
  const before = process.cpuUsage()
  const { firstMillis, units } = await session.run(count, concurrency)
  const { system, user } = process.cpuUsage(before)
  return { micros: (user + system) / units, wallMillis: performance.now() - start, units, firstMillis, heapBytes: 0 }
}

const fetchText = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, async (response) => {
      let text = ""
      for await (const part of response) text += String(part)
      resolve(text)
    })
    request.on("error", reject)
  })

const heapUsed = async (): Promise<number> => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage().heapUsed
}

const measureHeap = async (session: Session, { concurrency, count }: Order, origin: string): Promise<Sample> => {
  const before = await heapUsed()
  const running = session.run(count, concurrency)
  let held = 0
  const start = performance.now()
  while (held < count) {
    if (performance.now() - start > 60_000) throw new Error(`only ${held} of ${count} requests came to the server`)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const stats: { readonly held: number } = JSON.parse(await fetchText(`${origin}/stats`))
    held = stats.held
  }
  const heapBytes = ((await heapUsed()) - before) / count
  await fetchText(`${origin}/release`)
  await running
  return { micros: 0, wallMillis: 0, units: count, firstMillis: [], heapBytes }
}

const [file, kind, url = ""] = process.argv.slice(2)
const { contender }: { readonly contender: Contender } = await import(`./contenders/${file}.ts`)
const setup = Object.entries(contender).find(([name]) => name === kind)?.[1]
if (typeof setup !== "function") throw new Error(`${file} does not take part in ${kind}`)
const session = await setup(url)

process.on("message", (order: Order) => {
  const sample = order.hold === undefined ? measure(session, order) : measureHeap(session, order, order.hold)
  sample.then(
    (value) => process.send?.(value),
    (error: unknown) => {
      console.error(`${contender.name}: ${kind} failed`, error)
      process.exit(1)
    }
  )
})
process.on("disconnect", () => process.exit())
process.send?.(contender.name)
