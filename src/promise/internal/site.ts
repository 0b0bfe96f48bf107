/**
 * Where in the caller's program a call was made. An error that comes out of it was made in a fiber, long after, whose
 * stack is the library's own: it gets the stack of the call.
 */

/** Written out when it is asked for alone: most calls succeed. */
export interface Site {
  readonly trace: Error
  /** Functions of the library's own, at the top. */
  readonly own: number
}

/** The site of a call, with `own` functions of ours, constructors left out, between its caller and here. */
export const siteOf = (own: number): Site => ({ trace: new Error("called"), own })

/** As V8 writes them, behind the message and the frame of this file. Where an engine does not, a stack stays what it is. */
const framesOf = ({ own, trace }: Site): ReadonlyArray<string> => {
  // A program's own `Error.prepareStackTrace` may make anything of it.
  const stack: unknown = trace.stack
  if (typeof stack !== "string") return []
  const frames = stack.split("\n").filter((line) => line.startsWith("    at "))
  const first = frames.findIndex((line, at) => at > 0 && !line.startsWith("    at new "))
  return first < 0 ? [] : frames.slice(first + own)
}

/** Errors of the library say so; those of the caller's own, which its tools and streams raise, are left as they are. */
const isOwn = (error: Error): boolean => "_tag" in error && "code" in error && "isRetryable" in error

/** Gives an error of the library the stack of the call, in the place of its own. */
export const called = (error: unknown, site: Site, isMeant = isOwn): void => {
  if (!(error instanceof Error) || !isMeant(error)) return
  const frames = framesOf(site)
  if (frames.length === 0) return
  // Not by the stack that it has: a message may hold the frames of a program.
  const value = [Error.prototype.toString.call(error), ...frames].join("\n")
  // A frozen error keeps its own: it is told, not this.
  Reflect.defineProperty(error, "stack", { value, configurable: true, enumerable: false, writable: true })
}
