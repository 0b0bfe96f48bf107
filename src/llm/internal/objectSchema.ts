/** What an object has to be: what the model is told of it, and how its answer is decoded. */
import * as OpenAiStructuredOutput from "effect/ai/OpenAiStructuredOutput"
import * as Effect from "effect/Effect"
import * as JsonPointer from "effect/JsonPointer"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "effect/StandardSchema"
import type { JsonSchema } from "../Llm.ts"
import { messageOf } from "./errorText.ts"
import { toStrict } from "./strictSchema.ts"

/**
 * What an object has to be: a Schema of Effect; a Standard Schema that tells its JSON Schema, as those of zod 4.2 and
 * ArkType do (https://standardschema.dev/json-schema); or any Standard Schema or decoder beside a JSON Schema.
 */
export type Source<A, R = never> =
  | Schema.ConstraintDecoder<A, R>
  | (StandardSchemaV1<unknown, A> & StandardJSONSchemaV1<unknown, A>)
  | { readonly jsonSchema: JsonSchema; readonly schema: StandardSchemaV1<unknown, A> }
  | {
      readonly jsonSchema: JsonSchema
      /** Its failure's message is what the model is told. */
      readonly decode: (value: unknown) => Effect.Effect<A, unknown, R>
    }

/** A source as it is used. */
export interface Shape<A, R> {
  readonly jsonSchema: JsonSchema
  /** `true` where the schema is in the strict subset. */
  readonly strict: true | undefined
  /** Fails with what is wrong, one line each. */
  readonly decode: (value: unknown) => Effect.Effect<A, ReadonlyArray<string>, R>
}

/** In `isStrict` shape where the source has one. Throws a `TypeError` for a source that tells no JSON Schema. */
export const shapeOf = <A, R>(source: Source<A, R>, isStrict: boolean): Shape<A, R> => {
  if (isEffectSchema(source)) return (isStrict ? strictEffectShape(source) : undefined) ?? effectShape(source)
  checkSource(source)
  if ("~standard" in source) {
    return { ...sent(jsonSchemaOf(source["~standard"]), isStrict), decode: standardDecoder(source) }
  }
  const { jsonSchema } = source
  const decode =
    "schema" in source
      ? standardDecoder(source.schema)
      : (value: unknown) => Effect.mapError(source.decode(value), (error) => bounded([messageOf(error)]))
  return { ...sent(jsonSchema, isStrict), decode }
}

/** What the types promise, for programs without types: a JSON Schema alone decodes nothing. */
const checkSource = (source: unknown): void => {
  const isGiven = (typeof source === "object" && source !== null) || typeof source === "function"
  if (isGiven && ("~standard" in source || ("jsonSchema" in source && ("schema" in source || "decode" in source))))
    return
  throw new TypeError(
    "what an object has to be is a Schema of Effect, a Standard Schema, { schema, jsonSchema } or { decode, jsonSchema }"
  )
}

/** The name of an object or a tool, which every provider has to take. Throws a `TypeError` for another one. */
export const checkName = (name: string): string => {
  if (/^[\w-]{1,64}$/.test(name)) return name
  throw new TypeError(
    `the name ${JSON.stringify(name)} is not 1 to 64 letters, digits, _ and -, which is all that providers take`
  )
}

const isEffectSchema = <A, R>(source: Source<A, R>): source is Schema.ConstraintDecoder<A, R> => Schema.isSchema(source)

const sent = (jsonSchema: JsonSchema, isStrict: boolean): Pick<Shape<never, never>, "jsonSchema" | "strict"> => {
  const strict = isStrict ? toStrict(jsonSchema) : undefined
  return { jsonSchema: strict ?? jsonSchema, strict: strict === undefined ? undefined : true }
}

/** The schema as it is, with its root in place: no provider takes a reference there. */
const effectShape = <A, R>(schema: Schema.ConstraintDecoder<A, R>): Shape<A, R> => {
  const document = Schema.toJsonSchemaDocument(schema, { generateDescriptions: true, onExcessProperty: "error" })
  const { $ref } = document.schema
  const key = typeof $ref === "string" ? JsonPointer.parseUriFragment($ref)?.at(-1) : undefined
  const root = (key === undefined ? undefined : document.definitions[key]) ?? document.schema
  const jsonSchema = withoutUnused({ ...root, $defs: document.definitions })
  return { jsonSchema, strict: undefined, decode: effectDecoder(Schema.toCodecJson(schema)) }
}

/**
 * The schema in Effect's shape for strict mode: what may be left out is `null`, a record is a list of pairs and a tuple an
 * object with numbers for keys. A provider that checks nothing may answer in the schema's own shape all the same.
 */
const strictEffectShape = <A, R>(schema: Schema.ConstraintDecoder<A, R>): Shape<A, R> | undefined => {
  const transformed = strictCodec(schema)
  const jsonSchema = transformed === undefined ? undefined : toStrict(transformed.jsonSchema)
  if (transformed === undefined || jsonSchema === undefined) return undefined
  const strictly = effectDecoder(transformed.codec)
  const asItIs = effectDecoder(Schema.toCodecJson(schema))
  const decode = (value: unknown): Effect.Effect<A, ReadonlyArray<string>, R> =>
    Effect.catch(strictly(value), (issues) => Effect.mapError(asItIs(value), () => issues))
  return { jsonSchema: withoutUnused(jsonSchema), strict: true, decode }
}

/** Effect throws where the root is no object. */
const strictCodec = <A, R>(
  schema: Schema.ConstraintDecoder<A, R>
): ReturnType<typeof OpenAiStructuredOutput.toCodecOpenAI<A, unknown, R, unknown>> | undefined => {
  try {
    return OpenAiStructuredOutput.toCodecOpenAI(schema)
  } catch {
    return undefined
  }
}

/** Definitions that nobody refers to, such as that of the root, are tokens for nothing. */
const withoutUnused = ({ $defs, ...schema }: JsonSchema): JsonSchema =>
  JSON.stringify(schema).includes('"$ref":') ? { ...schema, $defs } : schema

/** Effect's shape for strict mode takes the words of these checks away (effect/ai/internal/structured-output.ts, 4.1). */
const words: Readonly<Record<string, string>> = {
  "effect/schema/isInt": "Expected an integer",
  "effect/schema/isFinite": "Expected a finite number"
}

const checkHook: SchemaIssue.CheckHook = (issue) => {
  const { expected, representation } = issue.filter.annotations ?? {}
  const own = expected === undefined ? words[representation?.id ?? ""] : undefined
  return SchemaIssue.defaultCheckHook(issue) ?? own
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1({ checkHook })

const effectDecoder = <A, R>(codec: Schema.ConstraintDecoder<A, R>): Shape<A, R>["decode"] => {
  const decode = Schema.decodeUnknownEffect(codec, { errors: "all" })
  return (value) => Effect.mapError(decode(value), ({ issue }) => lines(issuesOf(issue).issues))
}

const standardDecoder =
  <A>(schema: StandardSchemaV1<unknown, A>): Shape<A, never>["decode"] =>
  (value) =>
    Effect.suspend(() => {
      const validated = schema["~standard"].validate(value)
      const result = "then" in validated ? Effect.promise(() => validated) : Effect.succeed(validated)
      return Effect.flatMap(result, (result) =>
        result.issues === undefined ? Effect.succeed(result.value) : Effect.fail(lines(result.issues))
      )
    })

const jsonSchemaOf = ({ jsonSchema, vendor }: Partial<StandardJSONSchemaV1.Props>): JsonSchema => {
  if (jsonSchema === undefined) {
    throw new TypeError(`the schema of ${vendor} does not tell its JSON Schema; give it as { schema, jsonSchema }`)
  }
  const { $schema: _, ...schema } = told(jsonSchema, vendor)
  return schema
}

const told = ({ input }: StandardJSONSchemaV1.Converter, vendor: string | undefined): JsonSchema => {
  try {
    return input({ target: "draft-2020-12" })
  } catch (cause) {
    const why = messageOf(cause)
    throw new TypeError(
      `the schema of ${vendor} does not tell its JSON Schema (${why}); give it as { schema, jsonSchema }`,
      {
        cause
      }
    )
  }
}

// More than a model mends at once, and no more than a message has room for.
const maxLines = 10
const maxLineLength = 200

const bounded = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines
    .slice(0, maxLines)
    .map((line) => (line.length > maxLineLength ? `${line.slice(0, maxLineLength)}…` : line).replaceAll("\n", " "))
    // Half of a pair is no text, and providers refuse it.
    .map((line) => line.toWellFormed())

/** An issue as `$.items[0].price: Expected number`; the path as RFC 9535 writes it. */
const lines = (issues: ReadonlyArray<StandardSchemaV1.Issue>): ReadonlyArray<string> =>
  bounded(issues.slice(0, maxLines).map(({ message, path = [] }) => `$${path.map(segment).join("")}: ${message}`))

const segment = (part: PropertyKey | StandardSchemaV1.PathSegment): string => {
  const key = typeof part === "object" ? part.key : part
  if (typeof key === "number") return `[${key}]`
  const name = String(key)
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
}
