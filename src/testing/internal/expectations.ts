/** Replies for the calls that match, and what is said of a call that matches nothing: what came nearest, and what differs. */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import { type Script, take } from "./script.ts"

/**
 * Which calls: those whose text contains a text or matches a pattern, those that a function says yes to, or those with
 * these fields.
 */
export type Match<Request> = string | RegExp | ((request: Request) => boolean) | Partial<Request>

/** What calls that match get: a script of its own, its sequence and its numbers counted among them. */
export interface Expectation<Request, Reply, Error> {
  readonly when: Match<Request>
  readonly reply: Script<Request, Reply, Error>
}

/** A script, or one for each kind of call; the first that matches replies. */
export type Scripts<Request, Reply, Error> =
  | Script<Request, Reply, Error>
  | ReadonlyArray<Expectation<Request, Reply, Error>>

/** What a double says of its own: the text of a request, and its error. */
export interface Double<Request, Error> {
  /** What a text or a pattern is looked for in. */
  readonly textOf: (request: Request) => string
  readonly fail: (description: string, request: Request) => Error
}

/** Replies to one call after the other. A script with expectations counts, so it is read anew for each double. */
export const reader = <Request extends object, Reply extends string | object, Error>(
  scripts: Scripts<Request, Reply, Error>,
  { fail, textOf }: Double<Request, Error>
): ((request: Request, call: number) => Effect.Effect<Reply, Error>) => {
  if (!areExpectations(scripts))
    return (request, call) => take(scripts, request, call, (description) => fail(description, request))
  const counts = scripts.map(() => 0)
  return (request, call) => {
    const text = textOf(request)
    const at = scripts.findIndex(({ when }) => differences(when, request, text).length === 0)
    const found = scripts[at]
    if (found === undefined) return Effect.fail(fail(unmatched(scripts, request, text, call), request))
    const matched = (counts[at] = (counts[at] ?? 0) + 1)
    return take(found.reply, request, matched, (description) =>
      fail(`of those that match ${show(found.when)}, ${description}`, request)
    )
  }
}

const areExpectations = <Request, Reply, Error>(
  scripts: Scripts<Request, Reply, Error>
): scripts is ReadonlyArray<Expectation<Request, Reply, Error>> =>
  Array.isArray(scripts) &&
  scripts.length > 0 &&
  scripts.every((entry) => typeof entry === "object" && entry !== null && "when" in entry && "reply" in entry)

/** One thing in which a call is not what was expected, and how near it came, 0 to 1. */
interface Difference {
  readonly said: string
  readonly nearness: number
}

const differences = <Request extends object>(
  match: Match<Request>,
  request: Request,
  text: string
): ReadonlyArray<Difference> => {
  if (typeof match === "string") return text.includes(match) ? [] : [textDifference(match, text)]
  // A pattern that is global or sticky remembers where it was.
  if (match instanceof RegExp)
    return new RegExp(match, match.flags.replace(/[gy]/g, "")).test(text) ? [] : [patternDifference(match, text)]
  if (typeof match === "function") return match(request) ? [] : [{ said: "it says no", nearness: 0 }]
  const expected = Object.entries(match)
  const actual = new Map(Object.entries(request))
  const wrong = expected.filter(([key, value]) => !Equal.equals(actual.get(key), value))
  const nearness = 1 - wrong.length / expected.length
  return wrong.map(([key, value]) => ({ said: `${key} is ${show(actual.get(key))} and not ${show(value)}`, nearness }))
}

/** The longest beginning of what is looked for that is there, and what comes after it. */
const textDifference = (expected: string, text: string): Difference => {
  // Enough to find what a person wrote, and quick when a prompt is a whole book.
  const searched = text.slice(0, 10_000)
  let length = 0
  let end = 0
  for (let at = 0; at < searched.length; at++) {
    let same = 0
    while (same < expected.length && searched[at + same] === expected[same]) same++
    if (same > length) [length, end] = [same, at + same]
  }
  const words = wordsNearness(expected, text)
  if (length === 0) return { said: "nothing of it is there", nearness: words }
  const rest = (of: string): string => show(of.slice(0, 20))
  const after = `after ${show(expected.slice(0, length).slice(-20))}`
  const came = end >= text.length ? "the text ends" : `comes ${rest(searched.slice(end))}`
  return {
    said: `${after} ${came} and not ${rest(expected.slice(length))}`,
    nearness: Math.max(length / expected.length, words)
  }
}

const patternDifference = (pattern: RegExp, text: string): Difference => {
  const words = wordsOf(pattern.source.replace(/\\./g, " "))
  const missing = words.filter((word) => !text.toLowerCase().includes(word))
  // Of alternatives, one would have been enough.
  if (pattern.source.includes("|"))
    return { said: "it does not match", nearness: missing.length < words.length ? 0.5 : 0 }
  const said =
    missing.length === 0 ? "it does not match" : `there is no ${missing.map((word) => show(word)).join(", no ")}`
  return { said, nearness: wordsNearness(words.join(" "), text) }
}

const wordsOf = (text: string): ReadonlyArray<string> => text.toLowerCase().match(/[\p{L}\p{N}]{2,}/gu) ?? []

/** The share of words that are there, always below 1: what matches does not come here. */
const wordsNearness = (expected: string, text: string): number => {
  const words = wordsOf(expected)
  const there = words.filter((word) => text.toLowerCase().includes(word)).length
  return words.length === 0 ? 0 : (0.9 * there) / words.length
}

const unmatched = <Request extends object, Reply, Error>(
  scripts: ReadonlyArray<Expectation<Request, Reply, Error>>,
  request: Request,
  text: string,
  call: number
): string => {
  const judged = scripts.map(({ when }, at) => {
    const found = differences(when, request, text)
    return { at, when, said: found.map(({ said }) => said).join("; "), nearness: found[0]?.nearness ?? 0 }
  })
  const [nearest] = judged.toSorted((a, b) => b.nearness - a.nearness)
  const said =
    nearest === undefined
      ? ""
      : `; the nearest of ${scripts.length} is number ${nearest.at + 1}, ${show(nearest.when)}: ${nearest.said}`
  return `nothing matches call ${call}, ${show(text)}${said}`
}

// A message is read in a terminal: a line or two of each.
const maxShown = 160

const show = (value: unknown): string => {
  if (typeof value === "function") return value.name === "" || value.name === "when" ? "a function" : value.name
  const text = value instanceof RegExp ? String(value) : (JSON.stringify(value) ?? "absent")
  return text.length > maxShown ? `${text.slice(0, maxShown)}...` : text
}
