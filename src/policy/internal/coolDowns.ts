/** Who asked to be left alone, and until when. One entry for each name; what has passed is removed when it is read. */

interface CoolDown {
  readonly until: number
  /** When it was asked for: a call that began later and succeeds ends it. */
  readonly since: number
}

export class CoolDowns {
  private readonly byName = new Map<string, CoolDown>()

  /** Milliseconds since the epoch; zero when it may be called. */
  until(name: string, now: number): number {
    const coolDown = this.byName.get(name)
    if (coolDown === undefined) return 0
    if (coolDown.until > now) return coolDown.until
    this.byName.delete(name)
    return 0
  }

  begin(name: string, millis: number, now: number): void {
    const until = Math.max(now + millis, this.until(name, now))
    this.byName.set(name, { until, since: now })
  }

  /** A call that began at `began` was served. */
  served(name: string, began: number): void {
    const coolDown = this.byName.get(name)
    if (coolDown !== undefined && began >= coolDown.since) this.byName.delete(name)
  }
}
