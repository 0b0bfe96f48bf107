/**
 * A streamed call: opened under the policy, read by its consumer, and taken up again where it broke, if that is wanted.
 * All sends of it are one call: its retries, its deadline and its budgets are theirs together.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as EventStream from "../../http/EventStream.ts"
import { headerOf } from "../../http/internal/source.ts"
import type * as Policy from "../../policy/Policy.ts"
import { AttemptTimeout } from "../../policy/PolicyError.ts"
import type { Retryable } from "../../policy/Retryable.ts"
import type * as Timeout from "../../policy/Timeout.ts"
import * as Timer from "../../policy/Timer.ts"
import type { Request, StreamEvent } from "../Llm.ts"
import { FirstContentTimeout, InvalidResponse, type LlmError, type Reason } from "../LlmError.ts"
import { turn } from "../Message.ts"
import * as Usage from "../Usage.ts"
import type { Calls } from "./calls.ts"
import { estimateOf, tokensOf } from "./estimate.ts"
import { reasonOfHttpError } from "../../http/internal/serviceReason.ts"
import type { Decoded, Protocol, Said, StreamDecoder } from "./protocol.ts"
import * as Recovery from "./recovery.ts"
import { type Events, type Pulled, Streaming } from "./streaming.ts"
import type { Operation } from "./telemetry.ts"
import { numbered } from "./totals.ts"
import { counted, isReason, Story, toReason } from "./transport.ts"

interface Opened {
  readonly streaming: Streaming
  readonly decoder: StreamDecoder
}

/** The answer of a service as a stream. Nothing is sent before the first pull. */
export const streamed = (calls: Calls, request: Request): Stream.Stream<StreamEvent, LlmError> => {
  const opened = Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const operation = calls.meter.begin(context, "chat", calls.modelOf(request), request, true)
    const call = new StreamedCall(calls, request, operation, context)
    const refused = calls.invalid(request)
    if (refused !== undefined) return Effect.fail(call.failed(refused))
    return Effect.mapError(operation.under(call.opened), call.failed)
  })
  return Stream.unwrap(opened)
}

/**
 * Without the scope around. A stream closes its own connection; a client that finds a scope asks whether the request was
 * tied to it, which takes as long as all of the rest until the first token.
 */
const unscoped = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.updateContext(self, (context: Context.Context<never>) => Context.omit(Scope.Scope)(context))

class StreamedCall {
  private readonly calls: Calls
  private readonly request: Request
  private readonly operation: Operation
  private readonly context: Context.Context<never>
  private readonly story: Story
  private current: Opened | undefined
  private lease: Policy.Lease<Opened, Reason> | undefined
  /** What sends that broke have left. */
  private left = Recovery.nothing
  /** How many sends go on from a beginning: each has a body of its own. */
  private continuations = 0
  private isOver = false

  constructor(calls: Calls, request: Request, operation: Operation, context: Context.Context<never>) {
    this.calls = calls
    this.request = request
    this.operation = operation
    this.context = context
    this.story = new Story(request.headers)
  }

  /** The last word of a call that failed. */
  readonly failed = (reason: Reason): LlmError => {
    const isOpened = this.current !== undefined
    const usage = isOpened ? this.usage : this.story.wasted
    const told = Recovery.after(this.left, usage === undefined ? reason : Recovery.using(reason, usage))
    const cost = this.over(told._tag, usage)
    const error = this.calls.toError(told, this.story, { usage, cost, delivered: isOpened && this.hasDelivered })
    this.operation.failed(error.code, error, usage)
    return error
  }

  /** Whether the reader has got something: now, or from a send before. */
  private get hasDelivered(): boolean {
    return this.left !== Recovery.nothing || this.current?.streaming.hasDelivered === true
  }

  /** Of all sends together. */
  private get usage(): Usage.Usage {
    const { current } = this
    const last = current === undefined ? Usage.empty : this.usageOf(current.decoder)
    const { used } = this.left
    return used === undefined ? last : Usage.add(used, last)
  }

  /** What the provider counted, or a guess by what went over the wire. */
  private usageOf(decoder: StreamDecoder): Usage.Usage {
    const usage = decoder.usage === undefined ? undefined : counted(decoder.usage)
    if (usage !== undefined && usage.isEstimate !== true) return usage
    const outputTokens = tokensOf(decoder.partial) + tokensOf(decoder.reasoning) + tokensOf(decoder.refusal)
    const inputTokens = estimateOf(this.request).inputTokens
    // Where the provider began to count, its numbers stand as far as they go.
    return usage === undefined
      ? { inputTokens, outputTokens, isEstimate: true }
      : { ...usage, outputTokens: Math.max(usage.outputTokens, outputTokens) }
  }

  private over(outcome: string, usage: Usage.Usage | undefined): number | undefined {
    if (this.isOver || usage === undefined) return undefined
    this.isOver = true
    return this.calls.spent(this.context, this.model, usage, outcome)
  }

  private get model(): string {
    return this.current?.decoder.model ?? this.calls.modelOf(this.request)
  }

  readonly opened: Effect.Effect<Stream.Stream<StreamEvent, LlmError>, Reason, Scope.Scope> = Effect.gen(
    { self: this },
    function* () {
      // Registered before the stream is open, so that no interruption finds it open and unowned.
      yield* Effect.addFinalizer(() => Effect.sync(this.abandon))
      const { calls, request, story } = this
      const lease = yield* calls.held.lease(calls.callOf(request, story), (timeout) =>
        Effect.suspend(() => this.attempt(timeout))
      )
      this.lease = lease
      this.attach(lease, lease.value)
      // Runs before the lease's own end, which does not know what was used.
      yield* Effect.addFinalizer(() => Effect.sync(this.abandon))
      return Stream.mapError(Stream.fromPull(Effect.succeed(this.pull)), this.failed)
    }
  )

  /** The reader left, or the call ended: nothing stays open. */
  private readonly abandon = (): void => {
    const { current, lease } = this
    current?.streaming.close()
    const usage = current === undefined ? undefined : this.usage
    this.over("interrupted", usage)
    lease?.end("interrupted", current === undefined ? undefined : this.usageOf(current.decoder))
    this.operation.interrupted(usage)
  }

  private readonly attempt = (timeout: Timeout.Timeout): Effect.Effect<Opened, Reason> => {
    const { calls, request, story } = this
    const { said } = this.left
    const asked = said === undefined ? request : numbered(request, 1 + this.continuations)
    return Effect.map(unscoped(open(calls, asked, story, timeout, said)), (opened) => {
      this.current = opened
      this.operation.firstContent()
      return opened
    })
  }

  private attach(lease: Policy.Lease<Opened, Reason>, opened: Opened): void {
    const { decoder, streaming } = opened
    streaming.attach({
      deadlineAt: lease.deadlineAt,
      totalMillis: lease.totalMillis,
      onFinish: () => this.finished(lease, decoder),
      // What is taken up again ends its own send, when the reader asks for more.
      onFailure: (reason) => {
        if (!Recovery.isRecoverable(reason, this.request.onCut)) lease.end(reason._tag, this.usageOf(decoder))
      }
    })
    lease.onStop(streaming.stop)
  }

  private finished(lease: Policy.Lease<Opened, Reason>, decoder: StreamDecoder): Events {
    const { said } = this.left
    lease.end("ok", this.usageOf(decoder))
    const whole = Recovery.joined(this.left, decoder)
    const { toolCalls } = decoder
    const { usage } = this
    const cost = this.over("ok", usage)
    const finish = {
      type: "finish",
      message: turn({ ...whole, toolCalls, native: said === undefined ? decoder.native : undefined }),
      finishReason: decoder.finishReason ?? "other",
      usage,
      cost,
      model: this.model,
      requestId: this.story.requestId ?? decoder.requestId,
      attempts: this.story.recorder.attempts
    } as const
    this.operation.succeeded(finish, whole.text)
    const told = toolCalls.map((call) => ({ type: "toolCall", call }) as const)
    const [first, ...rest] = told
    return first === undefined ? [finish] : [first, ...rest, finish]
  }

  private readonly pull: Pulled = Effect.suspend(() => {
    const { current } = this
    if (current === undefined) return Cause.done()
    return Effect.catch(current.streaming.pull, (error) =>
      Cause.isDone(error) ? Cause.done() : this.recover(current, error)
    )
  })

  /** Opens the stream again after a break, if that is wanted and may be. Interrupted, the next pull tries again. */
  private recover({ decoder }: Opened, reason: Reason): Pulled {
    const { left, lease, request } = this
    if (lease === undefined || !Recovery.isRecoverable(reason, request.onCut)) return Effect.fail(reason)
    const used = this.usageOf(decoder)
    const said = Recovery.joined(left, decoder)
    const isContinued = request.onCut === "continue" && Recovery.canContinue(said)
    const failure: Retryable = { isRetryable: true, phase: "answered", retryAfter: waitOf(reason) }
    const reopened = Effect.suspend(() => {
      this.left = { said: isContinued ? said : undefined, used: left.used }
      if (isContinued) this.continuations++
      return lease.reopen(reason, failure, used)
    })
    return Effect.matchEffect(
      Effect.onExitPrimitive(reopened, (exit) => {
        if (Exit.isFailure(exit)) this.left = left
        return undefined
      }),
      {
        onFailure: (error): Pulled => {
          // It is told with what had arrived, whatever it would have gone on from.
          const told = Recovery.broken(reason, error)
          lease.end(told._tag)
          return Effect.fail(told)
        },
        onSuccess: (opened): Pulled => {
          this.left = { ...this.left, used: left.used === undefined ? used : Usage.add(left.used, used) }
          this.attach(lease, opened)
          return isContinued ? this.pull : Effect.succeed([{ type: "reset", reason }])
        }
      }
    )
  }
}

const waitOf = (reason: Reason): Retryable["retryAfter"] => ("retryAfter" in reason ? reason.retryAfter : undefined)

/** One attempt: until the first content is here, or the answer is complete without any. */
const open = (
  calls: Calls,
  request: Request,
  story: Story,
  timeout: Timeout.Timeout,
  said: Said | undefined
): Effect.Effect<Opened, Reason> =>
  Effect.clockWith((clock) => {
    const { key } = calls.protocol
    const since = clock.currentTimeMillisUnsafe()
    const { attemptMillis, firstContentMillis } = timeout
    const opening = Effect.mapError(
      Effect.flatMap(calls.send(request, true, story, said), (response) =>
        readerOf(response, calls.protocol, request, said)
      ),
      toReason
    )
    const source = Timer.within(opening, Math.min(attemptMillis, firstContentMillis), (): Reason =>
      attemptMillis <= firstContentMillis
        ? new AttemptTimeout({ key, timeoutMillis: attemptMillis })
        : new FirstContentTimeout({ timeoutMillis: firstContentMillis })
    )
    return Effect.flatMap(source, (read) => {
      const waitedMillis = clock.currentTimeMillisUnsafe() - since
      const decoder = said === undefined ? read.decoder : Recovery.continued(read.decoder, calls.protocol, said)
      const streaming = new Streaming({ key, reader: read.reader, decoder, clock, times: timeout, waitedMillis })
      const opened = Effect.as(streaming.first, { streaming, decoder })
      // What fails before the first content is retried on another connection; so is what is interrupted there.
      return Effect.onExit(opened, (exit) => (exit._tag === "Failure" ? Effect.sync(streaming.close) : Effect.void))
    })
  })

type Source = Pick<Opened, "decoder"> & { readonly reader: EventStream.Reader<EventStream.ServerSentEvent> }

/** The events of an answer; a server that does not stream is read as one event. */
const readerOf = (
  response: HttpClientResponse,
  protocol: Protocol,
  request: Request,
  said: Said | undefined
): Effect.Effect<Source, Reason> => {
  const type = headerOf(response, "content-type")?.toLowerCase()
  if (type === undefined || type.includes("event-stream") || type.includes("octet-stream")) {
    return Effect.succeed({ reader: EventStream.sseReader(response), decoder: protocol.decoder(request, said) })
  }
  return Effect.flatMap(Effect.mapError(response.text, reasonOfHttpError), (text) => {
    const decoded = protocol.decode(text, request)
    if (isReason(decoded)) {
      return Effect.fail(
        decoded._tag === "InvalidResponse"
          ? new InvalidResponse({
              description: `expected an event stream, got ${type}`,
              excerpt: protocol.redact(text)
            })
          : decoded
      )
    }
    return Effect.succeed({ reader: EventStream.readerOf([{ event: undefined, data: text }]), decoder: whole(decoded) })
  })
}

/** The decoder of an answer that came whole. */
const whole = (decoded: Decoded): StreamDecoder => ({
  isFinished: true,
  isDone: true,
  partial: decoded.text,
  reasoning: decoded.reasoning ?? "",
  refusal: decoded.refusal ?? "",
  toolCalls: decoded.toolCalls,
  native: decoded.native,
  requestId: decoded.requestId,
  usage: decoded.usage,
  failure: undefined,
  finishReason: decoded.finishReason,
  model: decoded.model,
  progress: 0,
  push: (_event, out) => {
    if (decoded.reasoning !== undefined) out.push({ type: "reasoning", text: decoded.reasoning })
    if (decoded.text !== "") out.push({ type: "text", text: decoded.text })
    if (decoded.refusal !== undefined) out.push({ type: "refusal", text: decoded.refusal })
  }
})
