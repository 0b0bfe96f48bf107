/** What a row of the failure table is, and what is expected of a client that meets it. */
import type { Stats } from "./conformanceWire.ts"

/** How long a client is to wait, in milliseconds, by the names of `createClient`'s `timeout`. */
export interface Times {
  readonly attempt: number
  readonly firstContent: number
  readonly idleContent: number
  readonly total: number
}

/** What a client is made for: the server of one row. */
export interface Target {
  /** Which server this is: one for each play of a row. */
  readonly id: string
  /** The base URL of chat completions. It ends in `/v1`. */
  readonly url: string
  /** Where a pair of keys is exchanged for a token. */
  readonly tokenUrl: string
  readonly times: Times
  /** Sends after the first. */
  readonly retries: number
}

/** What one call is told beside it. */
export interface Call extends Target {
  /** The row aborts it, or nobody does. */
  readonly signal: AbortSignal
  /** A key for the call, which each send is to carry. Most rows give none. */
  readonly idempotencyKey?: string | undefined
}

/** What a stream says: words, or a tool's call. */
export type Piece = string | { readonly toolCall: unknown }

/** An HTTP request that has no meaning of its own. */
export interface Sending extends Call {
  readonly method: "GET" | "POST"
}

/** The code under test, by what it can do. Rows that need more are skipped, and say so. */
export interface Client {
  /** Asks for a whole answer: a text, or an object with a `text`. */
  readonly ask?: ((call: Call) => Promise<unknown>) | undefined
  /** Asks for a streamed answer. */
  readonly stream?: ((call: Call) => AsyncIterable<Piece>) | undefined
  /** Sends a request of any kind to the address, with a body that is up to the client for a POST. */
  readonly send?: ((call: Sending) => Promise<{ readonly status: number }>) | undefined
  /** Asks with a token from `tokenUrl`, where it is `{ access_token, expires_in }`. */
  readonly askByToken?: ((call: Call) => Promise<unknown>) | undefined
  /** Closes what was opened for this server. Called at the end of each row, and by the row that is about it. */
  readonly close?: ((target: Target) => Promise<unknown>) | undefined
  /**
   * The reason of a failure, by the codes of holdfast. Default: the code of holdfast's own errors, also where one is the
   * `cause`; of other errors none, and the rows then do not ask for a reason.
   */
  readonly codeOf?: ((error: unknown) => string | undefined) | undefined
}

export type Ability = Exclude<keyof Client, "codeOf">

/** How one call ended. */
export interface Ended {
  /** What was said, whole or until the failure. `undefined` where the client tells no text. */
  readonly text: string | undefined
  readonly toolCalls: number
  readonly isFailed: boolean
  readonly error: unknown
  /** The reason, where it is known. */
  readonly code: string | undefined
  /** It did not end in the time that it had, and was given up. */
  readonly isLate: boolean
}

/** What a row has seen when its calls have ended. */
export interface Seen {
  readonly calls: ReadonlyArray<Ended>
  readonly stats: Stats
  /** What came to the other origin. */
  readonly landed: Stats
  readonly retries: number
  /** Whether good answers are those of an endpoint, whose words nobody knows. */
  readonly isForwarded: boolean
}

/** What a row plays on. */
export interface Stage {
  readonly target: Target
  readonly stats: () => Stats
  readonly ask: (more?: Partial<Call>) => Promise<Ended>
  readonly askByToken: () => Promise<Ended>
  /** `onPiece` is waited for; `false` leaves the loop. */
  readonly stream: (more?: Partial<Call>, onPiece?: () => Promise<boolean>) => Promise<Ended>
  readonly send: (method: Sending["method"], more?: Partial<Call>) => Promise<Ended>
  readonly close: () => Promise<unknown>
  /** Waits for so many milliseconds. */
  readonly pause: (millis: number) => Promise<void>
  /** Waits until the server has seen this; five seconds at the most. */
  readonly until: (isSeen: (stats: Stats) => boolean) => Promise<void>
  /** An address at which nobody listens. */
  readonly closedUrl: () => Promise<string>
}

/** One row of the failure table. */
export interface Row {
  /** Its name in the table; several rows may be about the same. */
  readonly id: string
  /** The id and what must hold, as the title of a test. No two rows have the same. */
  readonly name: string
  /** What the server does. */
  readonly server: string
  /** What a client has to be able to do. */
  readonly needs: ReadonlyArray<Ability>
  /** How the server behaves, by its own name for it. */
  readonly behaviour: string
  readonly times?: Partial<Times> | undefined
  /** Default: 2. */
  readonly retries?: number | undefined
  /** It takes the whole machine: nothing else is to be played meanwhile. Default: `false`. */
  readonly isHeavy?: boolean | undefined
  readonly play: (stage: Stage) => Promise<ReadonlyArray<Ended>>
  /** What does not hold, in words. */
  readonly problems: (seen: Seen) => ReadonlyArray<string>
}

export interface Expected {
  /** Requests that are to reach the server: so many, or from so many to so many. */
  readonly requests?: number | readonly [least: number, most: number] | ((retries: number) => number) | undefined
  /** The call fails, where the reason is known with one of these. */
  readonly fails?: ReadonlyArray<string> | undefined
  /** The call ends well, with this text. `"hello world"` is that of a good answer, whoever gives it. */
  readonly text?: string | undefined
  /** What a stream has said until it failed. */
  readonly partial?: string | undefined
}

const countProblem = (seen: Seen, requests: NonNullable<Expected["requests"]>): string | false => {
  const given = typeof requests === "function" ? requests(seen.retries) : requests
  const [least, most] = typeof given === "number" ? [given, given] : given
  const { requests: came } = seen.stats
  const wanted = least === most ? `${least}` : `${least} to ${most}`
  return (came < least || came > most) && `${came} requests reached the server, ${wanted} were expected`
}

const quoted = (text: string | undefined): string => JSON.stringify(text ?? "").slice(0, 80)

export const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, 200)

const failureProblem = (ended: Ended, codes: ReadonlyArray<string>): string | false => {
  if (!ended.isFailed) return `the call succeeded with ${quoted(ended.text)}, a failure was expected`
  const isOther = ended.code !== undefined && !codes.includes(ended.code)
  return isOther && `the call failed with ${ended.code}, ${codes.join(" or ")} was expected`
}

const textProblem = ({ error, isFailed, text }: Ended, wanted: string, isForwarded: boolean): string | false => {
  if (isFailed) return `the call failed: ${messageOf(error)}`
  if (text === undefined) return false
  const isAny = isForwarded && wanted === "hello world"
  const isRight = isAny ? text !== "" : text === wanted
  return !isRight && `the answer was ${quoted(text)}, ${isAny ? "some words were" : `${quoted(wanted)} was`} expected`
}

/** What is wrong of what these say. */
export const expects =
  ({ fails, partial, requests, text }: Expected) =>
  (seen: Seen): ReadonlyArray<string> =>
    [
      requests !== undefined && countProblem(seen, requests),
      ...seen.calls.flatMap((ended) => [
        fails !== undefined && failureProblem(ended, fails),
        text !== undefined && textProblem(ended, text, seen.isForwarded),
        partial !== undefined &&
          !seen.isForwarded &&
          ended.text !== partial &&
          `the stream had said ${quoted(ended.text)}, ${quoted(partial)} was expected`
      ])
    ].filter((problem) => problem !== false)

type Making = Omit<Row, "name" | "needs" | "play"> &
  Partial<Pick<Row, "needs" | "play">> & {
    /** What must hold, in the present. */
    readonly holds: string
  }

/** A row of one whole answer, where it does not say otherwise. */
export const asking = ({ holds, ...rest }: Making): Row => ({
  needs: ["ask"],
  play: async (stage) => [await stage.ask()],
  ...rest,
  name: `${rest.id}: ${holds}`
})

/** A row of one streamed answer, where it does not say otherwise. */
export const streaming = ({ holds, ...rest }: Making): Row => ({
  needs: ["stream"],
  play: async (stage) => [await stage.stream()],
  ...rest,
  name: `${rest.id}: ${holds}`
})
