/**
 * Virtual time for tests of plain programs: a backoff of five minutes passes in a few milliseconds. Nothing is patched:
 * the clients that it makes read another clock, everything else in the process keeps the machine's.
 *
 * Before time moves, what is real has its turn: code that can run runs, and a request that a real server is answering is
 * waited for, at most `patience`. A server that does not answer thus costs its client all the virtual time that it
 * grants, and the test a quarter of a second.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import { setImmediate } from "node:timers/promises"
import { defaultClock } from "../policy/Timer.ts"
import { type Client, type ClientOptions, createClient, type Time } from "../promise/index.ts"
import { toDuration } from "../promise/Time.ts"
import { ground } from "../promise/internal/ground.ts"
import { listen, type Traffic } from "./internal/traffic.ts"
import * as VirtualClock from "./internal/virtualClock.ts"

export interface Options {
  /** What time it is at first, in milliseconds since the epoch. Default: the machine's time. */
  readonly startMillis?: number | undefined
  /**
   * How long, in real time, an answer of a real server is waited for before time moves, counted from the request, from
   * the headers, and from each content of a stream. Default: `"250 millis"`, much for a server on loopback.
   */
  readonly patience?: Time | undefined
  /** The most virtual time that one `run` takes; then it rejects with `OutOfTime`. Default: `"24 hours"`. */
  readonly limit?: Time | undefined
}

/** Virtual time was used up, and the promise was not settled: something tries for ever. */
export class OutOfTime extends Data.TaggedError("OutOfTime")<{ readonly limitMillis: number }> {
  readonly code = "OutOfTime"
  override get message(): string {
    return `not settled after ${this.limitMillis} ms of virtual time: what runs may never end; raise \`limit\` if it does`
  }
}

export interface VirtualTime {
  /** What time it is, in milliseconds since the epoch. */
  readonly now: () => number
  /** How much time has passed since this was made, in milliseconds. */
  readonly elapsed: () => number
  /** `createClient`, whose retries, limits and timeouts go by this time. Its sandbox is real and keeps the machine's. */
  readonly createClient: (options: ClientOptions) => Client
  /** A layer under this time, for `fromLayer`. */
  readonly provide: <A, E, R>(layer: Layer.Layer<A, E, R>) => Layer.Layer<A, E, R>
  /** Waits by this time: for a scripted reply that comes late. */
  readonly sleep: (time: Time) => Promise<void>
  /** Lets this much time pass, from one timer to the next, and what they wake run between them. */
  readonly advance: (time: Time) => Promise<void>
  /** Runs `f`, and lets time pass, from one timer to the next, until its promise is settled. */
  readonly run: <A>(f: () => A | PromiseLike<A>) => Promise<A>
  /** Real work that the clock cannot see, such as a file or a child process: time stands still until it is settled. */
  readonly hold: <A>(work: PromiseLike<A>) => Promise<A>
}

/** Makes a time of one's own, one for each test. */
export const make = (options: Options = {}): VirtualTime => new Mover(options)

// A fiber's way from a woken timer to the next one takes two or three turns of the event loop, a crossing between fibers
// and promises one more; a tool loop has about ten of these in a row.
const quietTurns = 32

// A module that is loaded, or work that is held, ends by itself; a test ends before this does.
const longestMillis = 30_000

const realMillis = (): number => defaultClock.currentTimeMillisUnsafe()
const realMillisecond = (): Promise<void> => Effect.runPromise(defaultClock.sleep(Duration.millis(1)))

// A server on loopback answers within this, and a timer takes as long as its answer; later the processor is left to others.
const spinMillis = 5

class Mover implements VirtualTime {
  private readonly time: VirtualClock.VirtualClock
  private readonly startMillis: number
  private readonly patienceMillis: number
  private readonly limitMillis: number
  private readonly traffic: Traffic
  private readonly lock = Semaphore.makeUnsafe(1)
  /** Layers that are being built, their modules loaded, and work that is held. */
  private held = 0
  private heldMoves = 0

  constructor(options: Options) {
    this.patienceMillis = Duration.toMillis(toDuration(options.patience ?? "250 millis", "patience"))
    this.limitMillis = Duration.toMillis(toDuration(options.limit ?? "24 hours", "limit"))
    this.startMillis = options.startMillis ?? realMillis()
    this.time = VirtualClock.make(this.startMillis)
    this.traffic = listen()
  }

  now: VirtualTime["now"] = () => this.startMillis + this.time.elapsed()

  elapsed: VirtualTime["elapsed"] = () => this.time.elapsed()

  createClient: VirtualTime["createClient"] = (options) =>
    createClient(Object.assign({}, options, { [ground]: this.provide }))

  provide: VirtualTime["provide"] = (layer) =>
    Layer.provideMerge(
      Layer.fromBuildMemo((memoMap, scope) =>
        Effect.acquireUseRelease(
          Effect.sync(() => this.holding(1)),
          () => Layer.buildWithMemoMap(layer, memoMap, scope),
          () => Effect.sync(() => this.holding(-1))
        )
      ),
      Layer.succeedContext(this.time.context)
    )

  sleep: VirtualTime["sleep"] = async (time) => Effect.runPromise(this.time.clock.sleep(toDuration(time, "sleep")))

  hold: VirtualTime["hold"] = async (work) => {
    this.holding(1)
    try {
      return await work
    } finally {
      this.holding(-1)
    }
  }

  advance: VirtualTime["advance"] = async (time) => {
    const millis = Duration.toMillis(toDuration(time, "advance"))
    if (!Number.isFinite(millis)) throw new TypeError("advance: time cannot be moved to its end; give a time that ends")
    return Effect.runPromise(this.lock.withPermit(this.pass(millis)))
  }

  run: VirtualTime["run"] = async (f) => {
    let isSettled = false
    let onSettled = (): void => undefined
    const settled = Effect.callback<void>((resume) => {
      if (isSettled) return resume(Effect.void)
      onSettled = () => resume(Effect.void)
      return undefined
    })
    const result = (async () => f())().finally(() => {
      isSettled = true
      onSettled()
    })
    // Who runs out of time does not wait for it any more, and its rejection is nobody's.
    result.catch(() => undefined)
    await Effect.runPromise(
      Effect.raceFirst(
        this.drive(() => isSettled),
        settled
      )
    )
    return result
  }

  /** Moves from timer to timer while it is needed. */
  private readonly drive = Effect.fnUntraced({ self: this }, function* (isSettled: () => boolean) {
    const end = this.time.elapsed() + this.limitMillis
    while (!isSettled()) {
      const isOver = yield* this.lock.withPermit(this.step(isSettled, end))
      if (isOver) yield* new OutOfTime({ limitMillis: this.limitMillis })
      if (this.time.next() === undefined) yield* this.moved
    }
  })

  /** Moves to the next timer, unless that is past the end. */
  private readonly step = Effect.fnUntraced({ self: this }, function* (isSettled: () => boolean, end: number) {
    yield* this.settle
    const next = this.time.next()
    if (isSettled() || next === undefined) return false
    if (next > end) return true
    yield* this.time.moveTo(next)
    return false
  })

  private readonly pass = Effect.fnUntraced({ self: this }, function* (millis: number) {
    yield* this.settle
    const end = this.time.elapsed() + millis
    for (let next = this.time.next(); next !== undefined && next <= end; next = this.time.next()) {
      yield* this.time.moveTo(next)
      yield* this.settle
    }
    yield* this.time.moveTo(end)
    yield* this.settle
  })

  /** Until a sleep begins or ends. */
  private readonly moved: Effect.Effect<void> = Effect.callback((resume) => {
    const forget = this.time.onMove(() => {
      forget()
      resume(Effect.void)
    })
    return Effect.sync(forget)
  })

  /** Until nothing has moved for some turns of the event loop, and no answer is on its way that may still come. */
  private readonly settle: Effect.Effect<void> = Effect.promise(async (signal) => {
    let quiet = 0
    let moves = this.moves()
    let sinceMillis = realMillis()
    while (quiet < quietTurns && !signal.aborted) {
      const silentMillis = realMillis() - sinceMillis
      if (silentMillis > spinMillis && this.isBusy(silentMillis)) await realMillisecond()
      else await setImmediate()
      if (this.moves() !== moves) {
        quiet = 0
        moves = this.moves()
        sinceMillis = realMillis()
      } else if (!this.isBusy(realMillis() - sinceMillis)) quiet++
    }
  })

  private isBusy(silentMillis: number): boolean {
    if (this.held > 0) return silentMillis < longestMillis
    return this.traffic.inFlight() > 0 && silentMillis < this.patienceMillis
  }

  private moves(): number {
    return this.time.moves() + this.traffic.steps() + this.heldMoves
  }

  private holding(change: 1 | -1): void {
    this.held += change
    this.heldMoves++
  }
}
