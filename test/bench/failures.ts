/** The rows of FAILURES.md, played to every client by the server of test/conformance: how each call ends. */
import { type ChildProcess, fork, spawn } from "node:child_process"
import { once } from "node:events"
import { median } from "./Bench.ts"
import type { Ended, Order } from "./failuresWorker.ts"
import { digits, type Report } from "./Report.ts"

const names = ["holdfast", "holdfastPromise", "openai", "ai", "langchain", "effect"]

interface Stats {
  readonly requests: number
  readonly connections: number
  readonly closed: number
  readonly closedAt: number
  readonly written: number
}

interface Seen extends Ended {
  readonly stats: Stats
}

interface Row {
  /** The id in FAILURES.md. */
  readonly id: string
  readonly stimulus: string
  readonly required: string
  readonly order: Partial<Omit<Order, "kind">> & Pick<Order, "kind">
  /** The server's row, where it is not named as the id. */
  readonly row?: string
  readonly holds: (seen: Seen) => boolean
  /** Whether the clients meet it one after another, since it takes all of the machine. */
  readonly isAlone?: boolean
  /** What is shown besides the end and the requests. */
  readonly also?: (seen: Seen) => string
}

const reply = (status: number, times: number, headers: Record<string, string>, body?: string): string =>
  `reply.${Buffer.from(JSON.stringify({ status, times, headers, body })).toString("base64url")}`

const fails =
  (...requests: ReadonlyArray<number>) =>
  (seen: Seen): boolean =>
    seen.outcome === "error" && requests.includes(seen.stats.requests)

const answers =
  (text: string, requests: number) =>
  (seen: Seen): boolean =>
    seen.outcome === "answer" && seen.text === text && seen.stats.requests === requests

const hello = "hello world"
const unary = { kind: "unary" } as const
const stream = { kind: "stream" } as const
const info = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "4s" }
const retryInfo = JSON.stringify({ error: { message: "slow down", details: [info] } })
const counted = Array.from({ length: 200 }, (_, at) => `${at} `).join("")
const millis = ({ millis: took }: Seen): string => `${Math.round(took)} ms`

const rows: ReadonlyArray<Row> = [
  { id: "stall-body", stimulus: "no body", required: "error, at most 2 requests", order: unary, holds: fails(1, 2) },
  {
    id: "stall-keepalive",
    stimulus: "only comments after a delta",
    required: "error, 1 request",
    order: stream,
    holds: fails(1)
  },
  { id: "stall-first", stimulus: "only comments", required: "error, 2 requests", order: stream, holds: fails(2) },
  { id: "cut-socket", stimulus: "cut after a delta", required: "error, 1 request", order: stream, holds: fails(1) },
  { id: "end-early", stimulus: "no finish marker", required: "error, 1 request", order: stream, holds: fails(1) },
  {
    id: "slow-consumer",
    stimulus: "the caller takes 2.5 s, twice",
    required: "the whole text",
    order: { ...stream, pauseMillis: 2500 },
    holds: (seen) => seen.outcome === "answer" && seen.text === counted.slice(0, 1000)
  },
  {
    id: "error-in-stream",
    stimulus: "a 429 as an event",
    required: "retried",
    order: stream,
    holds: answers(hello, 2)
  },
  { id: "garbage-json", stimulus: "HTML, 200", required: "error, retried", order: unary, holds: fails(3) },
  { id: "quota", stimulus: "429 insufficient_quota", required: "error, 1 request", order: unary, holds: fails(1) },
  {
    id: "retry-after-deadline",
    stimulus: "Retry-After: 30, 3 s in all",
    required: "error at once, 1 request",
    order: { ...unary, totalMillis: 3000 },
    holds: (seen) => fails(1)(seen) && seen.millis < 1000,
    also: millis
  },
  {
    id: "retry-after-forms",
    stimulus: "RetryInfo of 4 s in the body",
    required: "waits as long",
    row: reply(429, 1, {}, retryInfo),
    order: unary,
    holds: (seen) => answers(hello, 2)(seen) && seen.millis >= 3990,
    also: millis
  },
  {
    id: "retry-after-forms",
    stimulus: "500, x-should-retry: false",
    required: "error, 1 request",
    row: reply(500, 9, { "x-should-retry": "false" }),
    order: unary,
    holds: fails(1)
  },
  {
    id: "overload",
    stimulus: "529 once",
    required: "retried",
    row: reply(529, 1, {}),
    order: unary,
    holds: answers(hello, 2)
  },
  {
    id: "overload",
    stimulus: "insufficient_system_resource once",
    required: "retried",
    row: "no-capacity",
    order: unary,
    holds: answers(hello, 2)
  },
  {
    id: "late-end",
    stimulus: "the end 600 ms after [DONE], 3 streams",
    required: "ends at [DONE], 1 connection",
    order: { ...stream, calls: 3, gapMillis: 800 },
    holds: (seen) => answers(hello, 3)(seen) && seen.millis < 500 && seen.stats.connections === 1,
    also: (seen) => `${millis(seen)}, connections: ${seen.stats.connections}`
  },
  {
    id: "stale-socket",
    stimulus: "a used socket is closed",
    required: "the answer",
    order: { ...unary, calls: 2, gapMillis: 100 },
    holds: answers(hello, 3)
  },
  {
    id: "amplification",
    stimulus: "503, 503, 503, reset; 3 retries",
    required: "error, 4 requests",
    order: { ...unary, retries: 3, limitMillis: 25_000 },
    holds: fails(4)
  },
  { id: "exhausted", stimulus: "503 for ever", required: "error, 3 requests", order: unary, holds: fails(3) },
  {
    id: "dead-server",
    stimulus: "1 000 calls, 500 for ever",
    required: "≤ 1 350 requests",
    row: "server-error",
    order: { ...unary, together: 1000, limitMillis: 25_000, patienceMillis: 20_000 },
    isAlone: true,
    holds: (seen) => seen.outcome === "error" && seen.stats.requests <= 1350
  },
  {
    id: "slow-close",
    stimulus: "an error body without an end",
    required: "retried",
    order: unary,
    holds: answers(hello, 2)
  },
  {
    id: "huge-body",
    stimulus: "160 MiB",
    required: "error, ends at 64 MiB",
    row: "large-body",
    order: { ...unary, patienceMillis: 8000 },
    isAlone: true,
    holds: (seen) => fails(1)(seen) && seen.stats.written < 96 * 2 ** 20,
    also: ({ stats }) => `${Math.round(stats.written / 2 ** 20)} MiB`
  },
  {
    id: "slow-drip",
    stimulus: "headers, a byte at a time",
    required: "error, at most 2 requests",
    row: "slow-drip-head",
    order: unary,
    holds: fails(1, 2)
  },
  {
    id: "slow-drip",
    stimulus: "a body, a byte at a time",
    required: "error, at most 2 requests",
    row: "slow-drip-body",
    order: unary,
    holds: fails(1, 2)
  },
  {
    id: "unknown-fields",
    stimulus: "new values, all in one chunk",
    required: "the answer",
    row: "unknown-values",
    order: stream,
    holds: answers("hello", 1)
  },
  {
    id: "utf8-split",
    stimulus: "a byte to a packet; CRLF, CR",
    required: "the exact text",
    order: stream,
    holds: answers("naïve 🎉🚀 日本語", 1)
  }
]

/** Rows whose milliseconds count: one client at a time, several rounds. */
const quick: ReadonlyArray<Row & { readonly goal: string; readonly took: (seen: Seen) => number }> = [
  {
    id: "retry-after-long",
    goal: "failures/refuse",
    stimulus: "Retry-After: 61",
    required: "error at once, 1 request",
    order: unary,
    holds: fails(1),
    took: (seen) => seen.millis
  },
  {
    id: "abort-waiting",
    goal: "failures/abort",
    stimulus: "aborted before the headers",
    required: "error at once, closed",
    row: "hang",
    order: { ...unary, abortMillis: 200 },
    holds: (seen) => fails(1)(seen) && seen.stats.closed === 1,
    took: (seen) => seen.millis
  },
  {
    id: "break-early",
    goal: "failures/break",
    stimulus: "the loop is left",
    required: "closed at once",
    order: { ...stream, leaves: true },
    holds: (seen) => seen.stats.closed === 1,
    took: ({ leftAt, stats }) => (stats.closed === 0 ? Number.NaN : Math.max(0, stats.closedAt - leftAt))
  }
]

const startServer = async (): Promise<{ readonly origin: string; readonly stop: () => void }> => {
  const child = spawn(process.execPath, ["../conformance/server.ts"], {
    cwd: import.meta.dirname,
    stdio: ["pipe", "pipe", "inherit"]
  })
  const [ports] = await once(child.stdout, "data")
  return { origin: `http://127.0.0.1:${String(ports).trim().split(" ")[0]}`, stop: () => child.stdin.end() }
}

interface Client {
  readonly name: string
  readonly ask: (order: Order) => Promise<Ended>
  readonly stop: () => void
}

const next = async <A>(child: ChildProcess): Promise<A> => {
  const ended = new AbortController()
  try {
    return await Promise.race([
      once(child, "message", ended).then(([message]): A => message),
      once(child, "exit", ended).then(([code]) => Promise.reject(new Error(`a client ended with ${code}`)))
    ])
  } finally {
    ended.abort()
  }
}

const startClient = async (name: string): Promise<Client> => {
  const child = fork("failuresWorker.ts", [name], {
    cwd: import.meta.dirname,
    execArgv: ["--conditions=holdfast-source", "--no-warnings"],
    stdio: ["ignore", "ignore", "ignore", "ipc"]
  })
  const title = await next<string>(child)
  return {
    name: title,
    stop: () => child.kill("SIGKILL"),
    ask: (order) => {
      child.send(order)
      return next<Ended>(child)
    }
  }
}

const isOurs = (name: string): boolean => name.startsWith("holdfast")

const usual = { retries: 2, calls: 1, gapMillis: 0, together: 1, patienceMillis: 1000, limitMillis: 11_000 }

let runs = 0

const play = async (client: Client, origin: string, row: Row): Promise<Seen> => {
  const run = `${origin}/${row.row ?? row.id}/${++runs}`
  const ended = await client.ask({ ...usual, url: `${run}/v1`, ...row.order })
  // The server learns of a close when the packet arrives.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const stats: Stats = JSON.parse(await (await fetch(`${run}/stats`)).text())
  return { ...ended, stats }
}

const told = (row: Row, seen: Seen): string => {
  const end = seen.outcome === "answer" ? (seen.text === "" ? "success, no text" : "success") : seen.outcome
  const name = seen.outcome === "error" ? ` ${seen.error}` : ""
  const also = row.also === undefined ? "" : `, ${row.also(seen)}`
  return `${row.holds(seen) ? "✓" : "✗"} ${end}${name}, ${seen.stats.requests}${also}`
}

/** Rows of one client in a process of its own; a row that hangs leaves the process to the next one. */
const playAll = async (name: string, origin: string, some: ReadonlyArray<Row>): Promise<ReadonlyMap<Row, Seen>> => {
  const seen = new Map<Row, Seen>()
  let client = await startClient(name)
  for (const row of some) {
    const one = await play(client, origin, row).catch((): Seen => ({
      outcome: "error",
      error: "the process died",
      text: "",
      millis: 0,
      leftAt: 0,
      stats: { requests: 0, connections: 0, closed: 0, closedAt: 0, written: 0 }
    }))
    seen.set(row, one)
    if (one.outcome === "hung" || one.error === "the process died") {
      client.stop()
      client = await startClient(name)
    }
  }
  client.stop()
  return seen
}

interface Quick {
  readonly cell: string
  readonly millis: number
}

const playQuick = async (name: string, origin: string): Promise<ReadonlyArray<Quick>> => {
  const client = await startClient(name)
  const all: Array<Quick> = []
  for (const row of quick) {
    const round = { ...row, order: { ...row.order, limitMillis: 3000 } }
    // The first round compiles and loads what the others use.
    const first = await play(client, origin, round)
    const seen = [first]
    if (first.outcome !== "hung")
      for (let at = 0; at < (isOurs(name) ? 3 : 1); at++) seen[at] = await play(client, origin, round)
    const took = median(seen.map(row.took))
    const time = first.outcome === "hung" || Number.isNaN(took) ? "never" : `${digits(took)} ms`
    all.push({ cell: `${told(row, first)}, ${time}`, millis: took })
  }
  client.stop()
  return all
}

const titles: Readonly<Record<string, string>> = {
  holdfast: "holdfast",
  holdfastPromise: "holdfast/promise",
  openai: "openai",
  ai: "ai",
  langchain: "LangChain",
  effect: "effect retryTransient"
}

export const failures = async (): Promise<Report> => {
  const server = await startServer()
  try {
    const crowd = rows.filter(({ isAlone }) => isAlone !== true)
    const alone = rows.filter(({ isAlone }) => isAlone === true)
    // Two processes for each client: most of the time they wait.
    const half = (rest: number): ReadonlyArray<Row> => crowd.filter((_row, at) => at % 2 === rest)
    const all = await Promise.all(
      names.map(async (name) => {
        const halves = await Promise.all([0, 1].map((rest) => playAll(name, server.origin, half(rest))))
        return new Map(halves.flatMap((seen) => [...seen]))
      })
    )
    for (const [at, name] of names.entries()) {
      for (const [row, seen] of await playAll(name, server.origin, alone)) all[at]?.set(row, seen)
    }
    const quicks: Array<ReadonlyArray<Quick>> = []
    for (const name of names) quicks.push(await playQuick(name, server.origin))
    const ours = names.flatMap((name, at) => (isOurs(name) ? [...(all[at] ?? [])] : []))
    const oursQuick = names.flatMap((name, at) => (isOurs(name) ? [quicks[at] ?? []] : []))
    const wrong =
      ours.filter(([row, seen]) => !row.holds(seen)).length +
      oursQuick.flat().filter(({ cell }) => !cell.startsWith("✓")).length
    const head = ["", "", "required", ...names.map((name) => titles[name] ?? name)]
    const head3 = ({ id, required, stimulus }: Row): ReadonlyArray<string> => [id, stimulus, required]
    const measured: Record<string, number> = { "failures/wrong": wrong }
    quick.forEach(({ goal }, at) => {
      measured[goal] = Math.max(...oursQuick.map((cells) => cells[at]?.millis ?? Number.NaN))
    })
    return {
      tables: [
        {
          title:
            "How a call ends, and how many requests came; two retries and a second's patience, where there are options",
          head,
          rows: rows.map((row) => [
            ...head3(row),
            ...all.map((seen) => {
              const one = seen.get(row)
              return one === undefined ? "" : told(row, one)
            })
          ])
        },
        {
          title: "How soon",
          head,
          rows: quick.map((row, at) => [...head3(row), ...quicks.map((cells) => cells[at]?.cell ?? "")])
        }
      ],
      measured
    }
  } finally {
    server.stop()
  }
}
