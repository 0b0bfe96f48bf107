/** What is wrong with a cassette, apart from what was recorded in it. */
import * as Data from "effect/Data"

/**
 * Why a cassette cannot do what it is asked.
 *
 * - `missing`: there is no file to replay.
 * - `corrupt`: the file cannot be read, or is no cassette.
 * - `unwritable`: the recording cannot be saved.
 * - `tooLarge`: the file or the recording is over `maxBytes`.
 * - `unmatched`: a request that has no recorded answer, or none left.
 */
export type Reason = "missing" | "corrupt" | "unwritable" | "tooLarge" | "unmatched"

/** A cassette that cannot be opened, replayed or saved; its message is one line. */
export class CassetteError extends Data.TaggedError("CassetteError")<{
  readonly path: string
  readonly reason: Reason
  /** What is wrong, and what to do. */
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `cassette ${this.path} ${this.description}`
  }
}
