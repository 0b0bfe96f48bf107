/** The calls of a client, and of those that are derived from it: each with defaults of its own over what they share. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Embedder } from "../../llm/Embedder.ts"
import { Llm } from "../../llm/Llm.ts"
import * as Deadline from "../../policy/Deadline.ts"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import { SandboxError } from "../../sandbox/SandboxError.ts"
import { heard, run } from "../Bridge.ts"
import type { Derived } from "../Client.ts"
import { checkInputs } from "../Embeddings.ts"
import { type Http, make as makeHttp } from "../Http.ts"
import { toRequest } from "../Input.ts"
import { ofAnswers, ofAnswerStream } from "../Logger.ts"
import { generateObject, runTools, streamTools } from "../Objects.ts"
import type { CallDefaults, CallOptions } from "../Options.ts"
import { make as makeSession, runOnce, throwUnlessOk, toExecution } from "../Session.ts"
import { mapSettled } from "../Settled.ts"
import { checkCall, checkDefaults, signalOf, toDeadline } from "./callOptions.ts"
import { over } from "./over.ts"
import { readingAnswer, readingTools } from "./reading.ts"
import type { Standing } from "./standing.ts"
import { streamUnder, together, under } from "./whole.ts"

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
  protected readonly standing: Standing
  private readonly defaults: Defaults
  /** In milliseconds since the epoch; `Infinity` for none. */
  private readonly deadlineAt: number

  constructor(standing: Standing, defaults: Defaults = {}, deadlineAt = Infinity) {
    const { priority, signal, tenant, timeout } = defaults
    this.standing = standing
    this.defaults = defaults
    this.deadlineAt = deadlineAt
    const http = makeHttp(standing.wire, standing.calls, { priority, signal, tenant, timeout }, this.within)
    this.http = http
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
      return this.ask(this.telling(generateObject(schema, input, options), "generateObject"), options)
    })

  runTools: Derived["runTools"] = (tools, input, given) =>
    heard(() => {
      const options = overDefaults(this.defaults, given)
      return this.ask(this.telling(runTools(tools, input, options), "runTools"), options)
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
    const { calls, isLogged, llm } = this.standing
    const events = Stream.suspend(() => {
      const options = overDefaults(this.defaults, given)
      const events = streamTools(tools, input, options)
      return streamUnder(isLogged ? ofAnswerStream(events, "streamTools") : events, options)
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
    heard(() => makeSession(this.standing.sandbox, this.standing.calls, this.stopping(options), this.sandboxWithin))

  executeCode: Derived["executeCode"] = (code, language = "python", given) =>
    heard(async () => {
      const options = { ...this.stopping(given), language }
      const { calls, sandbox } = this.standing
      const ran = this.sandboxWithin(runOnce(code, options))
      return throwUnlessOk(toExecution(await run(ran, sandbox, calls, options.signal)), options)
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
    return this.standing.isLogged ? ofAnswers(asked, method) : asked
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

  /** A sandbox knows no deadline: its calls are interrupted at the end. */
  private readonly sandboxWithin = <A, R>(
    self: Effect.Effect<A, SandboxError, R>
  ): Effect.Effect<A, SandboxError, R> => {
    const { deadlineAt } = this
    if (deadlineAt === Infinity) return self
    return Effect.withFiber((fiber) => {
      const totalMillis = Math.max(0, deadlineAt - fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())
      const reason = new DeadlineExceeded({ key: "sandbox", totalMillis, phase: "maybeSent" })
      return Timer.within(self, totalMillis, () => new SandboxError({ provider: "sandbox", reason }))
    })
  }
}
