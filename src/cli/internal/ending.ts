/** How a command ends when it does not succeed: an exit code, and at most one line on stderr. */
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"

/** What the person typed or gave is wrong: what, where, and what to do. Exit code 2. */
export class BadInput extends Data.TaggedError("BadInput")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 2
}

/** The command did its work and everything is said: only the exit code is left to give. */
export class Ended extends Data.TaggedError("Ended")<{ readonly exitCode: number }> {
  override get [Runtime.errorExitCode](): number {
    return this.exitCode
  }
}

/** Bad input in one line. */
export const badInput = (message: string): BadInput => new BadInput({ message })
