/** Tool calls as they come: whole, or in fragments that are put together. */
import type { Message, ToolCall } from "../Message.ts"
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

interface Conversation {
  readonly messages: ReadonlyArray<Message>
}

/**
 * The ids of one answer's calls. They are made up where the provider gives none, or one twice, and differ then from all of
 * the conversation's: some providers want that.
 */
export class CallIds {
  private readonly taken: Set<string>
  private readonly given = new Set<string>()
  private next: number

  constructor({ messages }: Conversation) {
    const calls = messages.flatMap((message) => (message.role === "assistant" ? (message.toolCalls ?? []) : []))
    this.taken = new Set(calls.map(({ id }) => id))
    this.next = calls.length
  }

  of(id: string | undefined): string {
    const known = id !== undefined && id !== "" && !this.given.has(id) ? id : this.madeUp()
    this.given.add(known)
    return known
  }

  private madeUp(): string {
    let id = `call_${this.next++}`
    while (this.taken.has(id) || this.given.has(id)) id = `call_${this.next++}`
    return id
  }
}

/**
 * The conversation with each result behind the turn that asked for it, whatever was said in between: providers take
 * nothing there.
 */
export const adjoined = (messages: ReadonlyArray<Message>): ReadonlyArray<Message> => {
  const joined: Array<Message> = []
  let behind: number | undefined
  for (const message of messages) {
    if (message.role === "tool" && behind !== undefined) joined.splice(behind++, 0, message)
    else joined.push(message)
    if (message.role === "assistant" && (message.toolCalls ?? []).length > 0) behind = joined.length
  }
  return joined
}

interface Fragments {
  id: string
  name: string
  input: string
}

/** Puts fragments together. A key is the index that a provider gives a call; an id that is new begins a new call. */
export class ToolCallFragments {
  private readonly calls: Array<Fragments> = []
  private readonly byKey = new Map<number, Fragments>()
  private readonly conversation: Conversation

  constructor(conversation: Conversation) {
    this.conversation = conversation
  }

  /** Without a key, an id that is known names its call, one that is new begins a call, and none goes on with the last. */
  push(key: number | undefined, id: string = "", name: string = "", input: string = ""): void {
    const known = key === undefined ? this.named(id) : this.byKey.get(key)
    // Some servers give every call the index 0; their ids tell them apart.
    const isOther = known !== undefined && id !== "" && known.id !== "" && known.id !== id
    const call = known === undefined || isOther ? this.begin(key) : known
    if (id !== "") call.id = id
    // The name comes once; servers that repeat it with each fragment repeat it whole.
    if (name !== "") call.name = name
    call.input += input
  }

  private named(id: string): Fragments | undefined {
    return id === "" ? this.calls.at(-1) : this.calls.find((call) => call.id === id)
  }

  private begin(key: number | undefined): Fragments {
    const call = { id: "", name: "", input: "" }
    this.calls.push(call)
    if (key !== undefined) this.byKey.set(key, call)
    return call
  }

  get size(): number {
    return this.calls.length
  }

  /** The calls so far. */
  get all(): ReadonlyArray<ToolCall> {
    const ids = new CallIds(this.conversation)
    return this.calls.map(({ id, input, name }) => fromText(ids.of(id), name, input))
  }
}
