/**
 * What is kept under our own key in the metadata of effect/ai's parts: the turn as its provider wrote it, on a part that a
 * chat gives back, and what an answer tells beyond effect/ai, on its finish.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Native } from "../Message.ts"
import { record, text } from "./json.ts"

export const key = "holdfast"

/** A value as JSON has it; what JSON does not have is left out, as `JSON.stringify` leaves it out. */
export const toJson = (value: unknown): Schema.MutableJson | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      return Number.isFinite(value) ? value : null
    case "object":
      if (value === null) return null
      if (Array.isArray(value)) return value.map((one: unknown) => toJson(one) ?? null)
      return toJsonObject(value)
    default:
      return undefined
  }
}

export const toJsonObject = (value: object): Record<string, Schema.MutableJson> => {
  const fields: Record<string, Schema.MutableJson> = {}
  for (const [name, field] of Object.entries(value)) {
    const json = toJson(field)
    if (json !== undefined) fields[name] = json
  }
  return fields
}

/** A turn by what effect/ai sees of it. */
export interface Turn {
  readonly text: string
  readonly reasoning: string
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: string; readonly params: unknown }>
}

/** Tells a turn that somebody edited from the one that its provider wrote. */
const fingerprint = ({ calls, reasoning, text }: Turn): number =>
  Hash.string(JSON.stringify([text, reasoning, calls.map(({ id, name, params }) => [id, name, params])]))

/** The fields that carry a native turn. */
export const markOf = (native: Native | undefined, turn: Turn): Record<string, Schema.MutableJson> | undefined => {
  const content = native === undefined ? undefined : toJson(native.content)
  if (native === undefined || content === undefined) return undefined
  return { native: { format: native.format, content }, turn: fingerprint(turn) }
}

/**
 * The native turn that a history gives back. None where the turn is not any more what it was: what a provider wrote must
 * not come back in the place of what somebody made of it.
 */
export const nativeOf = (options: ReadonlyArray<Prompt.ProviderOptions>, turn: Turn): Native | undefined => {
  for (const option of options) {
    const mark = record(option[key])
    const native = record(mark?.native)
    const format = text(native?.format)
    if (native === undefined || format === undefined) continue
    return mark?.turn === fingerprint(turn) ? { format, content: native.content } : undefined
  }
  return undefined
}

const Attempt = Schema.Struct({
  endpoint: Schema.String,
  startMillis: Schema.Number,
  durationMillis: Schema.Number,
  outcome: Schema.String,
  phase: Schema.optional(Schema.Literals(["notSent", "rejected", "maybeSent", "answered"])),
  waitMillis: Schema.Number,
  waitCause: Schema.Literals(["none", "backoff", "retryAfter", "hedge"]),
  queuedMillis: Schema.Number
})

/** What an answer tells beyond effect/ai. */
const Details = Schema.Struct({
  attempts: Schema.Array(Attempt),
  cost: Schema.optional(Schema.Number),
  requestId: Schema.optional(Schema.String),
  servedBy: Schema.optional(Schema.String),
  isEstimate: Schema.optional(Schema.Boolean)
})

const decode = Schema.decodeUnknownOption(Details)

/** The details of a finish that is ours. */
export const detailsOf = (metadata: Readonly<Record<string, unknown>>): typeof Details.Type | undefined =>
  Option.getOrUndefined(decode(metadata[key]))
