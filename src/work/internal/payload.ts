/** Payloads to JSON and back by a schema. In a module of its own: who has no schema does not load Schema. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidPayload } from "../WorkQueueError.ts"

export interface Codec<A> {
  readonly encode: (payload: A) => Effect.Effect<unknown, InvalidPayload>
  readonly decode: (element: unknown) => Effect.Effect<A, InvalidPayload>
}

export const codecOf = <A>(schema: Schema.Codec<A, unknown>): Codec<A> => {
  const json = Schema.toCodecJson(schema)
  const invalid = (cause: Schema.SchemaError): InvalidPayload =>
    new InvalidPayload({ description: `the payload does not fit the schema: ${cause.message}`, cause })
  const encode = Schema.encodeUnknownEffect(json)
  const decode = Schema.decodeUnknownEffect(json)
  return {
    encode: (payload) => Effect.mapError(encode(payload), invalid),
    decode: (element) => Effect.mapError(decode(element), invalid)
  }
}
