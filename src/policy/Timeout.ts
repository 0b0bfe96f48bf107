/**
 * The five times a call is bounded by, each its own failure. A Policy holds them; `Deadline` is the total one.
 */
import * as Duration from "effect/Duration"

export interface Options {
  /** Until a connection stands. Default: `"10 seconds"`. Read by the transport when it is made. */
  readonly connect?: Duration.Input | undefined
  /**
   * One send: until the whole answer, or until the headers of a stream.
   * Default: `"10 minutes"`, as the providers' own clients: a long answer that is not streamed takes minutes.
   */
  readonly attempt?: Duration.Input | undefined
  /** From a stream's send to its first content; comments and pings are none. Default: `"2 minutes"`. */
  readonly firstContent?: Duration.Input | undefined
  /** Between two contents of a stream, counted only while the consumer waits. Default: `"60 seconds"`. */
  readonly idleContent?: Duration.Input | undefined
  /** The whole call: all attempts, queues and waits. Default: `"15 minutes"`, a long attempt and a second one. */
  readonly total?: Duration.Input | undefined
}

/** Options with every default in place, in milliseconds. */
export interface Timeout {
  readonly connectMillis: number
  readonly attemptMillis: number
  readonly firstContentMillis: number
  readonly idleContentMillis: number
  readonly totalMillis: number
}

/** Puts the defaults in place. */
export const make = (options: Options = {}): Timeout => ({
  connectMillis: Duration.toMillis(options.connect ?? "10 seconds"),
  attemptMillis: Duration.toMillis(options.attempt ?? "10 minutes"),
  firstContentMillis: Duration.toMillis(options.firstContent ?? "2 minutes"),
  idleContentMillis: Duration.toMillis(options.idleContent ?? "60 seconds"),
  totalMillis: Duration.toMillis(options.total ?? "15 minutes")
})
