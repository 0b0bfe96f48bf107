/**
 * What we aim at. The limits come from a prototype and from the peers, measured on 2026-11-21 with Node 24.21 on two
 * cores, the server in a process of its own; `source` says which figure a goal stands on.
 */
export interface Goal {
  readonly suite: string
  readonly id: string
  readonly row: string
  readonly limit: number
  /** Whether the limit is the largest or the smallest value that is good enough. */
  readonly kind: "at most" | "at least"
  readonly unit: string
  readonly source: string
}

const atMost = (suite: string, id: string, row: string, limit: number, unit: string, source: string): Goal => ({
  suite,
  id,
  row,
  limit,
  kind: "at most",
  unit,
  source
})

const atLeast = (...goal: Parameters<typeof atMost>): Goal => ({ ...atMost(...goal), kind: "at least" })

/** For two idle cores. The figures in `source` are the prototype's. */
const sandbox: ReadonlyArray<Goal> = [
  atMost("sandbox", "sandbox/python/cold", "Python, from nothing to an answer", 350, "ms", "prototype 252"),
  atMost("sandbox", "sandbox/python/bare", "Python, without a snapshot", 2500, "ms", "prototype 1600"),
  atMost("sandbox", "sandbox/python/pooled", "Python, a session made ahead", 10, "ms", "no process starts"),
  atMost("sandbox", "sandbox/python/p50", "Python, a run, p50", 1, "ms", "prototype 0.4"),
  atMost("sandbox", "sandbox/python/p99", "Python, a run, p99", 10, "ms", "prototype 4"),
  atLeast("sandbox", "sandbox/python/sessions", "Python, fresh sessions", 4, "/s", "prototype 5.3"),
  atLeast("sandbox", "sandbox/python/runs", "Python, runs in a session", 800, "/s", "prototype 939"),
  atMost("sandbox", "sandbox/python/cancel", "Python, an interruption", 50, "ms", "prototype 6"),
  atMost("sandbox", "sandbox/python/soft", "Python, past the timeout", 50, "ms", "prototype 4"),
  atMost("sandbox", "sandbox/python/hard", "Python, past timeout and grace", 150, "ms", "prototype 13"),
  atMost("sandbox", "sandbox/python/resident", "Python, memory of an idle session", 230, "MB", "prototype 190"),
  atMost("sandbox", "sandbox/javascript/cold", "JavaScript, from nothing to an answer", 100, "ms", "prototype 53"),
  atMost("sandbox", "sandbox/javascript/pooled", "JavaScript, a session made ahead", 10, "ms", "no process starts"),
  atMost("sandbox", "sandbox/javascript/p50", "JavaScript, a run, p50", 1, "ms", "prototype 0.2"),
  atMost("sandbox", "sandbox/javascript/p99", "JavaScript, a run, p99", 10, "ms", "as Python"),
  atMost("sandbox", "sandbox/javascript/cancel", "JavaScript, an interruption", 50, "ms", "as Python"),
  atMost("sandbox", "sandbox/javascript/soft", "JavaScript, past the timeout", 50, "ms", "as Python"),
  atMost("sandbox", "sandbox/javascript/hard", "JavaScript, past timeout and grace", 150, "ms", "as Python"),
  atMost("sandbox", "sandbox/javascript/resident", "JavaScript, memory of an idle session", 100, "MB", "prototype 98")
]

export const goals: ReadonlyArray<Goal> = [
  atMost("unary", "unary/holdfast/16", "CPU per call, c=16", 1, "÷ undici", "prototype on dispatch with policies 0.89"),
  atMost("unary", "unary/holdfast/128", "CPU per call, c=128", 1, "÷ undici", "prototype 0.91"),
  atMost("unary", "unary/holdfast/1", "CPU per call, c=1", 1.2, "÷ undici", "prototype 0.97"),
  atMost("unary", "unary/promise/16", "CPU per call through the promise client, c=16", 1, "÷ undici", "prototype 0.89"),
  atMost(
    "unary",
    "unary/http/16",
    "CPU per call through the HttpClient layers, c=16",
    1.1,
    "÷ undici",
    "prototype 0.92"
  ),
  atMost(
    "unary",
    "unary/traced/16",
    "CPU per call with a tracer on, c=16",
    1.2,
    "÷ undici",
    "a span costs 2.4 µs of 28"
  ),
  {
    ...atMost("unary", "throughput/16", "throughput, c=16", 12, "× openai", "prototype 15.3, raw undici 13.8"),
    kind: "at least"
  },
  atMost("stream", "stream/holdfast", "CPU per event of one stream, Stream", 1.25, "÷ undici", "prototype 0.95"),
  atMost("stream", "stream/promise", "CPU per event of one stream, async iterable", 1.15, "÷ undici", "prototype 0.95"),
  atMost("stream", "packets/holdfast", "CPU per event, one event to a packet", 1.05, "÷ undici", "dispatch alone 0.92"),
  atMost("stream", "late/connections", "new connections per stream that ends late", 0, "", "openai 0.98"),
  atMost("stream", "late/wait", "wait for a body that ends 100 ms late", 50, "ms", "the caller does not wait"),
  atMost("ttft", "ttft/holdfast", "time to first token, p50", 1.1, "÷ undici", "openai 3.3"),
  atMost("retry", "retry/holdfast", "CPU per call, 30 % failing once", 0.9, "÷ undici", "prototype 0.83"),
  atMost("heap", "heap/holdfast", "heap per request in flight (5 000)", 1.2, "÷ undici", "prototype 1.07"),
  atMost("policy", "policy/micros", "full Policy on the success path", 1.5, "µs", "retry built after a failure 0.6"),
  atMost("policy", "policy/cockatiel", "full Policy on the success path", 0.3, "÷ cockatiel", "cockatiel 5.6 µs"),
  atMost("policy", "limit/p-limit", "limiter, 100 000 queued, per task", 2, "÷ p-limit", "p-limit 3.5 µs"),
  atMost(
    "policy",
    "limit/flat",
    "limiter, 100 000 queued ÷ 1 000 queued, per task",
    1.5,
    "",
    "flat in the depth of the queue"
  ),
  atMost("policy", "priority/few", "keyed limiter with priorities, 1 000 queued", 1, "÷ p-queue", "p-queue 5.3 µs"),
  atMost("policy", "priority/many", "keyed limiter with priorities, 100 000 queued", 1, "÷ p-queue", "p-queue 13.9 µs"),
  atMost(
    "policy",
    "reserve/micros",
    "requests and tokens per minute, one reservation",
    2,
    "µs",
    "Effect's RateLimiter, which cannot settle, 3.8"
  ),
  atMost("vector", "vector/sqlite/insert", "SQLite, storing a vector", 1, "÷ sqlite-vec", "a table without an index"),
  atMost("vector", "vector/sqlite/search", "SQLite, a query", 0.5, "÷ sqlite-vec", "a scan in memory 0.27"),
  atMost("vector", "vector/postgres/insert", "PostgreSQL, storing a vector", 1.3, "÷ @effect/sql-pg", "one statement"),
  atMost("vector", "vector/postgres/search", "PostgreSQL, a query", 1.3, "÷ @effect/sql-pg", "one statement"),
  atMost(
    "vector",
    "vector/chroma/insert",
    "Chroma, storing a vector",
    1.3,
    "÷ chromadb",
    "what is there is read before"
  ),
  atMost("vector", "vector/chroma/search", "Chroma, a query", 1.2, "÷ chromadb", "one request"),
  atMost("vector", "vector/qdrant/insert", "Qdrant, CPU of storing a vector", 1.2, "÷ its client", "one request"),
  atMost("vector", "vector/qdrant/search", "Qdrant, CPU of a query", 1, "÷ its client", "undici's dispatch"),
  atMost("vector", "vector/ten", "ten queries over 50 ms ÷ one", 1.5, "", "one request for all"),
  atMost("work", "work/few", "a job of a queue in memory, 100 wait", 0.5, "÷ bottleneck", "measured first: 0.15"),
  atMost("work", "work/many", "a job of a queue in memory, 400 wait", 0.5, "÷ bottleneck", "measured first: 0.18"),
  atMost(
    "import",
    "import/promise",
    "importing the promise client with a provider",
    1.3,
    "÷ openai",
    "effect/http 1.27"
  ),
  atMost("bundle", "bundle/holdfast", "a minimal chat call on fetch, gzip", 60, "kB", "openai 86 kB"),
  ...sandbox,
  atMost("failures", "failures/wrong", "rows that end otherwise through either door", 0, "rows", "FAILURES.md"),
  atMost("failures", "failures/refuse", "a Retry-After that is too long, to the failure", 50, "ms", "FAILURES.md"),
  atMost("failures", "failures/abort", "an abort, to the rejection", 10, "ms", "FAILURES.md"),
  atMost("failures", "failures/break", "a break, to the server's close", 50, "ms", "FAILURES.md")
]

/** Rows that are aimed at and cannot be measured before they are built. */
export const unbuilt: ReadonlyArray<{ readonly suite: string; readonly row: string; readonly goal: string }> = []
