/** The jobs of one name, in memory: a line for each class, and what is not due yet by its time. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Backlog, type Corpse, type Counts, type Entry, type Fate, type Priority } from "../WorkStore.ts"
import { Bell } from "./bell.ts"

interface Job extends Entry {
  attempts: number
}

interface Later {
  readonly job: Job
  readonly at: number
}

interface Dead extends Corpse {
  readonly job: Job
}

export const priorities: ReadonlyArray<Priority> = ["high", "normal", "low"]

/** First in, first out: the head moves, and what is before it goes when it is half of the array. */
class Line {
  private jobs: Array<Job> = []
  private head = 0

  get size(): number {
    return this.jobs.length - this.head
  }

  add(job: Job): void {
    this.jobs.push(job)
  }

  take(): Job | undefined {
    const job = this.jobs[this.head]
    if (job === undefined) return undefined
    this.head += 1
    if (this.head > 64 && this.head * 2 > this.jobs.length) {
      this.jobs = this.jobs.slice(this.head)
      this.head = 0
    }
    return job
  }
}

export class MemoryBacklog implements Backlog {
  readonly isJson = false
  readonly pollInterval = undefined
  private readonly bell = new Bell()
  private readonly lines: Record<Priority, Line> = { high: new Line(), normal: new Line(), low: new Line() }
  /** The soonest last. */
  private readonly later: Array<Later> = []
  private readonly graves = new Map<string, Dead>()
  private readonly ids = new Set<string>()
  private running = 0

  readonly next = (): Effect.Effect<void> => this.bell.next()
  readonly ring = (): void => this.bell.ring()

  readonly offer: Backlog["offer"] = (entry, capacity) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (this.ids.has(entry.id)) return "known" as const
      const { high, low, normal } = this.lines
      if (high.size + normal.size + low.size + this.later.length >= capacity) return "full" as const
      this.ids.add(entry.id)
      this.put({ ...entry, attempts: 0 }, entry.delayMillis, now)
      return "added" as const
    })

  readonly due: Backlog["due"] = (max) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      this.ripen(now)
      const due: Array<Priority> = []
      for (const priority of priorities) {
        const count = Math.min(this.lines[priority].size, max - due.length)
        for (let i = 0; i < count; i++) due.push(priority)
      }
      return due
    })

  readonly take: Backlog["take"] = (priority) =>
    Effect.sync(() => {
      const job = this.lines[priority].take()
      if (job === undefined) return undefined
      job.attempts += 1
      this.running += 1
      return {
        id: job.id,
        element: job.element,
        attempt: job.attempts,
        settle: (fate) => Effect.map(Clock.currentTimeMillis, (now) => this.settle(job, fate, now))
      }
    })

  readonly pause = (): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const soonest = this.later.at(-1)
      return soonest === undefined ? Effect.never : Effect.sleep(Duration.millis(Math.max(0, soonest.at - now)))
    })

  readonly counts: Effect.Effect<Counts> = Effect.map(Clock.currentTimeMillis, (now) => {
    this.ripen(now)
    const { high, low, normal } = this.lines
    const ready = high.size + normal.size + low.size
    return { ready, delayed: this.later.length, running: this.running, dead: this.graves.size }
  })

  // Done jobs are forgotten here: who asks for one that is neither in line nor dead asks for a done one.
  readonly outcome: Backlog["outcome"] = (id) =>
    Effect.sync(() => this.graves.get(id) ?? (this.ids.has(id) ? undefined : ("done" as const)))

  readonly dead: Backlog["dead"] = (limit) => Effect.sync(() => Array.from(this.graves.values()).slice(0, limit))

  readonly revive: Backlog["revive"] = (id) =>
    Effect.sync(() => {
      const grave = this.graves.get(id)
      if (grave === undefined) return false
      this.graves.delete(id)
      grave.job.attempts = 0
      this.lines[grave.priority].add(grave.job)
      return true
    })

  readonly bury: Backlog["bury"] = (id) =>
    Effect.sync(() => {
      this.ids.delete(id)
      return this.graves.delete(id)
    })

  private settle(job: Job, fate: Fate, now: number): void {
    this.running -= 1
    switch (fate._tag) {
      case "Done":
        this.ids.delete(job.id)
        break
      case "Retry":
        this.put(job, fate.delayMillis, now)
        break
      case "Back":
        job.attempts -= 1
        this.put(job, 0, now)
        break
      case "Dead": {
        const { attempts, element, id, priority } = job
        this.graves.set(id, { id, element, priority, attempts, failure: Cause.pretty(fate.cause), job })
      }
    }
  }

  private put(job: Job, delayMillis: number, now: number): void {
    if (delayMillis <= 0) return this.lines[job.priority].add(job)
    const at = now + delayMillis
    let [low, high] = [0, this.later.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.later[middle]?.at ?? 0) > at) low = middle + 1
      else high = middle
    }
    this.later.splice(low, 0, { job, at })
  }

  /** Puts into their lines the jobs that have become due. */
  private ripen(now: number): void {
    for (let soonest = this.later.at(-1); soonest !== undefined && soonest.at <= now; soonest = this.later.at(-1)) {
      this.later.pop()
      this.lines[soonest.job.priority].add(soonest.job)
    }
  }
}
