/**
 * JSON Schemas in the subset that OpenAI's strict mode takes, which Anthropic's and Gemini's structured outputs take, too:
 * every object closed, every property required, and no keyword that they do not know
 * (platform.openai.com/docs/guides/structured-outputs#supported-schemas, 2026-11).
 */
import type { JsonSchema } from "../Llm.ts"
import { isRecord, type Json, record, records } from "./json.ts"

/** Kept as they are. */
const plain = new Set(
  "$ref type title description enum const multipleOf minimum exclusiveMinimum maximum exclusiveMaximum minItems maxItems".split(
    " "
  )
)

/** Kept with what is in them made strict. */
const nested = new Set("properties items anyOf oneOf $defs definitions required additionalProperties".split(" "))

/** They only narrow what fits, and the decoder checks them again: they are told in words. */
const worded = new Set("minLength maxLength uniqueItems default examples format pattern contentEncoding".split(" "))

/** They tell a model nothing. */
const ignored = new Set(["$schema", "$id", "$comment"])

const formats = new Set("date-time time date duration email hostname ipv4 ipv6 uuid".split(" "))

/** Automata have no look-around. */
const lookaround = /\(\?<?[=!]/

const hasKnownFormat = ({ format }: Json): boolean => typeof format === "string" && formats.has(format)

/** Whether strict mode reads a keyword that is otherwise told in words. */
const isRead = (key: string, value: unknown, node: Json): boolean =>
  (key === "format" && hasKnownFormat(node)) ||
  (key === "pattern" && typeof value === "string" && !lookaround.test(value))

const acceptsNull = ({ anyOf, enum: values, oneOf, type }: Json): boolean =>
  type === "null" ||
  (Array.isArray(type) && type.includes("null")) ||
  (Array.isArray(values) && values.includes(null)) ||
  records(anyOf ?? oneOf).some(acceptsNull)

/** Rewrites one schema, and notes where that cannot be done without another meaning. */
class Rewriting {
  isPossible = true

  /** A schema, or one inside of it. */
  node(node: unknown): Json {
    if (!isRecord(node)) return this.refuse()
    const strict: Record<string, unknown> = {}
    const words: Array<string> = []
    for (const [key, value] of Object.entries(node)) {
      // A format that is known says all that its pattern does.
      if (key === "pattern" && hasKnownFormat(node)) continue
      if (plain.has(key) || isRead(key, value, node)) strict[key] = value
      else if (worded.has(key)) words.push(`${key}: ${JSON.stringify(value)}`)
      else if (!nested.has(key) && !ignored.has(key)) return this.refuse()
    }
    // What has no type may be anything, which strict mode does not know.
    if (!["type", "enum", "const", "$ref", "anyOf", "oneOf"].some((key) => key in node)) return this.refuse()
    this.inside(node, strict)
    if (words.length > 0) {
      const { description } = node
      strict["description"] = [...(typeof description === "string" ? [description] : []), ...words].join("; ")
    }
    return strict
  }

  private inside(node: Json, strict: Record<string, unknown>): void {
    // One of several is weaker as any of several; the decoder sees to the rest.
    const choices = node["anyOf"] ?? node["oneOf"]
    if (Array.isArray(choices)) strict["anyOf"] = choices.map((choice) => this.node(choice))
    if ("items" in node) strict["items"] = this.node(node["items"])
    for (const key of ["$defs", "definitions"]) {
      const definitions = record(node[key])
      if (definitions !== undefined) strict[key] = this.each(definitions)
    }
    if (node["type"] === "object" || "properties" in node) this.object(node, strict)
    else if ("additionalProperties" in node) this.refuse()
  }

  private object(node: Json, strict: Record<string, unknown>): void {
    const properties = record(node["properties"]) ?? {}
    const required = new Set(Array.isArray(node["required"]) ? node["required"] : [])
    const { additionalProperties } = node
    // A record has keys of its own. One without a word about them is only asked for fewer than it takes.
    if (additionalProperties !== false && !(additionalProperties === undefined && "properties" in node)) this.refuse()
    // Closing the object would close it for the properties of its alternatives.
    if ("anyOf" in node || "oneOf" in node) this.refuse()
    for (const [name, property] of Object.entries(properties)) {
      // What may be left out has to be said with `null` then.
      if (!required.has(name) && !(isRecord(property) && acceptsNull(property))) this.refuse()
    }
    strict["properties"] = this.each(properties)
    strict["required"] = Object.keys(properties)
    strict["additionalProperties"] = false
  }

  private each(schemas: Json): Json {
    return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, this.node(schema)]))
  }

  private refuse(): Json {
    this.isPossible = false
    return {}
  }
}

/** The schema in the strict subset: it takes no more than the schema does. `undefined` where there is none. */
export const toStrict = (schema: JsonSchema): JsonSchema | undefined => {
  if (schema["type"] !== "object") return undefined
  const rewriting = new Rewriting()
  const strict = rewriting.node(schema)
  return rewriting.isPossible ? strict : undefined
}
