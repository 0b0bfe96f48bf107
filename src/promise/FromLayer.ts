/**
 * `holdfast/promise/effect`: a client over layers, for teams that mix, and for tests of programs that never see Effect.
 * What needs Effect's types is here; `holdfast/promise` has none.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Embedder } from "../llm/Embedder.ts"
import { Llm } from "../llm/Llm.ts"
import { Sandbox } from "../sandbox/Sandbox.ts"
import { VectorStore } from "../vector/VectorStore.ts"
import { type Client, HoldfastClient } from "./Client.ts"
import { plan } from "./internal/standing.ts"
import { timedEmbedder, timedLlm } from "./internal/timed.ts"
import type { ClientOptions } from "./Options.ts"

/** The services of a layer that a client has methods for. */
type Served = Llm | Sandbox | Embedder | VectorStore

/** The layer's own service, beside all else that it gives, such as a clock; or what stands in for one that it lacks. */
const orElse = <R, E, I, S>(
  layer: Layer.Layer<R, E>,
  tag: Context.Key<I, S>,
  instead: Layer.Layer<I, unknown>,
  wrap: (service: S) => S = (service) => service
): Layer.Layer<I, unknown> =>
  Layer.flatMap(layer, (context): Layer.Layer<I, unknown> =>
    Option.match(Context.getOption(context, tag), {
      onNone: () => instead,
      onSome: (service) => Layer.succeedContext(Context.add(context, tag, wrap(service)))
    })
  )

/**
 * A client whose calls go to the services of this layer: `Llm`, `Sandbox`, `Embedder` and `VectorStore`, or some of them. What it lacks,
 * and `http`, is as `createClient` makes it of the options. The layer is built when a call first needs it, once, and
 * closed with the client. It keeps its own policies; a call's `timeout` holds whether it knows of it or not.
 */
export const fromLayer = <R, E>(
  layer: Layer.Layer<R, E> &
    ([Extract<R, Served>] extends [never] ? "a layer of Llm, Sandbox, Embedder or VectorStore" : unknown),
  options: ClientOptions = {}
): Client => {
  const made = plan(options)
  return new HoldfastClient({
    ...made,
    // One memo map: a layer of several services is built once for all of them.
    memoMap: Layer.makeMemoMapUnsafe(),
    llm: orElse(layer, Llm, made.llm, timedLlm),
    sandbox: orElse(layer, Sandbox, made.sandbox),
    // A layer does not say whose it is.
    sandboxProvider: "sandbox",
    vectors: orElse(layer, VectorStore, made.vectors),
    embedder: orElse(layer, Embedder, made.embedder, timedEmbedder)
  })
}
