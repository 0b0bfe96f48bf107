/** Tool calls as they come: whole, or in fragments that are put together. */
import type { ToolCall } from "../Message.ts"
import { parsed } from "./json.ts"

/** A call whose arguments came as a text of JSON; no text at all is no arguments. */
export const fromText = (id: string, name: string, inputText: string): ToolCall => ({
  id,
  name,
  input: inputText.trim() === "" ? {} : parsed(inputText),
  inputText: inputText.trim() === "" ? "{}" : inputText
})

/** A call whose arguments came as a value. */
export const fromValue = (id: string, name: string, input: unknown): ToolCall => ({
  id,
  name,
  input: input ?? {},
  inputText: JSON.stringify(input ?? {})
})

/** An answer that ran out of tokens breaks off inside its last call: what is not JSON then is no call. */
export const whole = (calls: ReadonlyArray<ToolCall>, isCutShort: boolean): ReadonlyArray<ToolCall> =>
  isCutShort ? calls.filter(({ input }) => input !== undefined) : calls

interface Fragments {
  id: string
  name: string
  input: string
}

/** Puts fragments together. A key is the index that a provider gives a call; an id that is new begins a new call. */
export class ToolCallFragments {
  private readonly calls: Array<Fragments> = []
  private readonly byKey = new Map<number, Fragments>()

  push(key: number, id: string | undefined, name: string | undefined, input: string | undefined): void {
    let call = this.byKey.get(key)
    // Some servers give every call the index 0; their ids tell them apart.
    if (call === undefined || (id !== undefined && id !== "" && call.id !== "" && call.id !== id)) {
      call = { id: "", name: "", input: "" }
      this.calls.push(call)
      this.byKey.set(key, call)
    }
    if (id !== undefined && id !== "") call.id = id
    // The name comes once; servers that repeat it with each fragment repeat it whole.
    if (name !== undefined && name !== "") call.name = name
    if (input !== undefined) call.input += input
  }

  get size(): number {
    return this.calls.length
  }

  /** The calls so far. */
  get all(): ReadonlyArray<ToolCall> {
    return this.calls.map(({ id, input, name }, index) => fromText(id === "" ? `call_${index}` : id, name, input))
  }
}
