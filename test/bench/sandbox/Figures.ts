/** What is measured of a sandbox, and of what it is held against. Each kind knows only some of it. */
export interface Figures {
  readonly name: string
  /** From nothing to the answer of `1 + 1`, one after another. */
  readonly coldMillis?: ReadonlyArray<number>
  /** The same, where no snapshot can be kept. */
  readonly bareMillis?: ReadonlyArray<number>
  /** Taking a session that was made ahead. */
  readonly pooledMillis?: ReadonlyArray<number>
  readonly warmMillis?: ReadonlyArray<number>
  /** Fresh sessions with a run in each, two at a time. */
  readonly sessionsPerSecond?: number
  readonly runsPerSecond?: number
  readonly outputPerSecond?: number
  /** From the interruption of an endless run until its session is free again. */
  readonly cancelMillis?: ReadonlyArray<number>
  /** Past the timeout, for a loop that can be interrupted. */
  readonly softMillis?: ReadonlyArray<number>
  /** Past the timeout and the grace, for one that cannot. */
  readonly hardMillis?: ReadonlyArray<number>
  readonly residentMegabytes?: number
}

/** How often a start is measured, and a run. */
export interface Scale {
  readonly starts: number
  readonly runs: number
}
