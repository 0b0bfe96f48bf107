/** E2bSandbox over a fake, for tests. */
import { Effect, type Layer, Redacted } from "effect"
import type { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { Policy } from "holdfast/policy"
import { E2bSandbox, type Sandbox, type SandboxError } from "holdfast/sandbox"
import type { Call, E2b, Fault } from "../fixtures/e2b.ts"

/** Retries at once, so that tests do not wait. */
export const policy = Policy.make({ retry: { retries: 2, base: 0, jitter: "none" }, retryBudget: false })

export const accessTo = ({ apiKey, apiUrl, sandboxUrl }: E2b): E2bSandbox.Access => ({
  apiKey: Redacted.make(apiKey),
  apiUrl,
  sandboxUrl,
  policy
})

/** Runs against the fake, with what is left of the client closed at the end. */
export const within =
  (e2b: E2b, options: Partial<E2bSandbox.Options> = {}) =>
  <A, E>(
    self: Effect.Effect<A, E, Sandbox.Sandbox | HttpClient.HttpClient>
  ): Effect.Effect<A, E | SandboxError.SandboxError> => {
    const layer: Layer.Layer<Sandbox.Sandbox, SandboxError.SandboxError, HttpClient.HttpClient> = E2bSandbox.layer({
      ...accessTo(e2b),
      ...options
    })
    return self.pipe(Effect.provide(layer), Effect.provide(UndiciHttpClient.layer()))
  }

/** Waits until something is so; what never becomes so ends with the test's time. */
export const until = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
  })

/** Calls of a name since a moment. */
export const callsOf = (e2b: E2b, name: string, since = 0): ReadonlyArray<Call> =>
  e2b.calls.slice(since).filter((call) => call.name === name)

/** What a script of lines leaves at its end. */
export const ended = { type: "end_of_execution" }

/** An execution that says these lines and ends well. */
export const says = (...lines: ReadonlyArray<Readonly<Record<string, unknown>>>): Fault => ({
  script: { lines: [{ type: "number_of_executions", execution_count: 1 }, ...lines, ended], ending: "end" }
})

/** A refusal in JSON. */
export const refuses = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Fault => ({
  status,
  headers: { "content-type": "application/json; charset=utf-8", ...headers },
  body: JSON.stringify(body)
})
