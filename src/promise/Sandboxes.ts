/** Which sandbox runs code: the options of each provider, in plain values. */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type * as E2bSandbox from "../sandbox/E2bSandbox.ts"
import type * as LocalSandbox from "../sandbox/LocalSandbox.ts"
import type * as ProcessSandbox from "../sandbox/ProcessSandbox.ts"
import type * as RestSandbox from "../sandbox/RestSandbox.ts"
import type { Time } from "./Time.ts"

/** The options of a layer with times as plain programs say them, and secrets as texts. */
type Plain<Options> = {
  readonly [Name in keyof Options]: Duration.Input extends NonNullable<Options[Name]>
    ? Time | Extract<Options[Name], undefined>
    : NonNullable<Options[Name]> extends Redacted.Redacted
      ? string | Extract<Options[Name], undefined>
      : Options[Name]
}

/** Embedded, in locked processes of its own. Defaults and meanings are those of `LocalSandbox.Options`. */
export interface LocalSandboxOptions extends Plain<LocalSandbox.Options> {
  readonly provider: "local"
}

/** The system's own interpreters behind its wall. Defaults and meanings are those of `ProcessSandbox.Options`. */
export interface ProcessSandboxOptions extends Plain<ProcessSandbox.Options> {
  readonly provider: "process"
}

/**
 * A virtual machine in E2B's cloud. Defaults and meanings are those of `E2bSandbox.Options`; the client's `retry` and its
 * `timeout.connect` hold for its calls.
 */
export interface E2bSandboxOptions extends Plain<Omit<E2bSandbox.Options, "apiKey" | "policy">> {
  readonly provider: "e2b"
  /** Default: the variable `E2B_API_KEY`; with an `apiUrl` or a `domain` of your own, none. */
  readonly apiKey?: string | undefined
}

/**
 * A code interpreter's REST service. Defaults and meanings are those of `RestSandbox.Options`; the client's `retry` and
 * its `timeout.connect` hold for its calls.
 */
export interface RestSandboxOptions extends Plain<Omit<RestSandbox.Options, "headers" | "policy" | "provider">> {
  readonly provider: "rest"
  /** Headers of each request. Default: none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The name in errors. Default: `"rest"`. */
  readonly name?: string | undefined
}

/** Which sandbox runs code. */
export type SandboxOptions = LocalSandboxOptions | ProcessSandboxOptions | E2bSandboxOptions | RestSandboxOptions
