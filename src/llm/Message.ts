/** What is said to and by a model: texts, images, files, reasoning, tool calls and their results. */

/** Who speaks; `"tool"` is the program that ran a tool call. */
export type Role = "system" | "user" | "assistant" | "tool"

/** A piece of text. */
export interface TextPart {
  readonly type: "text"
  readonly text: string
}

/** Bytes of a message: as they are, or in base64. */
export type Data = Uint8Array | string

/** A picture: its bytes with their media type, or an address that the provider fetches. */
export type ImagePart =
  | { readonly type: "image"; readonly data: Data; readonly mediaType: string }
  | { readonly type: "image"; readonly url: string }

/** A document such as a PDF: its bytes with their media type, or an address that the provider fetches. */
export type FilePart =
  | { readonly type: "file"; readonly data: Data; readonly mediaType: string; readonly name?: string | undefined }
  | { readonly type: "file"; readonly url: string; readonly mediaType?: string | undefined }

/** What a user's message is made of. */
export type Part = TextPart | ImagePart | FilePart

/** What a model wants to have run. */
export interface ToolCall {
  /** Names this call in its result. Made up where the provider gives none. */
  readonly id: string
  /** The name of the tool. */
  readonly name: string
  /** The arguments; `undefined` where the model did not write JSON. */
  readonly input: unknown
  /** The arguments as the model wrote them. */
  readonly inputText: string
}

/**
 * A turn as its provider wrote it, given back unchanged in the next request: signatures of reasoning are in it, without
 * which some providers refuse to go on. Nobody else reads it. It counts only while the turn's `content`, `reasoning` and
 * `toolCalls` say the same: what somebody has taken out of a turn does not come back.
 */
export interface Native {
  /** The wire format, e.g. `"anthropic"`. A provider of another one goes by the turn's plain fields. */
  readonly format: string
  readonly content: unknown
}

/** Standing instructions. */
export interface SystemMessage {
  readonly role: "system"
  readonly content: string
}

/** What the person or program says. */
export interface UserMessage {
  readonly role: "user"
  readonly content: string | ReadonlyArray<Part>
}

/** What the model said. */
export interface AssistantMessage {
  readonly role: "assistant"
  readonly content: string
  readonly reasoning?: string | undefined
  readonly toolCalls?: ReadonlyArray<ToolCall> | undefined
  readonly native?: Native | undefined
}

/** What came of one tool call. */
export interface ToolMessage {
  readonly role: "tool"
  readonly toolCallId: string
  /** The tool's name; Gemini asks for it. */
  readonly toolName: string
  readonly content: string
  /** The tool failed, and `content` says how. Default: `false`. */
  readonly isError?: boolean | undefined
}

/** One turn of a conversation. */
export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage

/** Standing instructions. */
export const system = (content: string): SystemMessage => ({ role: "system", content })

/** What the person or program says. */
export const user = (content: string | ReadonlyArray<Part>): UserMessage => ({ role: "user", content })

/** What the model said. The whole of it, tool calls and signatures included, is an answer's `message`. */
export const assistant = (content: string): AssistantMessage => ({ role: "assistant", content })

/** A model's turn, with what is empty left out. */
export const turn = ({
  native,
  reasoning,
  text,
  toolCalls
}: {
  readonly text: string
  readonly reasoning?: string | undefined
  readonly toolCalls?: ReadonlyArray<ToolCall> | undefined
  readonly native?: Native | undefined
}): AssistantMessage => ({
  role: "assistant",
  content: text,
  ...(reasoning === undefined || reasoning === "" ? undefined : { reasoning }),
  ...(toolCalls === undefined || toolCalls.length === 0 ? undefined : { toolCalls }),
  ...(native === undefined ? undefined : { native })
})

/** What came of a tool call. */
export const toolResult = (
  call: Pick<ToolCall, "id" | "name">,
  content: string,
  isError?: boolean | undefined
): ToolMessage => ({
  role: "tool",
  toolCallId: call.id,
  toolName: call.name,
  content,
  ...(isError === undefined ? undefined : { isError })
})

/** A picture, by its bytes. */
export const image = (data: Data, mediaType: string): ImagePart => ({ type: "image", data, mediaType })

/** A document, by its bytes. */
export const file = (data: Data, mediaType: string, name?: string): FilePart => ({
  type: "file",
  data,
  mediaType,
  ...(name === undefined ? undefined : { name })
})

/** The text of a message, whatever it is made of. */
export const textOf = ({ content }: Message): string =>
  typeof content === "string" ? content : content.map((part) => (part.type === "text" ? part.text : "")).join("")
