/** A turn as its provider wrote it, which counts only while the turn's plain fields say the same. */
import * as Equal from "effect/Equal"
import type { AssistantMessage, ToolCall } from "../Message.ts"
import { type Json, records } from "./json.ts"

/** A turn by its plain fields, as they are read from what the provider wrote. */
export interface Plain {
  readonly text: string
  readonly reasoning: string
  /** Without an `id`: the provider gives none. */
  readonly calls: ReadonlyArray<{ readonly id?: string | undefined; readonly name: unknown; readonly input: unknown }>
}

/** How a wire format reads its own turns. */
export interface Reader {
  /** Its name in a turn's `native`. */
  readonly format: string
  readonly read: (blocks: ReadonlyArray<Json>) => Plain
  /** Arguments as the provider takes them. */
  readonly inputOf: (call: ToolCall) => unknown
}

/**
 * The blocks of a turn of this format, to be given back as they came. None where somebody has edited the turn: what was
 * taken out of it must not come back.
 */
export const ownBlocks = (message: AssistantMessage, { format, inputOf, read }: Reader): ReadonlyArray<Json> => {
  const { content, native, reasoning = "", toolCalls = [] } = message
  if (native?.format !== format) return []
  const blocks = records(native.content)
  const plain = read(blocks)
  const isSame =
    plain.text === content &&
    plain.reasoning === reasoning &&
    plain.calls.length === toolCalls.length &&
    toolCalls.every((call, index) => isSameCall(plain.calls[index], call, inputOf(call)))
  return isSame ? blocks : []
}

const isSameCall = (own: Plain["calls"][number] | undefined, { id, name }: ToolCall, input: unknown): boolean =>
  own !== undefined && (own.id ?? id) === id && own.name === name && Equal.equals(own.input, input)
