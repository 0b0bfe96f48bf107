/** The service of a wire format: its calls over one client, under one policy. */
import type * as HttpClient from "effect/http/HttpClient"
import type * as Policy from "../../policy/Policy.ts"
import { Llm, type Request } from "../Llm.ts"
import { Calls } from "./calls.ts"
import type { Protocol } from "./protocol.ts"
import { streamed } from "./streamed.ts"

/** The service over a client and an open policy. */
export const make = (
  protocol: Protocol,
  http: HttpClient.HttpClient,
  held: Policy.Held,
  onCut: Request["onCut"]
): Llm["Service"] => {
  if (onCut === "continue" && protocol.prefixOf === undefined) {
    throw new TypeError(
      `${protocol.provider}: onCut "continue" needs a provider that documents continuing an answer's beginning; ` +
        'choose "restart" or "fail"'
    )
  }
  const calls = new Calls(protocol, http, held)
  return Llm.of({
    generateText: (request) => calls.generateText(request),
    streamText: (request) => streamed(calls, request.onCut === undefined ? { ...request, onCut } : request)
  })
}
