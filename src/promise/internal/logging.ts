/**
 * What a client says while it works: retries, refusals, killed sandboxes, its closing. Never a prompt, an answer, code, a
 * key or a provider's text.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as EffectLogger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { Embedder } from "../../llm/Embedder.ts"
import type { EmbedderError } from "../../llm/EmbedderError.ts"
import { Llm } from "../../llm/Llm.ts"
import { LlmError } from "../../llm/LlmError.ts"
import { outcomeOf } from "../../policy/internal/outcome.ts"
import type { FallbackEvent } from "../../policy/Fallback.ts"
import { isPolicyError } from "../../policy/PolicyError.ts"
import { type CommandResult, type Execution, Sandbox, type Session } from "../../sandbox/Sandbox.ts"
import type { SandboxError } from "../../sandbox/SandboxError.ts"
import type { VectorError } from "../../vector/VectorError.ts"
import { VectorStore } from "../../vector/VectorStore.ts"
import type { LogFields, Logger, PlainLogger } from "../Logger.ts"

const methodOf = (level: string): keyof PlainLogger =>
  level === "Fatal" || level === "Error" ? "error" : level === "Warn" ? "warn" : level === "Info" ? "info" : "debug"

const isFields = (part: unknown): part is LogFields => typeof part === "object" && part !== null

/** A Logger of Effect that writes into a plain one: texts become the message, records and annotations the fields. */
const fromPlain = (plain: PlainLogger): EffectLogger.Logger<unknown, void> =>
  EffectLogger.make(({ cause, fiber, logLevel, message }) => {
    const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
    const text = parts.filter((part) => !isFields(part)).join(" ")
    const fields = Object.assign({}, fiber.getRef(References.CurrentLogAnnotations), ...parts.filter(isFields))
    if (cause.reasons.length > 0) fields.cause = Cause.pretty(cause)
    try {
      const written: unknown = plain[methodOf(logLevel)](text, fields)
      if (written instanceof Promise) written.catch(() => {})
    } catch {
      // A logger that fails must not fail the call that it is told of.
    }
  })

/** Sends what is logged below to this logger, from `debug` on: the logger itself knows what to leave out. */
export const toLayer = (logger: Logger): Layer.Layer<never> =>
  Layer.merge(
    EffectLogger.layer([EffectLogger.isLogger(logger) ? logger : fromPlain(logger)]),
    Layer.succeed(References.MinimumLogLevel, "Debug")
  )

/** Says that the client has closed. */
export const closed = (report: { readonly finished: number; readonly interrupted: number }): Effect.Effect<void> => {
  const { finished, interrupted } = report
  const fields = { event: "closed", finished, interrupted }
  return Effect.logInfo(`closed: ${finished} finished, ${interrupted} interrupted`, fields)
}

/** Says that a call is asked of another member of a pool or a fallback. */
export const moving = ({ error, from, to }: FallbackEvent): Effect.Effect<void> => {
  const reason = outcomeOf(error)
  return Effect.logWarning(`moved from ${from} to ${to}: ${reason}`, { event: "moved", from, to, reason })
}

/** Reasons that were told, by what is below: a failure is told once. */
const told = new WeakSet<object>()

/** Says how a call failed: a refusal loudly, since nobody below has seen the call; the caller has the error itself. */
const failed = (method: string, error: LlmError | EmbedderError | SandboxError | VectorError): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (told.has(error.reason)) return Effect.void
    told.add(error.reason)
    const reason = outcomeOf(error)
    if (isPolicyError(error.reason)) {
      return Effect.logWarning(`${method} was refused: ${reason}`, { event: "refused", method, reason })
    }
    return Effect.logDebug(`${method} failed: ${reason}`, { event: "failed", method, reason })
  })

/** The same call of several answers, which says how it fails. */
export const ofAnswers = <A, E, R>(self: Effect.Effect<A, E, R>, method: string): Effect.Effect<A, E, R> =>
  Effect.tapError(self, (error) => (error instanceof LlmError ? failed(method, error) : Effect.void))

/** The same for a stream. */
export const ofAnswerStream = <A, E, R>(self: Stream.Stream<A, E, R>, method: string): Stream.Stream<A, E, R> =>
  Stream.tapError(self, (error) => (error instanceof LlmError ? failed(method, error) : Effect.void))

/** The same `Embedder`, which says how its calls fail. */
export const ofEmbedder = <E>(layer: Layer.Layer<Embedder, E>): Layer.Layer<Embedder, E> =>
  Layer.flatMap(layer, (context) => {
    const { embed } = Context.get(context, Embedder)
    return Layer.succeed(Embedder, {
      embed: (request) => Effect.tapError(embed(request), (error) => failed("embed", error))
    })
  })

/** The same `VectorStore`, which says how its calls fail. */
export const ofVectors = <E>(layer: Layer.Layer<VectorStore, E>): Layer.Layer<VectorStore, E> =>
  Layer.flatMap(layer, (context) => {
    const store = Context.get(context, VectorStore)
    const telling = <A>(method: string, self: Effect.Effect<A, VectorError>): Effect.Effect<A, VectorError> =>
      Effect.tapError(self, (error) => failed(method, error))
    return Layer.succeed(VectorStore, {
      ...store,
      upsert: (item) => telling("upsert", store.upsert(item)),
      upsertMany: (items) => telling("upsertMany", store.upsertMany(items)),
      search: (query) => telling("search", store.search(query)),
      searchMany: (queries) => telling("searchMany", store.searchMany(queries)),
      remove: (which) => telling("remove", store.remove(which)),
      get: (ids, options) => telling("get", store.get(ids, options)),
      count: (filter) => telling("count", store.count(filter))
    })
  })

/** The same `Llm`, which says how its calls fail. */
export const ofLlm = <E>(layer: Layer.Layer<Llm, E>): Layer.Layer<Llm, E> =>
  Layer.flatMap(layer, (context) => {
    const { generateText, streamText } = Context.get(context, Llm)
    return Layer.succeed(Llm, {
      generateText: (request) => Effect.tapError(generateText(request), (error) => failed("generateText", error)),
      streamText: (request) => Stream.tapError(streamText(request), (error) => failed("streamText", error))
    })
  })

const ended = (session: string, execution: Execution): Effect.Effect<void> => {
  const { durationMillis: durationMs, outcome, sessionState } = execution
  if (outcome !== "timedOut" && sessionState === "kept") return Effect.void
  const what = sessionState === "lost" ? "was killed" : "was stopped"
  const fields = { event: "sandboxKilled", session, outcome, sessionState, durationMs }
  return Effect.logWarning(`the run in session ${session} ${what}: ${outcome}`, fields)
}

const stopped = (session: string, { durationMillis: durationMs, outcome }: CommandResult): Effect.Effect<void> => {
  if (outcome !== "timedOut") return Effect.void
  const fields = { event: "sandboxKilled", session, outcome, sessionState: "kept", durationMs }
  return Effect.logWarning(`the command in session ${session} was killed: ${outcome}`, fields)
}

const ofSession = (session: Session): Session => ({
  ...session,
  runCommand: (command, options) =>
    session.runCommand(command, options).pipe(
      Effect.tap((result) => stopped(session.id, result)),
      Effect.tapError((error) => failed("runCommand", error))
    ),
  streamCommand: (command, options) =>
    session.streamCommand(command, options).pipe(
      Stream.tap((event) => (event.type === "done" ? stopped(session.id, event.result) : Effect.void)),
      Stream.tapError((error) => failed("streamCommand", error))
    ),
  runCode: (code, options) =>
    session.runCode(code, options).pipe(
      Effect.tap((execution) => ended(session.id, execution)),
      Effect.tapError((error) => failed("runCode", error))
    ),
  streamCode: (code, options) =>
    session.streamCode(code, options).pipe(
      Stream.tap((event) => (event.type === "done" ? ended(session.id, event.execution) : Effect.void)),
      Stream.tapError((error) => failed("streamCode", error))
    )
})

/** The same `Sandbox`, which says when it stops or kills a run, and how its calls fail. */
export const ofSandbox = <E>(layer: Layer.Layer<Sandbox, E>): Layer.Layer<Sandbox, E> =>
  Layer.flatMap(layer, (context) => {
    const { create } = Context.get(context, Sandbox)
    return Layer.succeed(Sandbox, {
      create: (options) =>
        create(options).pipe(
          Effect.map(ofSession),
          Effect.tapError((error) => failed("createSession", error))
        )
    })
  })
