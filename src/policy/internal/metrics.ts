/**
 * The metrics of calls. Past 256 endpoints, and 32 outcomes of each, what comes reads `_OTHER`, as in OpenTelemetry's
 * conventions: a registry of metrics forgets nothing.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Attempt } from "../Attempt.ts"

const other = "_OTHER"
const maxEndpoints = 256
const maxOutcomes = 32

/** The bounds that OpenTelemetry gives for durations of GenAI calls, in seconds (semantic-conventions-genai, 2026-11). */
export const boundariesSeconds: ReadonlyArray<number> = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92
]

/** A name without what a URL in it may hide: user, password, query and fragment. */
const redact = (key: string): string => key.replace(/\/\/[^/\s@]*@/g, "//").replace(/[?#]\S*/g, "")

/** The series of one metric, by the value of one label; more than `maxOutcomes` share the last. */
class Series<M> {
  private readonly known = new Map<string, M>()
  private readonly make: (value: string) => M
  constructor(make: (value: string) => M) {
    this.make = make
  }
  of(value: string): M {
    const known = this.known.get(value)
    if (known !== undefined) return known
    if (this.known.size >= maxOutcomes && value !== other) return this.of(other)
    const made = this.make(value)
    this.known.set(value, made)
    return made
  }
}

/** The metrics of one endpoint, bound to their labels once: an update is a lookup and an addition. */
class Endpoint {
  readonly label: string
  readonly attempts: Series<Metric.Counter<number>>
  readonly retries: Series<Metric.Counter<number>>
  readonly waits: Series<Metric.Histogram<number>>
  readonly duration: Metric.Histogram<number>
  constructor(endpoint: string) {
    this.label = endpoint
    const seconds = { unit: "s", endpoint }
    this.attempts = new Series((outcome) =>
      Metric.counter("holdfast_attempts_total", {
        description: "Sends, retries included, by what they ended with",
        incremental: true,
        attributes: { endpoint, outcome }
      })
    )
    this.retries = new Series((cause) =>
      Metric.counter("holdfast_retries_total", {
        description: "Sends after the first of a call, by why they waited",
        incremental: true,
        attributes: { endpoint, cause }
      })
    )
    this.waits = new Series((cause) =>
      Metric.histogram("holdfast_wait_duration_seconds", {
        description: "How long calls waited before a send, by cause",
        boundaries: boundariesSeconds,
        attributes: { ...seconds, cause }
      })
    )
    this.duration = Metric.histogram("holdfast_attempt_duration_seconds", {
      description: "How long sends took, waits excluded",
      boundaries: boundariesSeconds,
      attributes: seconds
    })
  }
}

const endpoints = new Map<string, Endpoint>()

const endpointOf = (key: string): Endpoint => {
  const known = endpoints.get(key)
  if (known !== undefined) return known
  if (endpoints.size >= maxEndpoints && key !== other) return endpointOf(other)
  const made = new Endpoint(redact(key))
  endpoints.set(key, made)
  return made
}

/** How spans and metrics call an endpoint. */
export const labelOf = (key: string): string => endpointOf(key).label

/** Counts one attempt that has ended. */
export const recordAttempt = (context: Context.Context<never>, attempt: Attempt): void => {
  const endpoint = endpointOf(attempt.endpoint)
  endpoint.attempts.of(attempt.outcome).updateUnsafe(1, context)
  endpoint.duration.updateUnsafe(attempt.durationMillis / 1000, context)
  if (attempt.waitCause !== "none") {
    endpoint.retries.of(attempt.waitCause).updateUnsafe(1, context)
    endpoint.waits.of(attempt.waitCause).updateUnsafe(attempt.waitMillis / 1000, context)
  }
  if (attempt.queuedMillis > 0) endpoint.waits.of("queue").updateUnsafe(attempt.queuedMillis / 1000, context)
}

/** Numbers that are read only when metrics are. */
const watchable = {
  waiting: { name: "holdfast_waiting_calls", description: "Calls in the queue for a slot" },
  inFlight: { name: "holdfast_in_flight_calls", description: "Calls that hold a slot" },
  circuit: {
    name: "holdfast_circuit_state",
    description: "0 closed, 1 half open, 2 open; circuits of one endpoint add up"
  }
} as const

interface Watched {
  readonly reads: Set<() => number>
  readonly registration: Metric.Registration
}

const watched = new WeakMap<Metric.MetricRegistry, Map<string, Watched>>()

/**
 * Shows a number as a gauge that is read only when somebody reads metrics: it costs calls nothing. Several numbers of
 * one endpoint add up. Returns what takes the number out again.
 */
export const watch = (
  context: Context.Context<never>,
  what: keyof typeof watchable,
  key: string,
  read: () => number
): (() => void) => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const all = watched.get(registry) ?? new Map<string, Watched>()
  watched.set(registry, all)
  const { description, name } = watchable[what]
  const endpoint = labelOf(key)
  const id = `${what} ${endpoint}`
  const one = all.get(id) ?? register(context, Metric.gauge(name, { description, attributes: { endpoint } }))
  all.set(id, one)
  one.reads.add(read)
  return () => {
    one.reads.delete(read)
    if (one.reads.size > 0 || all.get(id) !== one) return
    all.delete(id)
    one.registration.remove()
  }
}

const nothing = (): void => {}

const register = (context: Context.Context<never>, gauge: Metric.Gauge<number>): Watched => {
  const reads = new Set<() => number>()
  const get = (): Metric.GaugeState<number> => {
    let value = 0
    for (const read of reads) value += read()
    return { value }
  }
  return { reads, registration: Metric.registerUnsafe(gauge, context, { get, update: nothing, modify: nothing }) }
}

/** What `Gauges` shows of each key. */
export interface Counts {
  readonly inFlight: (key: string) => number
  readonly waiting: (key: string) => number
  /** When the circuit of a key lets a trial through, milliseconds since the epoch; `undefined` while it is closed. */
  readonly openUntil: ((key: string) => number | undefined) | undefined
}

const stateAt = (openUntil: number | undefined, nowMillis: number): number =>
  openUntil === undefined ? 0 : nowMillis < openUntil ? 2 : 1

/** The gauges of one open policy: those of a key appear with its first call, and all go with `close`. */
export class Gauges {
  private readonly counts: Counts
  private readonly closers = new Map<string, ReadonlyArray<() => void>>()
  constructor(counts: Counts) {
    this.counts = counts
  }
  /** Told of each call, before it is sent. */
  see(context: Context.Context<never>, key: string): void {
    if (this.closers.has(key) || this.closers.size >= maxEndpoints) return
    const { inFlight, openUntil, waiting } = this.counts
    const closers = [
      watch(context, "waiting", key, () => waiting(key)),
      watch(context, "inFlight", key, () => inFlight(key))
    ]
    if (openUntil !== undefined) {
      const clock = Context.get(context, Clock.Clock)
      closers.push(watch(context, "circuit", key, () => stateAt(openUntil(key), clock.currentTimeMillisUnsafe())))
    }
    this.closers.set(key, closers)
  }
  close(): void {
    for (const closers of this.closers.values()) for (const close of closers) close()
    this.closers.clear()
  }
}
