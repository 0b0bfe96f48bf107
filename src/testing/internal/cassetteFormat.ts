/**
 * What is in a cassette's file, and how it is printed: JSON with one frame on a line, so that a diff shows what changed.
 * It is the same however often it is printed, and any formatter may touch it.
 */
import * as Schema from "effect/Schema"
import { isUtf8 } from "node:buffer"

/** The number in the file; another one is another format. */
const version = 1

/** What a secret reads as. When a request is looked up it stands for any text. */
export const redacted = "REDACTED"

const RequestRecord = Schema.Struct({
  method: Schema.String,
  /** Without user and password. */
  url: Schema.String,
  headers: Schema.Record(Schema.String, Schema.String),
  /** One of three, or none: JSON, other text, or bytes. */
  body: Schema.optionalKey(Schema.Json),
  bodyText: Schema.optionalKey(Schema.String),
  bodyBase64: Schema.optionalKey(Schema.String)
})

/** A request as it is kept. */
export type RequestRecord = typeof RequestRecord.Type

const FailureRecord = Schema.Struct({
  description: Schema.String,
  /** The system's or the transport's code, e.g. `"ECONNRESET"`. */
  code: Schema.optionalKey(Schema.String),
  phase: Schema.Literals(["notSent", "rejected", "maybeSent", "answered"])
})

/** A connection that broke. */
export type FailureRecord = typeof FailureRecord.Type

/** Milliseconds since the headers, how the bytes are written, and the bytes. */
const Frame = Schema.Tuple([Schema.Number, Schema.Literals(["text", "base64"]), Schema.String])

/** A piece of a body as it came from the socket. */
export type Frame = typeof Frame.Type

const ResponseRecord = Schema.Struct({
  status: Schema.Int,
  headers: Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Array(Schema.String)])),
  /** Until the headers were there. */
  afterMillis: Schema.Number,
  frames: Schema.Array(Frame),
  /** `"whole"`, `"left"` by its reader before it was over, `"unread"`, or how it broke. */
  end: Schema.Union([Schema.Literals(["whole", "left", "unread"]), FailureRecord])
})

/** An answer as it is kept. */
export type ResponseRecord = typeof ResponseRecord.Type

const Exchange = Schema.Struct({
  request: RequestRecord,
  /** The answer, a connection that broke before there was one, or `"left"`: nobody waited for it. */
  response: Schema.Union([ResponseRecord, FailureRecord, Schema.Literal("left")])
})

/** A request and what came of it. */
export type Exchange = typeof Exchange.Type

const File = Schema.Struct({ cassette: Schema.Literal(version), exchanges: Schema.Array(Exchange) })

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(File))

/** Reads the text of a file. */
export const parse = (text: string): ReturnType<typeof decode> => decode(text)

/** The text of a file. */
export const print = (exchanges: ReadonlyArray<Exchange>): string => `${lines({ cassette: version, exchanges }, "")}\n`

/** The longest line that an object or an array has for itself. */
const width = 120

const lines = (value: unknown, indent: string): string => {
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const isList = Array.isArray(value)
  const flat = inOneLine(value)
  // A frame is one line, however long.
  if (flat.length + indent.length <= width || (isList && value.every((item) => typeof item !== "object"))) return flat
  const deeper = `${indent}  `
  const parts = isList
    ? value.map((item: unknown) => deeper + lines(item, deeper))
    : fieldsOf(value).map(([name, field]) => `${deeper}${JSON.stringify(name)}: ${lines(field, deeper)}`)
  const [open, close] = isList ? "[]" : "{}"
  return `${open}\n${parts.join(",\n")}\n${indent}${close}`
}

const inOneLine = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(inOneLine).join(", ")}]`
  const fields = fieldsOf(value).map(([name, field]) => `${JSON.stringify(name)}: ${inOneLine(field)}`)
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`
}

const fieldsOf = (value: object): ReadonlyArray<readonly [string, unknown]> => Object.entries(value)

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Bytes as text where they are text, else in base64. */
export const toText = (bytes: Uint8Array): readonly ["text" | "base64", string] =>
  isUtf8(bytes)
    ? ["text", decoder.decode(bytes)]
    : ["base64", Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")]

/** The bytes of a frame. */
export const bytesOf = ([, encoding, text]: Frame): Uint8Array =>
  new Uint8Array(Buffer.from(text, encoding === "text" ? "utf8" : "base64"))
