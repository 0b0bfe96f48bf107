/** What the rows ask of a client, of ours in both its forms. */
import type * as Layer from "effect/Layer"
import type { Llm, StreamEvent } from "../../llm/Llm.ts"
import type { Client as PromiseClient } from "../../promise/Client.ts"
import { fromLayer } from "../../promise/FromLayer.ts"
import type { Call, Client, Piece, Target } from "./conformanceRow.ts"

async function* piecesOf(events: AsyncIterable<StreamEvent>): AsyncGenerator<Piece, void> {
  for await (const event of events) {
    if (event.type === "text") yield event.text
    if (event.type === "toolCall") yield { toolCall: event.call }
  }
}

const optionsOf = ({ idempotencyKey, signal }: Call) => ({ idempotencyKey, signal })

/** A promise client, made for the server of each row with its first call, and closed after it. */
export const ofClient = (make: (target: Target) => PromiseClient): Client => {
  const opened = new Map<string, PromiseClient>()
  const open = (target: Target): PromiseClient => {
    const client = opened.get(target.id) ?? make(target)
    opened.set(target.id, client)
    return client
  }
  return {
    ask: (call) => open(call).generateText("hi", optionsOf(call)),
    stream: (call) => piecesOf(open(call).streamText("hi", optionsOf(call))),
    send: (call) => {
      const options = { ...optionsOf(call), headers: { authorization: "Bearer sk-secret" } }
      const url = `${call.url}/chat/completions`
      const { http } = open(call)
      return call.method === "GET" ? http.get(url, options) : http.post(url, { ...options, json: { n: 1 } })
    },
    close: async ({ id }) => {
      const client = opened.get(id)
      opened.delete(id)
      await client?.close()
    }
  }
}

/** A layer of `Llm`, built for the server of each row with its first call, and closed after it. */
export const ofLlm = <E>(make: (target: Target) => Layer.Layer<Llm, E>): Client => {
  const { ask, close, stream } = ofClient((target) => fromLayer(make(target)))
  return { ask, close, stream }
}
