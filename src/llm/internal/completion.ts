/** The service of a wire format: its calls over the `HttpClient` in context, under one policy. */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Scope from "effect/Scope"
import * as Policy from "../../policy/Policy.ts"
import { Llm, type Request } from "../Llm.ts"
import { Calls } from "./calls.ts"
import type { Protocol } from "./protocol.ts"
import { streamed } from "./streamed.ts"

/** What every provider's layer is told beside its own. */
interface Options {
  readonly policy?: Policy.Policy | Policy.Held | undefined
  readonly onCut?: Request["onCut"]
}

/** Dies with a `TypeError` where streams shall go on that the provider does not document to go on. */
export const make = (
  protocol: Protocol,
  { onCut, policy = Policy.defaults }: Options
): Effect.Effect<Llm["Service"], never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    if (onCut === "continue" && protocol.prefixOf === undefined) {
      const needs = "needs a provider that documents continuing an answer's beginning"
      return yield* Effect.die(
        new TypeError(`${protocol.provider}: onCut "continue" ${needs}; choose "restart" or "fail"`)
      )
    }
    const http = yield* HttpClient.HttpClient
    const calls = new Calls(protocol, http, yield* Policy.hold(policy))
    return Llm.of({
      generateText: (request) => calls.generateText(request),
      streamText: (request) => streamed(calls, request.onCut === undefined ? { ...request, onCut } : request)
    })
  })
