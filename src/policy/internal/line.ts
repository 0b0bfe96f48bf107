/**
 * The calls that wait for one key, in the order in which they are served: class before class, in a class one tenant
 * after another, of a tenant the first that came.
 *
 * Whoever has waited for `ageingMillis` moves up one class, behind those who are there already: calls of the highest
 * class that come later than `2 × ageingMillis` after a call of the lowest do not pass it. All of it is O(1) a call.
 */
import type { Claim } from "../Concurrency.ts"
import { Chain, Link } from "./chain.ts"

/** The classes of priority, the first is served first. */
const levels = { high: 0, normal: 1, low: 2 } as const

/** A call that waits, and where. */
export abstract class Place {
  readonly claim: Claim
  readonly tenant: string
  /** The class where it stands now. */
  level: number
  /** When it came into that class. */
  sinceMillis: number
  turn: Turn | undefined = undefined
  readonly inTurn: Link<Place> = new Link<Place>(this)
  readonly inBand: Link<Place> = new Link<Place>(this)

  constructor(claim: Claim, sinceMillis: number) {
    this.claim = claim
    this.tenant = claim.tenant ?? ""
    this.level = levels[claim.priority ?? "normal"]
    this.sinceMillis = sinceMillis
  }

  abstract grant(): void
  /** Ends the waiting without a slot; `closed` when the whole line is. */
  abstract shed(closed: boolean): void
}

/** The calls of one tenant in one class. */
class Turn {
  readonly tenant: string
  readonly places = new Chain<Place>()
  readonly link: Link<Turn> = new Link<Turn>(this)
  constructor(tenant: string) {
    this.tenant = tenant
  }
}

/** One class: its tenants take turns. A tenant of whom nobody waits is forgotten. */
class Band {
  readonly places = new Chain<Place>()
  private readonly turns = new Chain<Turn>()
  private readonly byTenant = new Map<string, Turn>()
  // The longest queue among those that grew: one that floods the line is the longest by then.
  private longest: Turn | undefined = undefined

  get head(): Place | undefined {
    return this.turns.first?.places.first
  }

  push(place: Place): void {
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

  remove(place: Place): void {
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
  take(place: Place): void {
    const { turn } = place
    this.remove(place)
    if (turn === undefined || turn.places.length === 0 || this.turns.length === 1) return
    this.turns.remove(turn.link)
    this.turns.push(turn.link)
  }

  /** The youngest call of a tenant who has more than one call more here than this one. */
  excess(tenant: string): Place | undefined {
    const longest = this.longest?.places
    const own = this.byTenant.get(tenant)?.places.length ?? 0
    return longest !== undefined && longest.length > own + 1 ? longest.last : undefined
  }
}

export class Line {
  length = 0
  private readonly ageingMillis: number
  private readonly bands: ReadonlyArray<Band> = [new Band(), new Band(), new Band()]

  constructor(ageingMillis: number) {
    this.ageingMillis = ageingMillis
  }

  push(place: Place): void {
    // Before it stands in its class, so that each class is in order of arrival in it.
    this.age(place.sinceMillis)
    this.bands[place.level]?.push(place)
    this.length++
  }

  remove(place: Place): void {
    if (place.turn === undefined) return
    this.bands[place.level]?.remove(place)
    this.length--
  }

  take(place: Place): void {
    this.bands[place.level]?.take(place)
    this.length--
  }

  /** Whether several classes wait, so that time may change who is next. */
  get isMixed(): boolean {
    for (const band of this.bands) if (band.places.length > 0) return band.places.length < this.length
    return false
  }

  /** Who is served next. */
  get head(): Place | undefined {
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
  yielding(level: number, tenant: string): Place | undefined {
    for (let lower = this.bands.length - 1; lower > level; lower--) {
      const youngest = this.bands[lower]?.places.last
      if (youngest !== undefined) return youngest
    }
    return this.bands[level]?.excess(tenant)
  }

  /** Everybody, class by class. */
  toArray(): ReadonlyArray<Place> {
    return this.bands.flatMap((band) => band.places.toArray())
  }
}
