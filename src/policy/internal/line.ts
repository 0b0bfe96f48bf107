/**
 * The calls that wait for one key, in the order in which they are served: class before class, in a class one tenant
 * after another, of a tenant the first that came.
 *
 * Whoever has waited for `ageingMillis` moves up one class, behind those who are there already: calls of the highest
 * class that come later than `2 × ageingMillis` after a call of the lowest do not pass it. All of it is O(1) a call.
 */
import { Chain, Link } from "./chain.ts"

/** The classes of priority, the first is served first. */
export const levels = { high: 0, normal: 1, low: 2 } as const

/** What the line knows of a call that waits. */
export class Place<A> {
  readonly value: A
  readonly tenant: string
  /** The class where it stands now. */
  level: number
  /** When it came into that class. */
  sinceMillis: number
  turn: Turn<A> | undefined = undefined
  readonly inTurn: Link<Place<A>> = new Link<Place<A>>(this)
  readonly inBand: Link<Place<A>> = new Link<Place<A>>(this)

  constructor(value: A, tenant: string, level: number, sinceMillis: number) {
    this.value = value
    this.tenant = tenant
    this.level = level
    this.sinceMillis = sinceMillis
  }
}

/** The calls of one tenant in one class. */
class Turn<A> {
  readonly tenant: string
  readonly places = new Chain<Place<A>>()
  readonly link: Link<Turn<A>> = new Link<Turn<A>>(this)
  constructor(tenant: string) {
    this.tenant = tenant
  }
}

/** One class: its tenants take turns. A tenant of whom nobody waits is forgotten. */
class Band<A> {
  readonly places = new Chain<Place<A>>()
  private readonly turns = new Chain<Turn<A>>()
  private readonly byTenant = new Map<string, Turn<A>>()
  // The longest queue among those that grew: one that floods the line is the longest by then.
  private longest: Turn<A> | undefined = undefined

  get head(): Place<A> | undefined {
    return this.turns.first?.places.first
  }

  push(place: Place<A>): void {
    let turn = this.byTenant.get(place.tenant)
    if (turn === undefined) {
      turn = new Turn(place.tenant)
      this.byTenant.set(place.tenant, turn)
      this.turns.push(turn.link)
    }
    place.turn = turn
    turn.places.push(place.inTurn)
    this.places.push(place.inBand)
    if (this.longest === undefined || turn.places.length > this.longest.places.length) this.longest = turn
  }

  remove(place: Place<A>): void {
    const { turn } = place
    if (turn === undefined) return
    place.turn = undefined
    turn.places.remove(place.inTurn)
    this.places.remove(place.inBand)
    if (turn.places.length > 0) return
    this.turns.remove(turn.link)
    this.byTenant.delete(turn.tenant)
    if (this.longest === turn) this.longest = undefined
  }

  /** Serves a place: the next turn is another tenant's. */
  take(place: Place<A>): void {
    const { turn } = place
    this.remove(place)
    if (turn === undefined || turn.places.length === 0 || this.turns.length === 1) return
    this.turns.remove(turn.link)
    this.turns.push(turn.link)
  }

  /** The youngest call of a tenant who has more than one call more here than this one. */
  excess(tenant: string): Place<A> | undefined {
    const longest = this.longest?.places
    const own = this.byTenant.get(tenant)?.places.length ?? 0
    return longest !== undefined && longest.length > own + 1 ? longest.last : undefined
  }
}

export class Line<A> {
  length = 0
  private readonly ageingMillis: number
  private readonly bands: ReadonlyArray<Band<A>> = [new Band<A>(), new Band<A>(), new Band<A>()]

  constructor(ageingMillis: number) {
    this.ageingMillis = ageingMillis
  }

  push(place: Place<A>): void {
    // Before it stands in its class, so that each class is in order of arrival in it.
    this.age(place.sinceMillis)
    this.bands[place.level]?.push(place)
    this.length++
  }

  remove(place: Place<A>): void {
    if (place.turn === undefined) return
    this.bands[place.level]?.remove(place)
    this.length--
  }

  take(place: Place<A>): void {
    this.bands[place.level]?.take(place)
    this.length--
  }

  /** Whether several classes wait, so that time may change who is next. */
  get isMixed(): boolean {
    return this.bands.every((band) => band.places.length < this.length)
  }

  /** Who is served next. */
  get head(): Place<A> | undefined {
    for (const band of this.bands) if (band.places.length > 0) return band.head
    return undefined
  }

  /** Moves up those who have waited long enough. While only one class waits, nobody is passed and nothing is done. */
  age(nowMillis: number): void {
    if (this.length === 0) return
    for (let level = this.bands.length - 1; level > 0; level--) {
      const band = this.bands[level]
      for (let place = band?.places.first; place !== undefined; place = band?.places.first) {
        if (nowMillis - place.sinceMillis < this.ageingMillis) break
        band?.remove(place)
        place.level--
        place.sinceMillis += this.ageingMillis
        this.bands[place.level]?.push(place)
      }
    }
  }

  /**
   * Who gives way when the line is full: the youngest call of the lowest class below this one, else, in the same class,
   * the youngest of a tenant with more calls. Nobody, when this call has the least right to a place itself.
   */
  yielding(level: number, tenant: string): Place<A> | undefined {
    for (let lower = this.bands.length - 1; lower > level; lower--) {
      const youngest = this.bands[lower]?.places.last
      if (youngest !== undefined) return youngest
    }
    return this.bands[level]?.excess(tenant)
  }

  /** Everybody, class by class. */
  toArray(): ReadonlyArray<Place<A>> {
    return this.bands.flatMap((band) => band.places.toArray())
  }
}
