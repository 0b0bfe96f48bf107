/** What a client stands on: a runtime for each service, built when a call first needs it, and closed with the client. */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { Embedder } from "../../llm/Embedder.ts"
import type { Llm } from "../../llm/Llm.ts"
import type { Prices } from "../../llm/Price.ts"
import { Draining } from "../../policy/PolicyError.ts"
import type { Sandbox } from "../../sandbox/Sandbox.ts"
import type { VectorStore } from "../../vector/VectorStore.ts"
import { Calls } from "../Bridge.ts"
import { checkEmbedder, embedderLayer, noEmbedder } from "../Embeddings.ts"
import { checkHttp, type Wire } from "../Http.ts"
import { checkLogger, type Logger } from "../Logger.ts"
import { checkClient, type ClientOptions, toPolicy, toPrices } from "../Options.ts"
import { noVectors } from "../Vectors.ts"
import { checkLlm } from "./checkLlm.ts"
import { checkVectors } from "./checkVectors.ts"
import { bare, type Ground, groundOf, nowOn, runOn } from "./ground.ts"
import { httpLayer, logged, logging, noLlm, priced } from "./layers.ts"
import { llmLayer } from "./models.ts"
import { sandboxLayer, vectorsLayer } from "./node.ts"
import type { Wire as ChatWire } from "./openAiCalls.ts"

/** A layer for each service. Nothing of them is built yet. */
export interface Layers {
  readonly llm: Layer.Layer<Llm, unknown>
  readonly embedder: Layer.Layer<Embedder, unknown>
  readonly sandbox: Layer.Layer<Sandbox, unknown>
  readonly vectors: Layer.Layer<VectorStore, unknown>
  readonly wire: Layer.Layer<Wire>
  readonly chat: Layer.Layer<ChatWire, unknown>
}

/** What the layers of these options are, and what stands around them. */
export interface Plan extends Layers {
  /** Who failed, in errors that are made of an execution. */
  readonly sandboxProvider: string
  readonly logger: Logger | undefined
  readonly prices: Prices | undefined
  readonly ground: Ground
  /** Where what the layers have in common is built once. Default: each for itself. */
  readonly memoMap?: Layer.MemoMap
}

/** Throws a `TypeError` that names the option that is wrong. */
export const plan = (options: ClientOptions): Plan => {
  checkClient(options)
  const { embedder, fetch, llm, vectors } = options
  const policy = toPolicy(options)
  const logger = checkLogger(options.logger)
  const shared = { policy, fetch, isLogged: logger !== undefined }
  const sandbox = options.sandbox ?? { provider: "local" }
  return {
    llm: llm === undefined ? noLlm : llmLayer(checkLlm(llm), shared),
    embedder: embedder === undefined ? noEmbedder : embedderLayer(checkEmbedder(embedder), shared),
    sandbox: sandboxLayer(sandbox, shared),
    sandboxProvider: (sandbox.provider === "rest" ? sandbox.name : undefined) ?? sandbox.provider,
    vectors: vectors === undefined ? noVectors : vectorsLayer(checkVectors(vectors), shared),
    wire: httpLayer(checkHttp(options.http ?? {}), shared),
    chat: Layer.unwrap(
      Effect.map(
        Effect.promise(() => import("./openAiClient.ts")),
        ({ layer }) => layer(llm, shared)
      )
    ),
    logger,
    prices: toPrices(options.prices),
    ground: groundOf(options)
  }
}

type Runtime<R, E = unknown> = ManagedRuntime.ManagedRuntime<R, E>

export class Standing {
  readonly calls = new Calls()
  readonly llm: Runtime<Llm>
  readonly embedder: Runtime<Embedder>
  readonly sandbox: Runtime<Sandbox>
  readonly vectors: Runtime<VectorStore>
  readonly wire: Runtime<Wire, never>
  readonly chat: Runtime<ChatWire>
  readonly isLogged: boolean
  readonly sandboxProvider: string
  /** Aborted when the client's grace has ended: the signal of `map`'s callbacks. */
  readonly over = new AbortController()
  private readonly logger: Logger | undefined
  private readonly ground: Ground

  constructor({ ground, logger, memoMap, prices, sandboxProvider, ...layers }: Plan) {
    const on = <A, E>(layer: Layer.Layer<A, E>, below = ground): Runtime<A, E> =>
      ManagedRuntime.make(below(layer), { memoMap })
    const llm = logged(layers.llm, logger, ({ ofLlm }) => ofLlm)
    const embedder = logged(layers.embedder, logger, ({ ofEmbedder }) => ofEmbedder)
    const sandbox = logged(layers.sandbox, logger, ({ ofSandbox }) => ofSandbox)
    this.llm = on(priced(llm, prices))
    this.embedder = on(priced(embedder, prices))
    // A guest is a process, which keeps the machine's time.
    this.sandbox = on(sandbox, bare)
    this.vectors = on(logged(layers.vectors, logger, ({ ofVectors }) => ofVectors))
    this.wire = on(logged(layers.wire, logger, () => identity))
    this.chat = on(logged(layers.chat, logger, () => identity))
    this.isLogged = logger !== undefined
    this.sandboxProvider = sandboxProvider
    this.logger = logger
    this.ground = ground
  }

  /** What time it is for the calls, in milliseconds since the epoch. */
  readonly now = (): number => nowOn(this.ground)

  /** Runs what is no call. */
  run<A>(self: Effect.Effect<A>): Promise<A> {
    return runOn(self, this.ground)
  }

  /** Interrupts what is under way and gives everything back. */
  async close(): Promise<void> {
    const { calls } = this
    this.over.abort(new Draining({ key: "client" }))
    calls.interruptAll()
    // Closing the runtimes waits for what was interrupted and gives sockets and sandboxes back.
    await Promise.allSettled(Array.from(calls.resources, (close) => close()))
    const { chat, embedder, llm, sandbox, vectors, wire } = this
    await Promise.all([llm, embedder, sandbox, vectors, wire, chat].map((runtime) => runtime.dispose()))
  }

  async tell(report: { readonly finished: number; readonly interrupted: number }): Promise<void> {
    const { logger } = this
    if (logger === undefined) return
    await Effect.runPromise(
      Effect.flatMap(logging, ({ closed, toLayer }) => Effect.provide(closed(report), toLayer(logger)))
    )
  }
}
