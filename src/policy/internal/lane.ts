/** The slots of one key and the calls that wait for them. A slot and what the gate asks for are granted together. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Claim, Gate, Sample } from "../Concurrency.ts"
import { Shed } from "../PolicyError.ts"
import * as Timer from "../Timer.ts"
import type { AdaptiveLimit } from "./adaptive.ts"
import { Line, Place } from "./line.ts"

/** What the lanes of all keys have in common. */
export interface Settings {
  readonly maxQueue: number
  readonly ageingMillis: number
  readonly gate: Gate | undefined
}

type Resume = (effect: Effect.Effect<void, Shed>) => void

/** A fiber that waits for its slot. */
export class Waiter extends Place {
  private readonly lane: Lane
  private readonly resume: Resume
  private cancelTimer: (() => void) | undefined = undefined

  constructor(lane: Lane, claim: Claim, resume: Resume, nowMillis: number) {
    super(claim, nowMillis)
    this.lane = lane
    this.resume = resume
  }

  arm(clock: Clock.Clock, millis: number): void {
    if (millis < Infinity) this.cancelTimer = Timer.after(clock, millis, () => this.shed(false))
  }

  grant(): void {
    this.cancelTimer?.()
    this.resume(Effect.void)
  }

  shed(closed: boolean): void {
    if (this.turn === undefined) return
    const refusal = this.lane.refusal(closed)
    this.leave()
    this.resume(Effect.fail(refusal))
  }

  /** Gives up waiting; false when it had ended before. */
  leave(): boolean {
    this.cancelTimer?.()
    return this.lane.leave(this)
  }
}

/** How fast those who wait are served: the latest 64 to 128 of them. */
class Drain {
  private count = 0
  private served = 0
  private millis = 0
  private sinceMillis = 0

  begin(nowMillis: number): void {
    this.sinceMillis = nowMillis
  }

  add(clock: Clock.Clock): void {
    if (++this.count >= 64) this.pause(clock.currentTimeMillisUnsafe())
  }

  /** Nobody waits any more, which is not slowness. */
  pause(nowMillis: number): void {
    const kept = this.served > 64 ? 0.5 : 1
    this.served = this.served * kept + this.count
    this.millis = this.millis * kept + nowMillis - this.sinceMillis
    this.count = 0
    this.sinceMillis = nowMillis
  }

  /** How long it takes until `waiting` calls are served; undefined before any was. */
  millisFor(waiting: number, nowMillis: number): number | undefined {
    const served = this.served + this.count
    return served === 0 ? undefined : Math.ceil((waiting * (this.millis + nowMillis - this.sinceMillis)) / served)
  }
}

export class Lane {
  readonly key: string
  inFlight = 0
  private readonly settings: Settings
  private readonly line: Line
  private readonly drain = new Drain()
  private readonly adaptive: AdaptiveLimit | undefined
  private fixedLimit: number
  private clock: Clock.Clock = Timer.defaultClock
  private isGranting = false
  private wakeAtMillis = Infinity
  private cancelWake: (() => void) | undefined = undefined

  constructor(key: string, limit: number, adaptive: AdaptiveLimit | undefined, settings: Settings) {
    this.key = key
    this.fixedLimit = limit
    this.adaptive = adaptive
    this.settings = settings
    this.line = new Line(settings.ageingMillis)
  }

  get limit(): number {
    return this.adaptive === undefined ? this.fixedLimit : this.adaptive.limit
  }

  get waiting(): number {
    return this.line.length
  }

  resize(limit: number): void {
    this.fixedLimit = limit
    this.adaptive?.bound(limit)
    this.grant()
  }

  /** Takes a slot at once. Without the time a gate cannot be asked, and the call queues. */
  take(claim: Claim | undefined, nowMillis: number | undefined): boolean {
    if (this.inFlight >= this.limit || this.line.length > 0) return false
    const { gate } = this.settings
    if (gate !== undefined) {
      if (nowMillis === undefined || gate.admitUnsafe(this.key, claim ?? {}, nowMillis) > 0) return false
    }
    this.inFlight++
    return true
  }

  release(sample: Sample | undefined): void {
    if (sample !== undefined) this.adaptive?.observe(sample, this.inFlight)
    this.inFlight--
    if (this.line.length > 0) this.grant()
  }

  /** Puts a call into the line, or sheds the one that has the least right to wait. */
  enter(waiter: Waiter, clock: Clock.Clock): Shed | undefined {
    this.clock = clock
    const { level, sinceMillis, tenant } = waiter
    if (this.line.length >= this.settings.maxQueue) {
      this.line.age(sinceMillis)
      const other = this.line.yielding(level, tenant)
      if (other === undefined) return this.refusal(false)
      other.shed(false)
    }
    if (this.line.length === 0) this.drain.begin(sinceMillis)
    this.line.push(waiter)
    // The fiber may have yielded since it found no free slot; nobody would wake it for the one that came meanwhile.
    if (this.inFlight < this.limit && this.line.head === waiter) queueMicrotask(() => this.grant())
    return undefined
  }

  leave(waiter: Waiter): boolean {
    if (waiter.turn === undefined) return false
    const wasHead = this.settings.gate !== undefined && this.line.head === waiter
    this.line.remove(waiter)
    if (this.line.length === 0) this.rest()
    else if (wasHead) this.grant()
    return true
  }

  /** Nobody is served meanwhile for whom another one's leaving makes room. */
  shedAll(): void {
    const wasGranting = this.isGranting
    this.isGranting = true
    for (const place of this.line.toArray()) place.shed(true)
    this.isGranting = wasGranting
  }

  refusal(closed: boolean): Shed {
    const { waiting } = this
    const millis = closed ? undefined : this.drain.millisFor(waiting, this.clock.currentTimeMillisUnsafe())
    return new Shed({
      key: this.key,
      waiting,
      closed,
      retryAfter: millis === undefined ? undefined : Duration.millis(millis)
    })
  }

  /** Gives free slots to those who wait. A grant that ends at once frees its slot within this loop, not below it. */
  grant(): void {
    if (this.isGranting) return
    this.isGranting = true
    try {
      this.grantAll()
    } finally {
      this.isGranting = false
    }
  }

  private grantAll(): void {
    const { line } = this
    while (this.inFlight < this.limit && line.length > 0) {
      if (line.isMixed) line.age(this.clock.currentTimeMillisUnsafe())
      const place = line.head
      if (place === undefined) return
      const refusal = this.askGate(place.claim)
      if (refusal > 0 && refusal < Infinity) return
      if (refusal === Infinity) {
        place.shed(false)
        continue
      }
      line.take(place)
      this.inFlight++
      this.drain.add(this.clock)
      if (line.length === 0) this.rest()
      place.grant()
    }
  }

  /** Asks the gate for the head of the line. Nobody passes it but a higher class, whose head is asked for instead. */
  private askGate(claim: Claim): number {
    const { gate } = this.settings
    if (gate === undefined) return 0
    const now = this.clock.currentTimeMillisUnsafe()
    const millis = gate.admitUnsafe(this.key, claim, now)
    if (millis > 0) this.wakeAt(now + millis, millis)
    return millis
  }

  /** Asks again at that time; an earlier timer stays, it asks and is set again. */
  private wakeAt(atMillis: number, millis: number): void {
    if (atMillis >= this.wakeAtMillis) return
    this.cancelWake?.()
    this.wakeAtMillis = atMillis
    this.cancelWake = Timer.after(this.clock, millis, () => {
      this.wakeAtMillis = Infinity
      this.cancelWake = undefined
      this.grant()
    })
  }

  private rest(): void {
    this.drain.pause(this.clock.currentTimeMillisUnsafe())
    this.cancelWake?.()
    this.cancelWake = undefined
    this.wakeAtMillis = Infinity
  }
}
