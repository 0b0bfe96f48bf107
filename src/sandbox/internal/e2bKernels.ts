/**
 * The contexts of a sandbox's code interpreter: one of each language's own, which are there from the start or made when
 * they are first asked for, and those that are made on top (code-interpreter 7df1757, `template/server`).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Failed } from "../../http/internal/exchange.ts"
import * as Release from "../../policy/Release.ts"
import type { Language } from "../Sandbox.ts"
import { type SandboxError, SessionLost } from "../SandboxError.ts"
import { refuse } from "./e2bError.ts"
import type { Machine } from "./e2bMachine.ts"
import { Transcript } from "./e2bOutput.ts"
import type * as Reason from "./e2bReason.ts"
import * as Fields from "./fields.ts"
import { Patience } from "./patience.ts"

/** A context, and what is known of its state. */
export interface Kernel {
  readonly id: string
  readonly language: Language
  /** Where its programs start when nothing else is asked for. */
  readonly home: string
  /** Where it is now, as far as anybody here moved it; `undefined` while nobody knows whether it went. */
  cwd: string | undefined
  /** Its variables are gone. */
  loss: SessionLost | undefined
}

interface Wire {
  readonly id: string
  readonly language: string
  readonly cwd: string
}

const wire = (value: unknown): ReadonlyArray<Wire> => {
  const fields = Fields.fields(value)
  const id = fields === undefined ? undefined : Fields.text(fields, "id")
  if (fields === undefined || id === undefined) return []
  return [{ id, language: Fields.text(fields, "language") ?? "", cwd: Fields.text(fields, "cwd") ?? "/home/user" }]
}

const one = (value: unknown): Result.Result<Wire, string> => {
  const [found] = wire(value)
  return found === undefined ? Result.fail("the context has no id") : Result.succeed(found)
}

const all = (value: unknown): Result.Result<ReadonlyArray<Wire>, string> =>
  Array.isArray(value) ? Result.succeed(value.flatMap(wire)) : Result.fail("the contexts are no array")

/** A program that does nothing, to see whether a context still obeys. */
const idle: Readonly<Record<Language, string>> = {
  python: "pass",
  javascript: "0",
  typescript: "0",
  bash: ":",
  r: "invisible(0)",
  java: "0"
}

/** A program that goes to a folder. In Java it changes what `user.dir` says and no more. */
export const goTo = (language: Language, cwd: string): string => {
  const quoted = JSON.stringify(cwd)
  switch (language) {
    case "python":
      return `__import__("os").chdir(${quoted})`
    case "javascript":
    case "typescript":
      return `process.chdir(${quoted})`
    case "bash":
      return `cd -- '${cwd.replaceAll("'", "'\\''")}'`
    case "r":
      return `invisible(setwd(${quoted}))`
    case "java":
      return `System.setProperty("user.dir", ${quoted});`
  }
}

/**
 * How long nobody talks to a context after its program was interrupted: what comes at once is aborted without an end, and
 * 200 ms later it is not (seen with ipykernel 7.4 and 6.17, 2026-11).
 */
const quiet = "250 millis"

/** A program's own line is as long as what it prints at once; see `Limits.outputBytes` for what is kept of it. */
const maxEventBytes = 64 * 1024 * 1024

/** Of a request that is answered at once. */
const attempt: Duration.Input = "60 seconds"

export class Kernels {
  readonly machine: Machine
  private readonly own = new Map<Language, Kernel>()
  private readonly made = new Map<string, Kernel>()

  constructor(machine: Machine) {
    this.machine = machine
  }

  private kernel({ cwd, id }: Wire, language: Language): Kernel {
    return { id, language, home: cwd, cwd, loss: undefined }
  }

  /** The one of a language that needs no name. */
  ofLanguage(language: Language): Effect.Effect<Kernel, SandboxError> {
    return Effect.suspend(() => {
      const known = this.own.get(language)
      if (known !== undefined) return Effect.succeed(known)
      const asked = this.machine.interpreter.json({ method: "GET", path: "/contexts" }, all)
      return Effect.flatMap(this.machine.use(asked), ({ value }) => {
        // The server's own come first.
        const found = value.find((context) => context.language === language && !this.made.has(context.id))
        const kernel = found === undefined ? this.create(language) : Effect.succeed(this.kernel(found, language))
        return Effect.tap(kernel, (kernel) => Effect.sync(() => this.own.set(language, kernel)))
      })
    })
  }

  /** One that was made on top; `undefined` where there is none of this name. */
  named(id: string): Kernel | undefined {
    return this.made.get(id)
  }

  create(language: Language, keyed = false): Effect.Effect<Kernel, SandboxError> {
    const ask = { method: "POST", path: "/contexts", json: { language }, timeout: { attempt }, keyed } as const
    return Effect.map(this.machine.use(this.machine.interpreter.json(ask, one)), ({ value }) => {
      const kernel = this.kernel(value, language)
      this.made.set(kernel.id, kernel)
      return kernel
    })
  }

  /** The lines of an execution, until the stream's end; `patience` is told when it begins. `keyed` where it is the caller's. */
  lines(
    kernel: Kernel,
    code: string,
    env: Readonly<Record<string, string>>,
    { millis, onFail, onSend }: Patience,
    keyed = false
  ): Stream.Stream<string, Failed<Reason.Own>> {
    const variables = Object.keys(env).length === 0 ? undefined : { env_vars: env }
    const json = { code, context_id: kernel.id, ...variables }
    const timeout = { attempt, idleContent: millis + 60_000, total: millis + 120_000 }
    const ask = { method: "POST", path: "/execute", json, timeout, keyed, onSend, onFail } as const
    return this.machine.interpreter.lines(ask, { maxEventBytes })
  }

  /** Runs a small program of our own, and gives what it raised. `undefined` where it did not end. */
  private trial(kernel: Kernel, code: string, within: Duration.Duration) {
    return Effect.clockWith((clock) => {
      const transcript = new Transcript({ outputBytes: 0, resultBytes: 0 }, () => undefined)
      const patience = new Patience(clock, Duration.toMillis(within))
      let isEnded = false
      const lines = this.lines(kernel, code, {}, patience)
      const read = Stream.takeUntil(lines, (line) => (isEnded = transcript.line(line) === "ended")).pipe(
        Stream.runDrain,
        Effect.map(() => (isEnded ? transcript : undefined))
      )
      return Effect.raceFirst(read, Effect.as(patience.over, undefined))
    })
  }

  /** Goes to a folder; gives what that raised. */
  move(kernel: Kernel, cwd: string): Effect.Effect<Transcript["error"], SandboxError> {
    return Effect.suspend(() => {
      const before = kernel.cwd
      if (before === cwd) return Effect.succeed(undefined)
      kernel.cwd = undefined
      const tried = this.machine.use(this.trial(kernel, goTo(kernel.language, cwd), Duration.seconds(30)))
      return Effect.flatMap(tried, (transcript) => {
        if (transcript === undefined) return Effect.fail(refuse(this.lose(kernel, "the context does not answer")))
        kernel.cwd = transcript.error === undefined ? cwd : before
        return Effect.succeed(transcript.error)
      })
    })
  }

  lose(kernel: Kernel, description: string, why: SessionLost["why"] = "killed"): SessionLost {
    return (kernel.loss ??= new SessionLost({ why, description: `${description}; \`reset\` gives a fresh one` }))
  }

  /** After an interrupted program: waits until the context obeys again, or drops it. Gives whether its variables are kept. */
  settle(kernel: Kernel, grace: Duration.Duration): Effect.Effect<"kept" | "lost"> {
    const { machine } = this
    // Past every limit and deadline around: whoever waits for a slot would be taken for a context that does not obey.
    const tried = Release.run(
      machine.use(this.trial(kernel, idle[kernel.language], grace)),
      Duration.sum(grace, Duration.seconds(1))
    )
    const obeys = Effect.catch(
      Effect.map(Effect.andThen(machine.alive, Effect.andThen(Effect.sleep(quiet), tried)), (end) => end !== undefined),
      () => Effect.succeed(false)
    )
    return Effect.flatMap(obeys, (isKept) => {
      if (isKept) return Effect.succeed("kept" as const)
      this.lose(kernel, "a program did not stop when it was interrupted, so its context was dropped")
      return Effect.as(this.drop(kernel), "lost" as const)
    })
  }

  /** Kills a context. The server waits for nobody in it. */
  drop(kernel: Kernel): Effect.Effect<void> {
    const ask = { method: "DELETE", path: `/contexts/${encodeURIComponent(kernel.id)}`, accept: [404] } as const
    return Effect.ignore(Release.run(this.machine.use(this.machine.interpreter.text(ask))))
  }
}
