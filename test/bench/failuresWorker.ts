/** One client in a process of its own, which may hang or hoard there: `failuresWorker.ts <peer>` */
import { peers } from "./failuresPeers.ts"

export interface Order {
  readonly kind: "unary" | "stream"
  readonly url: string
  readonly retries: number
  /** Calls one after another on one client; the last one counts. */
  readonly calls: number
  /** Calls at the same time; how the most ended counts. */
  readonly together: number
  /** The deadline of the call. */
  readonly totalMillis?: number
  /** How long an answer, or the next text, is waited for. */
  readonly patienceMillis: number
  /** Between two calls, so that a connection can come back. */
  readonly gapMillis: number
  /** When the caller aborts. */
  readonly abortMillis?: number
  /** How long the consumer of a stream takes for each of the first two texts. */
  readonly pauseMillis?: number
  /** Whether the loop is left at the first text. */
  readonly leaves?: boolean
  /** After this time it hangs. */
  readonly limitMillis: number
}

export interface Ended {
  readonly outcome: "answer" | "error" | "hung"
  /** The error's name. */
  readonly error: string
  readonly text: string
  /** From the last call (or the abort) to its end. */
  readonly millis: number
  /** When the loop was left, milliseconds since the epoch. */
  readonly leftAt: number
}

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

const nameOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return String(error)
  if ("_tag" in error && error._tag === "LlmError" && "code" in error) return String(error.code)
  if ("reason" in error && typeof error.reason === "object" && error.reason !== null && "_tag" in error.reason) {
    return String(error.reason._tag)
  }
  return error instanceof Error ? (error.name === "Error" ? error.constructor.name : error.name) : "an object"
}

const peer = peers[process.argv[2] ?? ""]
if (peer === undefined) throw new Error(`there is no peer ${process.argv[2]}`)

const run = async (order: Order): Promise<Ended> => {
  const caller = new AbortController()
  const total = order.totalMillis === undefined ? undefined : AbortSignal.timeout(order.totalMillis)
  const signal = order.abortMillis === undefined ? total : caller.signal
  const ask = {
    url: order.url,
    retries: order.retries,
    signal,
    totalMillis: order.totalMillis,
    patienceMillis: order.patienceMillis
  }
  let text = ""
  let leftAt = 0
  let pauses = 0
  const onText = async (some: string): Promise<boolean> => {
    text += some
    if (order.leaves === true) leftAt = Date.now()
    if (order.pauseMillis !== undefined && pauses++ < 2) await sleep(order.pauseMillis)
    return order.leaves !== true
  }
  const unary = order.kind === "unary" ? await peer.unary(ask) : undefined
  const stream = order.kind === "stream" ? await peer.stream(ask) : undefined
  let since = performance.now()
  const call = async (): Promise<"answer"> => {
    text = ""
    if (unary !== undefined) text = await unary()
    await stream?.(onText)
    return "answer"
  }
  let error = ""
  const failed = (reason: unknown): "error" => {
    error = nameOf(reason)
    return "error"
  }
  for (let at = 1; at < order.calls; at++) {
    await Promise.race([call().catch(failed), sleep(order.limitMillis)])
    await sleep(order.gapMillis)
  }
  since = performance.now()
  const all = Promise.all(Array.from({ length: order.together }, () => call().catch(failed)))
  if (order.abortMillis !== undefined) {
    await sleep(order.abortMillis)
    since = performance.now()
    caller.abort(new Error("the caller's reason"))
  }
  const hung = sleep(order.limitMillis).then(() => "hung" as const)
  const outcome = await Promise.race([all.then((ends) => (ends.includes("error") ? "error" : "answer")), hung])
  return { outcome, error, text: text.slice(0, 1000), millis: performance.now() - since, leftAt }
}

// What a library leaves behind of a call that is over.
process.on("unhandledRejection", () => {})
process.on("message", (order: Order) => {
  run(order).then(
    (ended) => process.send?.(ended),
    (error: unknown) => {
      const told = { outcome: "error", error: nameOf(error), text: "", millis: 0, leftAt: 0 } as const
      process.send?.(told)
    }
  )
})
process.on("disconnect", () => process.exit())
process.send?.(peer.name)
