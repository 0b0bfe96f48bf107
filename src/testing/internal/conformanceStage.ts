/** How a row is played: a server of its own, calls that are given up when they take too long, and what was seen. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Http from "node:http"
import { EmbedderError } from "../../llm/EmbedderError.ts"
import { LlmError } from "../../llm/LlmError.ts"
import { isPolicyError } from "../../policy/PolicyError.ts"
import { HttpError } from "../../promise/Http.ts"
import {
  type Call,
  type Client,
  type Ended,
  messageOf,
  type Row,
  type Seen,
  type Sending,
  type Stage,
  type Target,
  type Times
} from "./conformanceRow.ts"
import { type FailureServer, start } from "./conformanceServer.ts"
import type { Stats } from "./conformanceWire.ts"

/** Long enough for a machine that is busy: what a row is about has times of its own. */
const calm: Times = { attempt: 20_000, firstContent: 20_000, idleContent: 20_000, total: 60_000 }

/** How long the server is waited for that is to see something: it learns of a close when the packet arrives. */
const patienceMillis = 5_000

const pollMillis = 10

/** What takes the whole machine may take so many times as long. */
const heaviness = 4

/** What a kind of error is called, its own or that of what it comes from. */
const codeOf = (error: unknown): string | undefined => {
  if (LlmError.isInstance(error) || EmbedderError.isInstance(error) || HttpError.isInstance(error)) return error.code
  if (isPolicyError(error)) return error._tag
  return error instanceof Error && error.cause !== undefined ? codeOf(error.cause) : undefined
}

const textOf = (answer: unknown): string | undefined => {
  if (typeof answer === "string") return answer
  if (typeof answer !== "object" || answer === null || !("text" in answer)) return undefined
  return typeof answer.text === "string" ? answer.text : undefined
}

const sleep = (millis: number): Promise<void> => Effect.runPromise(Effect.sleep(millis))

/** What a call said until it ended. */
class Said {
  text: string | undefined
  toolCalls = 0
}

export interface Playing {
  readonly row: Row
  readonly client: Client
  /** What the client's times are where it does not take a row's. */
  readonly times?: Partial<Times> | undefined
  readonly upstream?: string | undefined
  readonly slackMillis?: number | undefined
}

export class Player implements Stage {
  readonly target: Target
  private readonly client: Client
  private readonly server: FailureServer
  private readonly behaviour: string
  private readonly limitMillis: number
  /** What went wrong when the client was closed. */
  readonly unclosed: Array<string> = []

  constructor({ client, row, slackMillis = 5_000, times }: Playing, server: FailureServer) {
    const { behaviour, retries = 2 } = row
    const own = { ...calm, ...row.times, ...times }
    const origin = `http://127.0.0.1:${server.port}/${behaviour}/1`
    this.client = client
    this.server = server
    this.behaviour = behaviour
    this.target = { id: origin, url: `${origin}/v1`, tokenUrl: `${origin}/token`, times: own, retries }
    // Of what ends by no time, as a wait that the server asks for, the limit tells how soon "now" is.
    const ending = [row.times, times].flatMap((some) => [some?.attempt, some?.firstContent, some?.idleContent])
    const slack = row.isHeavy === true ? heaviness * slackMillis : slackMillis
    this.limitMillis = slack + (retries + 1) * Math.max(0, ...ending.map((millis) => millis ?? 0))
  }

  stats = (): Stats => this.server.stats(`${this.behaviour}/1`)

  landed = (): Stats => this.server.stats("landed/1")

  ask: Stage["ask"] = (more) =>
    this.ended(more, async (call, said) => {
      said.text = textOf(await this.client.ask?.(call))
    })

  askByToken: Stage["askByToken"] = () =>
    this.ended({}, async (call, said) => {
      said.text = textOf(await this.client.askByToken?.(call))
    })

  send: Stage["send"] = (method, more) =>
    this.ended(more, async (call, said) => {
      const sending: Sending = { ...call, method }
      said.text = String((await this.client.send?.(sending))?.status)
    })

  stream: Stage["stream"] = (more, onPiece) =>
    this.ended(more, async (call, said) => {
      said.text = ""
      for await (const piece of this.client.stream?.(call) ?? []) {
        if (typeof piece === "string") said.text += piece
        else said.toolCalls++
        if ((await onPiece?.()) === false) break
      }
    })

  close: Stage["close"] = async () => {
    const closed = Effect.tryPromise({
      try: async () => this.client.close?.(this.target),
      catch: (error) => `\`close\` failed: ${messageOf(error)}`
    })
    const late = Effect.fail(`\`close\` did not end within ${this.limitMillis} ms`)
    const inTime = Effect.timeoutOrElse(closed, { duration: this.limitMillis, orElse: () => late })
    await Effect.runPromise(Effect.catch(inTime, (problem) => Effect.sync(() => this.unclosed.push(problem))))
  }

  pause: Stage["pause"] = sleep

  until: Stage["until"] = async (isSeen) => {
    for (let waited = 0; waited < patienceMillis && !isSeen(this.stats()); waited += pollMillis) await sleep(pollMillis)
  }

  closedUrl: Stage["closedUrl"] = () =>
    new Promise((resolve) => {
      const server = Http.createServer().listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        server.close(() => resolve(`http://127.0.0.1:${port}/v1`))
      })
    })

  /** How a call ended. One that takes too long is aborted, and not waited for. */
  private async ended(more: Partial<Call> = {}, run: (call: Call, said: Said) => Promise<unknown>): Promise<Ended> {
    const controller = new AbortController()
    const signal = more.signal === undefined ? controller.signal : AbortSignal.any([more.signal, controller.signal])
    const said = new Said()
    const called = Effect.tryPromise({
      try: () => run({ ...this.target, ...more, signal }, said),
      catch: (error) => error
    })
    const exit = await Effect.runPromise(Effect.timeoutOption(Effect.result(called), this.limitMillis))
    const { text, toolCalls } = said
    if (exit._tag === "None") {
      controller.abort(new Error(`the call did not end within ${this.limitMillis} ms`))
      const error = controller.signal.reason
      return { text, toolCalls, error, isFailed: true, isLate: true, code: undefined }
    }
    const result = exit.value
    if (result._tag === "Success") {
      return { text, toolCalls, error: undefined, isFailed: false, isLate: false, code: undefined }
    }
    const error = result.failure
    const code = (this.client.codeOf ?? codeOf)(error)
    return { text, toolCalls, error, isFailed: true, isLate: false, code }
  }

  /** What does not hold. */
  problems(row: Row, calls: ReadonlyArray<Ended>, isForwarded: boolean): ReadonlyArray<string> {
    const { retries } = this.target
    const stats = this.stats()
    const late = calls.filter(({ isLate }) => isLate).length
    // Of a call that did not end, nothing else is to be told.
    if (late > 0) return [`${late} of ${calls.length} calls did not end within ${this.limitMillis} ms`]
    const seen: Seen = { calls, stats, landed: this.landed(), retries, isForwarded }
    const { open } = stats
    const left = open === 0 ? [] : [`${open} requests are still open at the server`]
    return [...new Set(row.problems(seen)), ...left]
  }
}

export interface Played {
  readonly calls: ReadonlyArray<Ended>
  readonly stats: Stats
  readonly problems: ReadonlyArray<string>
}

const played = async ({ row, upstream }: Playing, player: Player): Promise<Played> => {
  const calls = await row.play(player)
  await player.until(({ open }) => open === 0)
  return { calls, problems: player.problems(row, calls, upstream !== undefined), stats: { ...player.stats() } }
}

/** Plays a row on a server of its own, and closes the client in the end, whatever that is. */
export const play = async (playing: Playing): Promise<Played> => {
  const scope = Scope.makeUnsafe()
  try {
    const server = await Effect.runPromise(Scope.provide(start({ upstream: playing.upstream }), scope))
    const player = new Player(playing, server)
    const { problems, ...rest } = await played(playing, player).finally(player.close)
    return { ...rest, problems: [...problems, ...player.unclosed] }
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
