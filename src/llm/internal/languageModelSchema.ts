/** The schemas of `generateObject`, in the form that `LlmObject` sends and every provider takes. */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as OpenAiStructuredOutput from "effect/ai/OpenAiStructuredOutput"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ResponseFormat } from "../Llm.ts"
import { messageOf } from "./errorText.ts"
import { shapeOf } from "./objectSchema.ts"

/** Effect throws where a schema has no strict form: its root is no object, or it cannot be JSON at all. */
const strictly = <T, E, RD, RE>(
  schema: Schema.ConstraintCodec<T, E, RD, RE>
): Result.Result<ReturnType<typeof OpenAiStructuredOutput.toCodecOpenAI<T, E, RD, RE>>, string> =>
  Result.try({ try: () => OpenAiStructuredOutput.toCodecOpenAI(schema), catch: messageOf })

/**
 * What strict mode takes: what is optional is `null`, a record a list of pairs, a tuple an object. A provider that checks
 * nothing may answer in the schema's own form all the same, so both are read.
 */
export const portable: LanguageModel.CodecTransformer = (schema) => {
  const { jsonSchema } = shapeOf(schema, true)
  const asItIs = Schema.toCodecJson(schema)
  const strict = strictly(schema)
  if (Result.isFailure(strict)) return { codec: asItIs, jsonSchema }
  const { codec } = strict.success
  return { codec: isSameForm(codec, asItIs) ? asItIs : Schema.Union([codec, asItIs]), jsonSchema }
}

/** Then the schema's own form is enough: it tells once what does not fit, and has words for all of its checks. */
const isSameForm = (a: Schema.Constraint, b: Schema.Constraint): boolean =>
  JSON.stringify(Schema.toJsonSchemaDocument(a)) === JSON.stringify(Schema.toJsonSchemaDocument(b))

type Json = Extract<LanguageModel.ProviderOptions["responseFormat"], { readonly type: "json" }>

/** The format of an answer that is an object. Throws where its schema cannot be told. */
export const toFormat = ({ objectName, schema }: Json, transformer: LanguageModel.CodecTransformer): ResponseFormat => {
  const { jsonSchema, strict } =
    transformer === portable ? shapeOf(schema, true) : { ...transformer(schema), strict: undefined }
  // A schema's identifier may be any text; providers take 64 letters, digits, `_` and `-`.
  const name = objectName.replaceAll(/[^\w-]/g, "_").slice(0, 64)
  return { type: "jsonSchema", schema: jsonSchema, name, strict }
}
