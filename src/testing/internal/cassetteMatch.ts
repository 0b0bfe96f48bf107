/**
 * Which recorded request is meant, and where the nearest one differs.
 *
 * Requests are compared field by field as `{ method, origin, path, query, headers, body }`: the order of keys does not
 * matter, that of a list does. `REDACTED` in a recorded text stands for any text.
 */
import { type Exchange, redacted, type RequestRecord } from "./cassetteFormat.ts"

type Path = ReadonlyArray<string | number>

/** One field that differs; `undefined` is a field that is not there. */
export interface Difference {
  readonly path: Path
  readonly recorded: unknown
  readonly asked: unknown
}

const fields = ["method", "origin", "path", "query", "headers", "body"]

const documentOf = (request: RequestRecord, headers: ReadonlyArray<string>): Readonly<Record<string, unknown>> => {
  const url = new URL(request.url)
  const query: Record<string, unknown> = {}
  for (const name of url.searchParams.keys()) {
    const values = url.searchParams.getAll(name)
    query[name] = values.length === 1 ? values[0] : values
  }
  return {
    method: request.method,
    origin: url.origin,
    path: url.pathname,
    query,
    headers: Object.fromEntries(headers.map((name) => [name.toLowerCase(), request.headers[name.toLowerCase()]])),
    body: request.body ?? request.bodyText ?? request.bodyBase64
  }
}

/** A path as a program would write it, e.g. `body.messages[1].content`. */
const show = (path: Path): string =>
  path
    .map((step, index) => {
      if (typeof step === "number") return `[${step}]`
      if (!/^[\w-]+$/.test(step)) return `[${JSON.stringify(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join("")

/** Reads what `show` writes, with `*` for any name and `[*]` for any item. */
const readPath = (text: string): ReadonlyArray<string> => {
  const steps = Array.from(
    text.matchAll(/\.?([\w*-]+)|\[(\d+|\*)\]|\[("(?:[^"\\]|\\.)*")\]/g),
    ([, name, item, quoted]) => name ?? item ?? String(JSON.parse(quoted ?? '""'))
  )
  if (fields.includes(steps[0] ?? "")) return steps
  throw new TypeError(`Cassette: ignore ${JSON.stringify(text)} does not begin with one of ${fields.join(", ")}`)
}

/** What a user says of how requests are compared. */
export interface Comparison {
  readonly ignore: ReadonlyArray<string>
  readonly headers: ReadonlyArray<string>
  readonly match: ((asked: RequestRecord, recorded: RequestRecord) => boolean) | undefined
}

/** A recorded text with `REDACTED` in it says only what stands around. */
const isSameText = (recorded: string, asked: string): boolean => {
  if (recorded === asked) return true
  const parts = recorded.split(redacted)
  const last = parts.pop() ?? ""
  const [first] = parts
  if (first === undefined || !asked.startsWith(first)) return false
  let at = first.length
  for (const part of parts.slice(1)) {
    const found = asked.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return asked.length - at >= last.length && asked.endsWith(last)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Collects the fields that differ, at most `limit` of them. */
class Comparer {
  readonly found: Array<Difference> = []
  private readonly ignored: ReadonlyArray<ReadonlyArray<string>>
  private readonly limit: number

  constructor(ignored: ReadonlyArray<ReadonlyArray<string>>, limit: number) {
    this.ignored = ignored
    this.limit = limit
  }

  compare(recorded: unknown, asked: unknown, path: Path): void {
    if (this.found.length >= this.limit || recorded === asked || this.isIgnored(path)) return
    if (Array.isArray(recorded) && Array.isArray(asked)) {
      const length = Math.max(recorded.length, asked.length)
      for (let at = 0; at < length; at++) this.compare(recorded[at], asked[at], [...path, at])
    } else if (isObject(recorded) && isObject(asked)) {
      for (const name of new Set([...Object.keys(recorded), ...Object.keys(asked)])) {
        this.compare(recorded[name], asked[name], [...path, name])
      }
    } else if (typeof recorded !== "string" || typeof asked !== "string" || !isSameText(recorded, asked)) {
      this.found.push({ path, recorded, asked })
    }
  }

  private isIgnored(path: Path): boolean {
    return this.ignored.some(
      (steps) => steps.length === path.length && steps.every((step, at) => step === "*" || step === String(path[at]))
    )
  }
}

/** Differences that are counted to find the nearest request; past them one is as far as another. */
const maxDifferences = 100

/** A request to another place is further away than any other body. */
const farther: ReadonlySet<string | number | undefined> = new Set(["method", "origin", "path"])

interface Entry {
  readonly exchange: Exchange
  readonly document: Readonly<Record<string, unknown>>
  isUsed: boolean
}

/** The recorded exchanges, each of which answers once. */
export class Deck {
  private readonly entries: ReadonlyArray<Entry>
  private readonly comparison: Comparison
  private readonly ignored: ReadonlyArray<ReadonlyArray<string>>
  private readonly isRepeating: boolean

  constructor(exchanges: ReadonlyArray<Exchange>, comparison: Comparison, isRepeating: boolean) {
    this.comparison = comparison
    this.isRepeating = isRepeating
    this.ignored = comparison.ignore.map(readPath)
    this.entries = exchanges.map((exchange) => ({
      exchange,
      document: documentOf(exchange.request, comparison.headers),
      isUsed: false
    }))
  }

  private differences(entry: Entry, asked: Readonly<Record<string, unknown>>, limit: number): Comparer["found"] {
    const comparer = new Comparer(this.ignored, limit)
    for (const field of fields) comparer.compare(entry.document[field], asked[field], [field])
    return comparer.found
  }

  private matching(asked: RequestRecord): ReadonlyArray<Entry> {
    const { headers, match } = this.comparison
    if (match !== undefined) return this.entries.filter(({ exchange }) => match(asked, exchange.request))
    const document = documentOf(asked, headers)
    return this.entries.filter((entry) => this.differences(entry, document, 1).length === 0)
  }

  /** Takes the first exchange for this request that has not answered yet. */
  take(asked: RequestRecord): Exchange | undefined {
    const matching = this.matching(asked)
    const next = matching.find(({ isUsed }) => !isUsed) ?? (this.isRepeating ? matching.at(-1) : undefined)
    if (next !== undefined) next.isUsed = true
    return next?.exchange
  }

  /** Why `take` had nothing, in a line of bounded length. */
  explain(asked: RequestRecord): string {
    const { origin, pathname } = new URL(asked.url)
    const what = `${asked.method} ${excerpt(`${origin}${pathname}`)}`
    if (this.entries.length === 0) return `has no answer for ${what}: nothing is recorded in it`
    const times = this.matching(asked).length
    if (times > 0) return `has no answer left for ${what}: recorded ${count(times, "time")}, asked once more`
    if (this.comparison.match !== undefined) return `has no answer for ${what}: \`match\` accepts none of its requests`
    return `has no answer for ${what}; ${this.nearest(asked)}`
  }

  private nearest(asked: RequestRecord): string {
    const document = documentOf(asked, this.comparison.headers)
    const ranked = this.entries
      .map((entry, at) => {
        const found = this.differences(entry, document, maxDifferences)
        return { number: at + 1, found, far: found.filter(({ path }) => farther.has(path[0])).length }
      })
      .sort((a, b) => a.far - b.far || a.found.length - b.found.length)
    const [first, ...more] = ranked[0]?.found ?? []
    if (first === undefined) return ""
    const others = more.slice(0, 2).map(({ path }) => excerpt(show(path), 40))
    const beyond = more.length > 2 ? ` and ${more.length - 2} more` : ""
    const also = others.length === 0 ? "" : `; also ${others.join(", ")}${beyond}`
    const { recorded, asked: now } = around(first)
    return `request ${ranked[0]?.number}, the nearest, has another ${excerpt(show(first.path), 60)}: ${recorded} recorded, ${now} asked${also}`
  }
}

const count = (times: number, noun: string): string => `${times} ${noun}${times === 1 ? "" : "s"}`

const excerpt = (text: string, characters = 80): string =>
  text.length > characters ? `${text.slice(0, characters)}…` : text

/** Two values as JSON, each cut to what stands around the first character that differs. */
const around = ({ asked, recorded }: Difference): { readonly recorded: string; readonly asked: string } => {
  const [before, now] = [recorded, asked].map((value) => (value === undefined ? "nothing" : JSON.stringify(value)))
  if (before === undefined || now === undefined) return { recorded: "nothing", asked: "nothing" }
  let at = 0
  while (at < before.length && before[at] === now[at]) at++
  const from = at > 40 ? at - 20 : 0
  const part = (text: string): string => `${from > 0 ? "…" : ""}${excerpt(text.slice(from), 60)}`
  return { recorded: part(before), asked: part(now) }
}
