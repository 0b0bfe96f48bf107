/** The calls of a client, and of those that are derived from it: each with defaults of its own over what they share. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Embedder } from "../../llm/Embedder.ts"
import { Llm } from "../../llm/Llm.ts"
import * as Deadline from "../../policy/Deadline.ts"
import { heard, run } from "../Bridge.ts"
import type { Derived } from "../Client.ts"
import { checkInputs } from "../Embeddings.ts"
import { type Http, make as makeHttp } from "../Http.ts"
import { toRequest } from "../Input.ts"
import type { CallDefaults, CallOptions } from "../Options.ts"
import { make as makeSession, runOnce } from "../Session.ts"
import { mapSettled } from "../Settled.ts"
import { make as makeVectors, type Vectors } from "../Vectors.ts"
import { checkCall, checkDefaults, signalOf, toDeadline } from "./callOptions.ts"
import { logging } from "./layers.ts"
import { LateDoor } from "./openAiLateDoor.ts"
import { Chat } from "./openAiResources.ts"
import { throwUnlessOk, toExecution } from "./executed.ts"
import { over } from "./over.ts"
import { readingAnswer, readingTools } from "./reading.ts"
import { SandboxCalls } from "./sandboxCalls.ts"
import type { Standing } from "./standing.ts"
import { streamUnder, together, under } from "./whole.ts"

// Loaded with the first call for an object or with tools.
const objects = Effect.promise(() => import("./objects.ts"))

/** What all calls of one caller have, where they do not say otherwise. */
type Defaults = Omit<CallDefaults, "deadline">

/** The options of a call, over the defaults. The headers of both are sent. */
const overDefaults = <O extends CallDefaults>(defaults: Defaults, options: O | undefined): O => {
  checkCall(options)
  const { headers } = defaults
  if (headers === undefined || options?.headers === undefined) return over(defaults, options)
  return { ...over(defaults, options), headers: { ...headers, ...options.headers } }
}

export class Caller implements Derived {
  readonly http: Http
  readonly vectors: Vectors
  protected readonly standing: Standing
  private readonly defaults: Defaults
  /** In milliseconds since the epoch; `Infinity` for none. */
  private readonly deadlineAt: number
  private readonly aroundCode: SandboxCalls
  private completions: Chat | undefined

  constructor(standing: Standing, defaults: Defaults = {}, deadlineAt = Infinity) {
    const { priority, signal, tenant, timeout } = defaults
    this.standing = standing
    this.defaults = defaults
    this.deadlineAt = deadlineAt
    this.aroundCode = new SandboxCalls(deadlineAt, { priority, tenant })
    const ofCalls = { priority, signal, tenant, timeout }
    this.http = makeHttp(standing.wire, standing.calls, ofCalls, this.within)
    this.vectors = makeVectors(standing.vectors, standing.calls, ofCalls, deadlineAt)
  }

  get chat(): Chat {
    const { deadlineAt, defaults, standing } = this
    return (this.completions ??= new Chat(new LateDoor(standing.chat, standing.calls, { defaults, deadlineAt })))
  }

  generateText: Derived["generateText"] = (input, given) =>
    heard(() => {
      const options = overDefaults(this.defaults, given)
      const request = toRequest(input, options)
      return this.ask(
        Effect.flatMap(Llm, (llm) => llm.generateText(request)),
        options
      )
    })

  generateObject: Derived["generateObject"] = (schema, input, given) =>
    heard(() => {
      const options = overDefaults(this.defaults, given)
      const asked = Effect.flatMap(objects, ({ generateObject }) => generateObject(schema, input, options))
      return this.ask(this.telling(asked, "generateObject"), options)
    })

  runTools: Derived["runTools"] = (tools, input, given) =>
    heard(() => {
      const options = overDefaults(this.defaults, given)
      const asked = Effect.flatMap(objects, ({ runTools }) => runTools(tools, input, options))
      return this.ask(this.telling(asked, "runTools"), options)
    })

  // What is wrong with a stream's options fails its first pull.
  streamText: Derived["streamText"] = (input, given) => {
    const { calls, llm } = this.standing
    const events = Stream.suspend(() => {
      const options = overDefaults(this.defaults, given)
      const request = toRequest(input, options)
      return streamUnder(Stream.unwrap(Effect.map(Llm, (llm) => llm.streamText(request))), options)
    })
    return readingAnswer(this.streamWithin(events), llm, calls, signalOf(given) ?? this.defaults.signal)
  }

  streamTools: Derived["streamTools"] = (tools, input, given) => {
    const { calls, llm } = this.standing
    const events = Stream.suspend(() => {
      const options = overDefaults(this.defaults, given)
      const events = Stream.unwrap(Effect.map(objects, ({ streamTools }) => streamTools(tools, input, options)))
      return streamUnder(this.streamTelling(events, "streamTools"), options)
    })
    return readingTools(this.streamWithin(events), llm, calls, signalOf(given) ?? this.defaults.signal)
  }

  embed: Derived["embed"] = (input, options) =>
    heard(async () => {
      const { vectors } = await this.embedMany([input], options)
      return vectors[0] ?? []
    })

  embedMany: Derived["embedMany"] = (inputs, given) =>
    heard(() => {
      const options = overDefaults(this.defaults, given)
      const { priority: _priority, signal, tenant: _tenant, timeout: _timeout, ...rest } = options
      checkInputs(inputs)
      const asked = Effect.flatMap(Embedder, (embedder) => embedder.embed({ ...rest, inputs }))
      const { calls, embedder } = this.standing
      return run(this.within(under(together(asked), options)), embedder, calls, signal)
    })

  createSession: Derived["createSession"] = (options) =>
    heard(() => makeSession(this.standing.sandbox, this.standing.calls, this.stopping(options), this.aroundCode))

  executeCode: Derived["executeCode"] = (code, language = "python", given) =>
    heard(async () => {
      const options = { ...this.stopping(given), language }
      const { calls, sandbox, sandboxProvider } = this.standing
      const ran = this.aroundCode.within(runOnce(code, options), options)
      return throwUnlessOk(toExecution(await run(ran, sandbox, calls, options.signal)), options, sandboxProvider)
    })

  map: Derived["map"] = (items, f, options = {}) => {
    const { signal } = this.defaults
    return heard(() => mapSettled(items, f, over({ signal }, options), this.standing.over.signal))
  }

  with: Derived["with"] = (given) => {
    checkDefaults(given)
    const { deadline, ...rest } = given
    const deadlineAt = Math.min(this.deadlineAt, toDeadline(deadline, this.standing.now))
    return new Caller(this.standing, overDefaults(this.defaults, rest), deadlineAt)
  }

  private telling<A, E, R>(asked: Effect.Effect<A, E, R>, method: string): Effect.Effect<A, E, R> {
    return this.standing.isLogged ? Effect.flatMap(logging, ({ ofAnswers }) => ofAnswers(asked, method)) : asked
  }

  private streamTelling<A, E, R>(events: Stream.Stream<A, E, R>, method: string): Stream.Stream<A, E, R> {
    if (!this.standing.isLogged) return events
    return Stream.unwrap(Effect.map(logging, ({ ofAnswerStream }) => ofAnswerStream(events, method)))
  }

  private ask<A, E>(asked: Effect.Effect<A, E, Llm>, options: CallOptions): Promise<A> {
    const { calls, llm } = this.standing
    return run(this.within(under(asked, options)), llm, calls, options.signal)
  }

  /** What a call for code takes of the defaults. */
  private stopping<O extends Pick<CallOptions, "signal" | "timeout">>(options: O | undefined): O {
    checkCall(options)
    const { signal, timeout } = this.defaults
    return over({ signal, timeout }, options)
  }

  private readonly within = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const { deadlineAt } = this
    return deadlineAt === Infinity ? self : Effect.provideService(self, Deadline.Current, deadlineAt)
  }

  private streamWithin<A, E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    const { deadlineAt } = this
    return deadlineAt === Infinity ? self : Stream.provideService(self, Deadline.Current, deadlineAt)
  }
}
