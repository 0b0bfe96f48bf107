import * as Data from "effect/Data"

/** The program's own stream failed while its bytes were being sent. */
export class BodyFailure extends Data.TaggedError("BodyFailure")<{ readonly cause: unknown }> {
  override get message(): string {
    return `the request's body failed: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}
