/** A doubly linked list: a member leaves from anywhere in one step and leaves nothing behind. */

/** A member's place in a chain. */
export class Link<A> {
  readonly value: A
  before: Link<A> | undefined = undefined
  after: Link<A> | undefined = undefined
  constructor(value: A) {
    this.value = value
  }
}

export class Chain<A> {
  length = 0
  private head: Link<A> | undefined = undefined
  private tail: Link<A> | undefined = undefined

  get first(): A | undefined {
    return this.head?.value
  }

  get last(): A | undefined {
    return this.tail?.value
  }

  push(link: Link<A>): void {
    link.before = this.tail
    if (this.tail === undefined) this.head = link
    else this.tail.after = link
    this.tail = link
    this.length++
  }

  /** Removes a member. One that left keeps no neighbours, or the collector would keep old ones for young ones. */
  remove(link: Link<A>): void {
    if (link.before === undefined) this.head = link.after
    else link.before.after = link.after
    if (link.after === undefined) this.tail = link.before
    else link.after.before = link.before
    link.before = undefined
    link.after = undefined
    this.length--
  }

  /** A copy, for those who change the chain while they go through it. */
  toArray(): ReadonlyArray<A> {
    const all: Array<A> = []
    for (let link = this.head; link !== undefined; link = link.after) all.push(link.value)
    return all
  }
}
