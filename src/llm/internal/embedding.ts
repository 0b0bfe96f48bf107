/**
 * The service of a wire format of embeddings: it splits a call by what the provider takes at once, runs the parts under
 * the policy, puts their vectors into the order of the inputs, and keeps what is finished when a part fails.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type * as Redacted from "effect/Redacted"
import type { Attempt } from "../../policy/Attempt.ts"
import * as Deadline from "../../policy/Deadline.ts"
import type * as Policy from "../../policy/Policy.ts"
import { Embedder, type Embeddings, type Request, type Vector } from "../Embedder.ts"
import { EmbedderError } from "../EmbedderError.ts"
import { ContextLengthExceeded, InvalidRequest, InvalidResponse, type Reason } from "../LlmError.ts"
import * as Price from "../Price.ts"
import * as Usage from "../Usage.ts"
import { tokensOf } from "./estimate.ts"
import type { Operation } from "./telemetry.ts"
import { type Api, counted, isReason, Story, told, Transport } from "./transport.ts"
import { differing } from "./vectors.ts"

/** The vectors of one request, in the order of its inputs. */
export interface Decoded {
  readonly vectors: ReadonlyArray<Vector>
  /** Absent where the provider does not count. */
  readonly usage: Usage.Usage | undefined
  readonly model: string | undefined
}

/** What a wire format is to the calls around it: pure functions, no I/O. */
export interface Protocol extends Api {
  /** Inputs of one request. */
  readonly maxInputs: number
  /** Tokens of one request, `Infinity` where the provider names no limit. */
  readonly maxTokens: number
  /** Requests of one call at a time. */
  readonly concurrency: number
  /** Of the vectors, where a request names none. */
  readonly dimensions: number | undefined
  readonly encode: (
    request: Request,
    inputs: ReadonlyArray<string>,
    token: Redacted.Redacted<string> | undefined
  ) => HttpClientRequest
  /** Reads a body with a 2xx status. */
  readonly decode: (body: string, inputs: number) => Decoded | Reason
}

/** Why a request is not sent at all: an empty text has no meaning, and providers refuse all that is beside it. */
export const refusalOf = ({ inputs }: Request): InvalidRequest | undefined => {
  const place = inputs.indexOf("")
  return place === -1
    ? undefined
    : new InvalidRequest({ description: `inputs[${place}] is an empty text, which has no vector` })
}

/** The inputs of one request. */
export interface Part {
  /** The place of its first input. */
  readonly from: number
  readonly inputs: ReadonlyArray<string>
}

const encoder = new TextEncoder()

/**
 * The most tokens that a text can be: its bytes. In tokenizers over bytes (all of OpenAI's) no token has less than one, so
 * a request that is filled by this count is never over its limit. A guess would be: for each byte, cl100k_base makes 0.21
 * tokens of English, 0.65 of hexadecimal, 0.73 of emoji and 1.00 of rare scripts (js-tiktoken, 2026-11). Requests of
 * English are filled to a quarter, then; four at a time, with 75 000 tokens and a second each, are 18 million a minute.
 */
const mostTokens = (text: string): number => encoder.encode(text).length

/** Splits by count and by tokens. A part has one input at least, however long it is. */
export const split = (inputs: ReadonlyArray<string>, maxInputs: number, maxTokens: number): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  let from = 0
  let tokens = 0
  for (const [place, input] of inputs.entries()) {
    const own = mostTokens(input)
    if (place > from && (place - from >= maxInputs || tokens + own > maxTokens)) {
      parts.push({ from, inputs: inputs.slice(from, place) })
      from = place
      tokens = 0
    }
    tokens += own
  }
  if (inputs.length > from) parts.push({ from, inputs: inputs.slice(from) })
  return parts
}

/** What a part is asked with: under a key of its own, the same whenever it is sent. */
const keyed = (request: Request, { from }: Part): Request =>
  request.idempotencyKey === undefined || from === 0
    ? request
    : { ...request, idempotencyKey: `${request.idempotencyKey}-${from + 1}` }

/** The service over a client and an open policy. */
export const make = (protocol: Protocol, http: HttpClient.HttpClient, held: Policy.Held): Embedder["Service"] => {
  const transport = new Transport(protocol, http, held)
  return Embedder.of({
    embed: (request) =>
      Effect.contextWith((context: Context.Context<never>) => {
        const model = request.model ?? protocol.model
        const operation = transport.meter.begin(context, "embeddings", model, {}, false)
        const call = new EmbedCall(protocol, transport, request, operation, context)
        return operation.observe(call.run)
      })
  })
}

/** A request under way. */
class Sending {
  readonly part: Part
  readonly story = new Story()
  /** Completed when nobody waits for this part any more. */
  readonly givenUp = Deferred.makeUnsafe<void>()
  /** Sends on their way: a hedge makes them two. */
  private onTheirWay = 0
  private isAnswered = false

  constructor(part: Part) {
    this.part = part
  }

  /** It is paid for: what comes of it is kept. */
  get isPaid(): boolean {
    return this.onTheirWay > 0 || this.isAnswered
  }

  /** Counts a send from its beginning to its end. `onFailure` runs when it is over without an answer. */
  counting<A, E>(send: Effect.Effect<A, E>, onFailure: () => void): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      this.onTheirWay++
      return Effect.onExitPrimitive(send, (exit) => {
        this.onTheirWay--
        if (Exit.isSuccess(exit)) this.isAnswered = true
        else onFailure()
        return undefined
      })
    })
  }
}

/** Enough to end what is on its way before whoever set a deadline interrupts all of it. */
const graceMillis = 50

/** One call, of as many requests as its inputs need. */
class EmbedCall {
  private readonly protocol: Protocol
  private readonly transport: Transport
  private readonly request: Request
  private readonly operation: Operation
  private readonly context: Context.Context<never>
  private readonly vectors: Array<Vector | undefined>
  private readonly begun: Array<Sending> = []
  private finished = 0
  /** Of the vectors that are here. */
  private length: number | undefined
  private usage: Usage.Usage = Usage.empty
  private model: string
  /** The first failure: after it no request begins. */
  private failure: { readonly reason: Reason; readonly story: Story } | undefined

  constructor(
    protocol: Protocol,
    transport: Transport,
    request: Request,
    operation: Operation,
    context: Context.Context<never>
  ) {
    this.protocol = protocol
    this.transport = transport
    const dimensions = request.dimensions ?? protocol.dimensions
    this.request = { ...request, dimensions }
    this.operation = operation
    this.context = context
    this.vectors = Array.from({ length: request.inputs.length })
    this.model = request.model ?? protocol.model
    if (dimensions !== undefined) operation.span?.attribute("gen_ai.embeddings.dimension.count", dimensions)
  }

  get run(): Effect.Effect<Embeddings, EmbedderError> {
    const refused = refusalOf(this.request)
    if (refused !== undefined) return Effect.fail(this.error(refused, new Story()))
    const { concurrency, maxInputs, maxTokens } = this.protocol
    const parts = split(this.request.inputs, maxInputs, maxTokens)
    const [only, second] = parts
    const ran =
      only !== undefined && second === undefined
        ? this.one(only)
        : Effect.forEach(parts, (part) => this.oneOfMany(part), {
            concurrency: Math.max(1, concurrency),
            discard: true
          })
    const watched = Effect.onInterrupt(this.inTime(ran), () => Effect.sync(() => this.operation.interrupted(this.used)))
    return Effect.flatMap(watched, () => this.end())
  }

  /** The parts fail by themselves a moment before the deadline around them, so that what is finished is told. */
  private inTime<A, E>(parts: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const at = Context.get(this.context, Deadline.Current)
    if (at === Infinity) return parts
    return Effect.clockWith((clock) => {
      const left = Math.max(0, at - clock.currentTimeMillisUnsafe())
      return Effect.provideService(parts, Deadline.Current, at - Math.min(graceMillis, left / 10))
    })
  }

  /** What the parts have come to. */
  private end(): Effect.Effect<Embeddings, EmbedderError> {
    const { failure, model, usage } = this
    if (failure === undefined) {
      const vectors = this.vectors.filter((vector) => vector !== undefined)
      return Effect.succeed({ vectors, usage, cost: this.cost, model, attempts: this.attempts })
    }
    const error = this.error(failure.reason, failure.story)
    this.operation.failed(error.code, error, this.used)
    return Effect.fail(error)
  }

  /** What is known to be used. */
  private get used(): Usage.Usage | undefined {
    return this.usage === Usage.empty ? undefined : this.usage
  }

  private error(reason: Reason, story: Story): EmbedderError {
    const { attempts, cost, finished, usage, vectors } = this
    return new EmbedderError({
      provider: this.protocol.provider,
      reason: told(reason, story),
      attempts,
      requestId: story.requestId,
      headers: story.refusalHeaders,
      inputs: vectors.length,
      finished,
      usage,
      cost,
      vectors
    })
  }

  private get cost(): number | undefined {
    return Price.costOf(Context.get(this.context, Price.Table), this.model, this.usage)
  }

  /** Of all requests, in the order of their sends. */
  private get attempts(): ReadonlyArray<Attempt> {
    const [only, second] = this.begun
    if (only !== undefined && second === undefined) return only.story.recorder.attempts
    const all = this.begun.flatMap(({ story }) => story.recorder.attempts)
    return all.sort((a, b) => a.startMillis - b.startMillis)
  }

  /** Runs a part, unless another has failed before its turn; and gives it up where another fails while it only waits. */
  private oneOfMany(part: Part): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.failure !== undefined) return Effect.void
      const sending = new Sending(part)
      return Effect.raceFirst(this.one(part, sending), Deferred.await(sending.givenUp))
    })
  }

  /** One request under the policy, its end noted. */
  private one(part: Part, sending = new Sending(part)): Effect.Effect<void> {
    this.begun.push(sending)
    const { story } = sending
    const call: Policy.Call = {
      key: this.protocol.key,
      safety: "idempotent",
      recorder: story.recorder,
      estimate: () => ({ inputTokens: tokensIn(part), maxTokens: 0 }),
      usage: () => story.usage
    }
    const sent = sending.counting(this.send(part, story), () => this.giveUp(sending))
    const ended = Effect.match(this.transport.held.apply(call)(sent), {
      onFailure: (reason) => this.fail(describe(reason, part), story),
      onSuccess: (decoded) => this.finish(part, decoded, story)
    })
    return this.transport.isWatched(this.context) ? Effect.onInterrupt(ended, () => this.abandoned(sending)) : ended
  }

  /** A request that is given up under way may be paid for all the same. */
  private abandoned({ part, story }: Sending): Effect.Effect<void> {
    return Effect.sync(() => {
      if (story.recorder.attempts.at(-1)?.outcome !== "interrupted") return
      this.transport.spent(this.context, this.model, estimated(part), "interrupted")
    })
  }

  private send(part: Part, story: Story): Effect.Effect<Decoded, Reason> {
    const { inputs } = part
    const request = keyed(this.request, part)
    const exchanged = this.transport.exchange((token) => this.protocol.encode(request, inputs, token), story)
    return this.transport.receive(exchanged, story, (text) => {
      const decoded = this.protocol.decode(text, inputs.length)
      if (isReason(decoded)) return Effect.fail(decoded)
      story.usage = decoded.usage && counted(decoded.usage)
      const unlike = this.unlike(decoded.vectors[0])
      return unlike === undefined ? Effect.succeed(decoded) : Effect.fail(unlike)
    })
  }

  /** A server that does not shorten vectors does not do so the next time either. */
  private unlike(vector: Vector | undefined): InvalidResponse | undefined {
    const { dimensions } = this.request
    if (dimensions === undefined || vector === undefined || vector.length === dimensions) return undefined
    const description = `asked for vectors of ${dimensions} numbers, got ${vector.length}; leave \`dimensions\` out, or take a model that can shorten its own`
    return new InvalidResponse({ description, delivered: true })
  }

  private finish(part: Part, decoded: Decoded, story: Story): void {
    const { vectors } = decoded
    const usage = story.usage ?? estimated(part)
    this.model = decoded.model ?? this.model
    this.usage = this.used === undefined ? usage : Usage.add(this.usage, usage)
    this.transport.spent(this.context, this.model, usage, "ok")
    const own = vectors[0]?.length ?? 0
    this.length ??= own
    // The model behind the address became another one in the middle of the call.
    if (this.length !== own) return this.fail(differing(this.length, own), story)
    for (const [place, vector] of vectors.entries()) this.vectors[part.from + place] = vector
    this.finished += vectors.length
  }

  private fail(reason: Reason, story: Story): void {
    if (this.failure !== undefined) return
    this.failure = { reason, story }
    for (const sending of this.begun) this.giveUp(sending)
  }

  /** Ends the wait of a part, after a failure of another, where nothing of it is on its way. */
  private giveUp(sending: Sending): void {
    if (this.failure !== undefined && !sending.isPaid) Deferred.doneUnsafe(sending.givenUp, Effect.void)
  }
}

const tokensIn = ({ inputs }: Part): number => inputs.reduce((sum, input) => sum + tokensOf(input), 0)

/** What nobody has counted. */
const estimated = (part: Part): Usage.Usage => ({ inputTokens: tokensIn(part), outputTokens: 0, isEstimate: true })

/** Providers do not say which of the texts is too long. */
const describe = (reason: Reason, { from, inputs }: Part): Reason => {
  if (reason._tag !== "ContextLengthExceeded" || inputs.length === 1) return reason
  let longest = 0
  for (const [place, input] of inputs.entries()) if (input.length > (inputs[longest]?.length ?? 0)) longest = place
  const { description, status } = reason
  return new ContextLengthExceeded({
    description: `${description}; the longest text of this request is inputs[${from + longest}]`,
    status
  })
}
