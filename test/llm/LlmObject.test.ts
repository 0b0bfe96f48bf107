import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Ref, Schema, SchemaGetter, type StandardSchema } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Llm, LlmError, LlmObject, Message, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestLlm } from "holdfast/testing"
import { inspect } from "node:util"

const City = Schema.Struct({ name: Schema.String, population: Schema.Finite })
const paris = { name: "Paris", population: 2_100_000 }

/** Runs with a script, and tells what the model was asked, too. */
const scripted = <A, E>(
  script: Parameters<typeof TestLlm.layer>[0],
  program: Effect.Effect<A, E, Llm.Llm>
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly requests: ReadonlyArray<Llm.Request> }> =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(program)
    return { exit, requests: yield* Ref.get(yield* TestLlm.Requests) }
  }).pipe(Effect.provide(TestLlm.layer(script)))

const valueOf = <A>(exit: Exit.Exit<A, LlmError.LlmError>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  throw new Error(`failed: ${inspect(exit.cause)}`)
}

const errorOf = (exit: Exit.Exit<unknown, LlmError.LlmError>): LlmError.LlmError => {
  const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  if (reason?._tag === "Fail") return reason.error
  throw new Error(`did not fail: ${inspect(exit)}`)
}

const schemaOf = (request: Llm.Request | undefined) =>
  request?.responseFormat?.type === "jsonSchema" ? request.responseFormat : undefined

/** A schema by hand, as a library would make it. */
const standard = <A>(
  decode: (
    value: unknown
  ) => StandardSchema.StandardSchemaV1.Result<A> | Promise<StandardSchema.StandardSchemaV1.Result<A>>
): StandardSchema.StandardSchemaV1<unknown, A> => ({ "~standard": { version: 1, vendor: "test", validate: decode } })

const numbers = standard<ReadonlyArray<number>>((value) =>
  Array.isArray(value) && value.every((item) => typeof item === "number")
    ? { value }
    : { issues: [{ message: "not all are numbers", path: [{ key: "list" }, 0, "a b"] }] }
)

const priced = (usage: number, cost?: number): Partial<Llm.Answer> => ({
  usage: { inputTokens: usage, outputTokens: 1 },
  cost,
  attempts: [
    {
      endpoint: "openai https://api.test/v1",
      outcome: "ok",
      startMillis: 0,
      durationMillis: 1,
      waitMillis: 0,
      waitCause: "none",
      queuedMillis: 0
    }
  ]
})

describe("LlmObject", () => {
  it.effect("asks for the schema and decodes the answer by it", () =>
    Effect.gen(function* () {
      const Event = Schema.Struct({ title: Schema.NonEmptyString, at: Schema.DateFromString })
      const program = LlmObject.generate(Event, "When?", { name: "event", description: "An event" })
      const { exit, requests } = yield* scripted('{"title":"Moon","at":"1969-07-20T20:17:00Z"}', program)
      const { answers, value } = valueOf(exit)
      assert.deepStrictEqual([value.title, value.at.getUTCFullYear(), answers], ["Moon", 1969, 1])
      assert.deepStrictEqual(requests[0]?.responseFormat, {
        type: "jsonSchema",
        name: "event",
        description: "An event",
        strict: true,
        schema: {
          type: "object",
          properties: {
            title: { type: "string", description: "a value with a length of at least 1" },
            at: { type: "string", description: "a string that will be decoded as a Date" }
          },
          required: ["title", "at"],
          additionalProperties: false
        }
      })
    })
  )

  it.effect("shows the model what is wrong, until an answer fits", () =>
    Effect.gen(function* () {
      const replies = ['{"name":"Paris","population":"many"}', "It is Paris.", JSON.stringify(paris)]
      const { exit, requests } = yield* scripted(replies, LlmObject.generate(City, "Which city?"))
      const { answers, text, value } = valueOf(exit)
      assert.deepStrictEqual(value, paris)
      assert.deepStrictEqual([answers, text], [3, replies[2]])
      const said = requests[2]?.messages.map((message) => [message.role, Message.textOf(message)])
      assert.deepStrictEqual(
        said?.map(([role]) => role),
        ["user", "assistant", "user", "assistant", "user"]
      )
      assert.strictEqual(said?.[1]?.[1], replies[0])
      assert.include(said?.[2]?.[1], "- $.population: Expected number")
      assert.include(said?.[4]?.[1], "- $: it is not JSON")
    })
  )

  it.effect("gives up after `maxAnswers`, with everything that was used", () =>
    Effect.gen(function* () {
      const wrong = (usage: number) => ({ ...priced(usage, 0.25), text: `{"name":${usage}}`, requestId: `r${usage}` })
      const program = LlmObject.generate(City, "?", { maxAnswers: 2 })
      const { exit, requests } = yield* scripted([wrong(1), wrong(2), wrong(3)], program)
      const error = errorOf(exit)
      assert.strictEqual(requests.length, 2)
      assert.strictEqual(error.attempts.length, 2)
      assert.deepStrictEqual([error.provider, error.cost, error.requestId], ["openai", 0.5, "r2"])
      assert.deepStrictEqual([error.usage?.inputTokens, error.usage?.outputTokens], [3, 2])
      const { reason } = error
      assert.isTrue(reason._tag === "ObjectMismatch" && reason.answers === 2 && reason.text === '{"name":2}')
      assert.deepStrictEqual(reason._tag === "ObjectMismatch" ? reason.issues : [], [
        "$.name: Expected string",
        "$.population: Missing key"
      ])
      assert.notInclude(JSON.stringify(error), '{\\"name\\":2}')
    })
  )

  it.effect("adds up the usage, the cost and the attempts of all answers", () =>
    Effect.gen(function* () {
      const good = JSON.stringify(paris)
      const both = yield* scripted(
        [
          { ...priced(1, 0.25), text: "{}" },
          { ...priced(2, 0.5), text: good }
        ],
        ask
      )
      const { attempts, cost, usage } = valueOf(both.exit)
      assert.deepStrictEqual([usage.inputTokens, cost, attempts.length], [3, 0.75, 2])
      // A part of the sum would look like the whole.
      const half = yield* scripted(
        [
          { ...priced(1, 0.25), text: "{}" },
          { ...priced(2), text: good }
        ],
        ask
      )
      assert.isUndefined(valueOf(half.exit).cost)
    })
  )

  it.effect("tells what was used before when a later call fails", () =>
    Effect.gen(function* () {
      const failure = TestLlm.failure(new LlmError.Overloaded({ description: "busy" }))
      const error = errorOf((yield* scripted([{ ...priced(7, 0.5), text: "{}" }, Effect.fail(failure)], ask)).exit)
      assert.deepStrictEqual([error.code, error.isRetryable, error.provider], ["Overloaded", true, "test"])
      assert.deepStrictEqual([error.usage?.inputTokens, error.cost, error.attempts.length], [7, 0.5, 1])
      const alone = errorOf((yield* scripted(Effect.fail(failure), ask)).exit)
      assert.strictEqual(alone, failure)
    })
  )

  it.effect("fails at once when the model refuses", () =>
    Effect.gen(function* () {
      for (const reply of [
        { refusal: "I will not." },
        { text: JSON.stringify(paris), finishReason: "contentFilter" }
      ] as const) {
        const { exit, requests } = yield* scripted({ ...reply, ...priced(3) }, ask)
        const error = errorOf(exit)
        assert.deepStrictEqual([error.code, error.usage?.inputTokens, requests.length], ["ContentFiltered", 3, 1])
      }
    })
  )

  it.effect("does not ask again for what `maxTokens` cut off, and takes what is whole all the same", () =>
    Effect.gen(function* () {
      const { exit, requests } = yield* scripted({ text: '{"name":"Par', finishReason: "length" }, ask)
      const { reason } = errorOf(exit)
      assert.strictEqual(requests.length, 1)
      assert.strictEqual(
        reason.message,
        "no object in 1 answer ($: it was cut off by `maxTokens`); `text` has the last one, raise `maxTokens`"
      )
      // Some models go on with blanks without end.
      const blanks = { text: `${JSON.stringify(paris)}\n\n\n`, finishReason: "length" } as const
      assert.deepStrictEqual(valueOf((yield* scripted(blanks, ask)).exit).value, paris)
      const number = yield* scripted({ text: "12", finishReason: "length" }, LlmObject.generate(Schema.Finite, "?"))
      assert.strictEqual(errorOf(number.exit).code, "ObjectMismatch")
    })
  )

  it.effect("reads JSON as it is or in the only fence, and guesses at nothing else", () =>
    Effect.gen(function* () {
      const json = JSON.stringify(paris)
      const fence = "```json\n" + json + "\n```"
      const accepts = (text: string) =>
        Effect.map(scripted(text, LlmObject.generate(City, "?", { maxAnswers: 1 })), ({ exit }) => Exit.isSuccess(exit))
      assert.isTrue(yield* accepts(` \n${json}\n`))
      assert.isTrue(yield* accepts(fence))
      assert.isTrue(yield* accepts(`Here it is:\n${fence}\nAnything else?`))
      assert.isTrue(yield* accepts(fence.replaceAll("\n", "\r\n")))
      assert.isFalse(yield* accepts(`For example:\n${fence}\nSo:\n${fence}`))
      assert.isFalse(yield* accepts(`Here it is: ${json}`))
      assert.isFalse(yield* accepts(""))
      assert.isFalse(yield* accepts("null"))
    })
  )

  it.effect("leaves out a turn that said nothing when it asks again", () =>
    Effect.gen(function* () {
      const { exit, requests } = yield* scripted(["   ", JSON.stringify(paris)], ask)
      assert.deepStrictEqual(valueOf(exit).value, paris)
      assert.deepStrictEqual(
        requests[1]?.messages.map(({ role }) => role),
        ["user", "user"]
      )
    })
  )

  it.effect("sends each answer's request under a key of its own", () =>
    Effect.gen(function* () {
      const input = { ...Llm.toRequest("?"), idempotencyKey: "k" }
      const { requests } = yield* scripted(["{}", JSON.stringify(paris)], LlmObject.generate(City, input))
      assert.deepStrictEqual(
        requests.map(({ idempotencyKey }) => idempotencyKey),
        ["k", "k-2"]
      )
    })
  )

  it.effect("lets the model use no tools, and says so when it does", () =>
    Effect.gen(function* () {
      const call = { id: "1", name: "lookup", input: {}, inputText: "{}" }
      const input: Llm.Request = { ...Llm.toRequest("?"), tools: [{ name: "lookup" }] }
      const { exit, requests } = yield* scripted({ toolCalls: [call] }, LlmObject.generate(City, input))
      assert.deepStrictEqual([requests.length, requests[0]?.toolChoice], [1, "none"])
      assert.include(errorOf(exit).message, "($: it asks for lookup); `text` has the last one, run `ToolLoop` first")
      assert.notInclude(errorOf(exit).message, "maxAnswers")
      assert.isFalse("toolChoice" in ((yield* scripted("", ask)).requests[0] ?? {}))
    })
  )

  it.effect("rewrites what strict mode does not know, and decodes it in either shape", () =>
    Effect.gen(function* () {
      const Order = Schema.Struct({
        note: Schema.optionalKey(Schema.String),
        prices: Schema.Record(Schema.String, Schema.Finite)
      })
      const strictly = yield* scripted('{"note":null,"prices":[{"0":"tea","1":2}]}', LlmObject.generate(Order, "?"))
      assert.deepStrictEqual(valueOf(strictly.exit).value, { prices: { tea: 2 } })
      assert.deepStrictEqual(schemaOf(strictly.requests[0])?.schema["required"], ["note", "prices"])
      // A server that checks nothing.
      const loosely = yield* scripted('{"prices":{"tea":2}}', LlmObject.generate(Order, "?"))
      assert.deepStrictEqual(valueOf(loosely.exit).value, { prices: { tea: 2 } })
      const asItIs = yield* scripted('{"prices":{"tea":2}}', LlmObject.generate(Order, "?", { strict: false }))
      assert.deepStrictEqual(valueOf(asItIs.exit).value, { prices: { tea: 2 } })
      assert.isFalse(schemaOf(asItIs.requests[0])?.strict)
      assert.deepStrictEqual(schemaOf(asItIs.requests[0])?.schema["required"], ["prices"])
    })
  )

  it.effect("puts the schema of a class and of a tree where providers look for it", () =>
    Effect.gen(function* () {
      class Point extends Schema.Class<Point>("Point")({ x: Schema.Finite }) {}
      interface Tree {
        readonly name: string
        readonly children: ReadonlyArray<Tree>
      }
      const Tree = Schema.Struct({
        name: Schema.String,
        children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
      })
      for (const strict of [true, false]) {
        const point = yield* scripted('{"x":1}', LlmObject.generate(Point, "?", { strict }))
        assert.instanceOf(valueOf(point.exit).value, Point)
        const { schema } = schemaOf(point.requests[0]) ?? {}
        assert.deepStrictEqual([schema?.["type"], schema?.["$defs"]], ["object", undefined])
        const tree = yield* scripted('{"name":"a","children":[]}', LlmObject.generate(Tree, "?", { strict }))
        const format = schemaOf(tree.requests[0])
        assert.deepStrictEqual([format?.schema["type"], format?.strict], ["object", strict])
        assert.property(format?.schema, "$defs")
      }
    })
  )

  it.effect("sends a root that is no object as it is, without strict", () =>
    Effect.gen(function* () {
      const { exit, requests } = yield* scripted('["a"]', LlmObject.generate(Schema.Array(Schema.String), "?"))
      assert.deepStrictEqual(valueOf(exit).value, ["a"])
      assert.deepStrictEqual(
        [schemaOf(requests[0])?.schema["type"], schemaOf(requests[0])?.strict],
        ["array", undefined]
      )
    })
  )

  it.effect("decodes with services", () =>
    Effect.gen(function* () {
      const Rate = Context.Service<{ readonly rate: number }>("test/Rate")
      const Price = Schema.Finite.pipe(
        Schema.decodeTo(Schema.Finite, {
          decode: SchemaGetter.transformEffect((cents: number) =>
            Effect.map(Effect.service(Rate), ({ rate }) => cents * rate)
          ),
          encode: SchemaGetter.transform((price: number) => price)
        })
      )
      const program = LlmObject.generate(Schema.Struct({ price: Price }), "?")
      const provided = Effect.provideService(program, Rate, { rate: 10 })
      assert.deepStrictEqual(valueOf((yield* scripted('{"price":2}', provided)).exit).value, { price: 20 })
    })
  )

  it.effect("takes a Standard Schema by the JSON Schema that it tells", () =>
    Effect.gen(function* () {
      const source = {
        "~standard": {
          ...numbers["~standard"],
          jsonSchema: {
            input: () => ({ $schema: "https://json-schema.org/draft/2020-12/schema", type: "array" }),
            output: () => ({})
          }
        }
      }
      const { exit, requests } = yield* scripted(["[true]", "[1,2]"], LlmObject.generate(source, "?"))
      assert.deepStrictEqual(valueOf(exit).value, [1, 2])
      assert.deepStrictEqual(schemaOf(requests[0])?.schema, { type: "array" })
      const correction = requests[1]?.messages.at(-1)
      assert.include(correction?.content, '- $.list[0]["a b"]: not all are numbers')
    })
  )

  it.effect("takes any Standard Schema or decoder beside a JSON Schema, and awaits the ones that take time", () =>
    Effect.gen(function* () {
      const jsonSchema = { type: "object" }
      const schema = standard<string>(async (value) => ({ value: JSON.stringify(value) }))
      const awaited = yield* scripted('{"a":1}', LlmObject.generate({ schema, jsonSchema }, "?"))
      assert.strictEqual(valueOf(awaited.exit).value, '{"a":1}')
      const decode = (value: unknown) =>
        Object.keys(Object(value)).length > 0 ? Effect.succeed("full") : Effect.fail(new Error("has no\nkeys"))
      const decoded = yield* scripted(["{}", '{"a":1}'], LlmObject.generate({ jsonSchema, decode }, "?"))
      assert.strictEqual(valueOf(decoded.exit).value, "full")
      assert.include(decoded.requests[1]?.messages.at(-1)?.content, "- has no keys")
    })
  )

  it.effect("brings a JSON Schema into strict mode where its meaning allows it", () =>
    Effect.gen(function* () {
      const sent = (jsonSchema: Llm.JsonSchema) =>
        Effect.map(scripted("{}", LlmObject.generate({ jsonSchema, decode: Effect.succeed }, "?")), ({ requests }) =>
          schemaOf(requests[0])
        )
      const open = {
        type: "object",
        properties: {
          name: { type: "string", minLength: 1, description: "Its name" },
          mail: { type: "string", format: "email", pattern: "^(?!x)" },
          code: { type: "string", pattern: "^[A-Z]+$" },
          word: { type: "string", pattern: "^(?!x)" },
          site: { type: "string", format: "uri" },
          kind: { oneOf: [{ type: "string", const: "a" }, { type: "null" }] }
        },
        required: ["name", "mail", "code", "word", "site"]
      }
      assert.deepStrictEqual(yield* sent(open), {
        type: "jsonSchema",
        name: "answer",
        description: undefined,
        strict: true,
        schema: {
          type: "object",
          properties: {
            name: { type: "string", description: "Its name; minLength: 1" },
            mail: { type: "string", format: "email" },
            code: { type: "string", pattern: "^[A-Z]+$" },
            word: { type: "string", description: 'pattern: "^(?!x)"' },
            site: { type: "string", description: 'format: "uri"' },
            kind: { anyOf: [{ type: "string", const: "a" }, { type: "null" }] }
          },
          required: ["name", "mail", "code", "word", "site", "kind"],
          additionalProperties: false
        }
      })
      const inside = (property: unknown, required = ["a"]) => ({
        type: "object",
        properties: { a: property },
        required
      })
      for (const schema of [
        inside({ type: "string" }, []),
        inside({}),
        inside(true),
        inside({ type: "object", additionalProperties: { type: "number" } }),
        inside({ type: "array", prefixItems: [{ type: "string" }] }),
        inside({ allOf: [{ type: "string" }] }),
        { ...inside({ type: "string" }), anyOf: [{ required: ["b"] }] },
        { ...inside({ type: "string" }), additionalProperties: true },
        { type: "array", items: { type: "string" } }
      ]) {
        const format = yield* sent(schema)
        assert.deepStrictEqual([format?.strict, format?.schema], [undefined, schema])
      }
    })
  )

  it.effect("bounds what is wrong to ten short lines", () =>
    Effect.gen(function* () {
      const issues = Array.from({ length: 50 }, (_, index) => ({ message: "x".repeat(1000), path: [index] }))
      const schema = standard<never>(() => ({ issues }))
      const { reason } = errorOf((yield* scripted("{}", LlmObject.generate({ schema, jsonSchema: {} }, "?"))).exit)
      const told = reason._tag === "ObjectMismatch" ? reason.issues : []
      assert.strictEqual(told.length, 10)
      assert.isBelow(told.join("").length, 2100)
    })
  )

  it.effect("has words for the checks of numbers, in strict mode, too", () =>
    Effect.gen(function* () {
      const Numbers = Schema.Struct({
        a: Schema.Int,
        b: Schema.optionalKey(Schema.Int),
        c: Schema.Finite,
        d: Schema.Int.check(Schema.isGreaterThan(5))
      })
      for (const strict of [true, false]) {
        const program = LlmObject.generate(Numbers, "?", { strict, maxAnswers: 1 })
        const { reason } = errorOf((yield* scripted('{"a":1.5,"b":2.5,"c":1e999,"d":1.5}', program)).exit)
        const told = reason._tag === "ObjectMismatch" ? reason.issues : []
        assert.include(told[0], "$.a: Expected an integer")
        assert.include(told[1], "$.b: Expected an integer")
        assert.include(told[2], "$.c: Expected a finite number")
        assert.isFalse(told.join().includes("<filter>"), told.join())
      }
    })
  )

  it.effect("shows no half of a letter where a line is cut", () =>
    Effect.gen(function* () {
      const schema = standard<never>(() => ({ issues: [{ message: `${"x".repeat(196)}👍${"x".repeat(9)}` }] }))
      const { reason } = errorOf((yield* scripted("{}", LlmObject.generate({ schema, jsonSchema: {} }, "?"))).exit)
      const [line = "\ud800"] = reason._tag === "ObjectMismatch" ? reason.issues : []
      assert.isTrue(line.isWellFormed())
    })
  )

  it.effect("dies of what is no source, and of a name that no provider takes", () =>
    Effect.gen(function* () {
      const defectOf = (exit: Exit.Exit<unknown, unknown>) => {
        const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
        const defect = reason?._tag === "Die" ? reason.defect : undefined
        assert.instanceOf(defect, TypeError)
        return String(defect)
      }
      // As untyped code gives it.
      const bare: LlmObject.Source<unknown> = JSON.parse('{"type":"object"}')
      const none: LlmObject.Source<unknown> = JSON.parse("null")
      for (const source of [bare, none]) {
        const { exit } = yield* scripted("{}", LlmObject.generate(source, "?"))
        assert.include(defectOf(exit), "is a Schema of Effect, a Standard Schema, { schema, jsonSchema }")
      }
      const input = () => {
        throw new Error("Date cannot be represented in JSON Schema")
      }
      const dated = { "~standard": { ...numbers["~standard"], jsonSchema: { input, output: input } } }
      const said = defectOf((yield* scripted("{}", LlmObject.generate(dated, "?"))).exit)
      assert.include(said, "(Date cannot be represented in JSON Schema); give it as { schema, jsonSchema }")
      const named = yield* scripted("{}", LlmObject.generate(City, "?", { name: "my answer!" }))
      assert.include(defectOf(named.exit), '"my answer!"')
    })
  )

  it.effect("dies of a Standard Schema that tells no JSON Schema", () =>
    Effect.gen(function* () {
      // As untyped code gives it.
      const source: Parameters<typeof LlmObject.generate<unknown>>[0] = JSON.parse('{"~standard":{"vendor":"acme"}}')
      const { exit } = yield* scripted("{}", LlmObject.generate(source, "?"))
      const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
      const defect = reason?._tag === "Die" ? reason.defect : undefined
      assert.instanceOf(defect, TypeError)
      assert.include(
        String(defect),
        "the schema of acme does not tell its JSON Schema; give it as { schema, jsonSchema }"
      )
    })
  )

  it.effect("retries a send as a policy says, which is no answer", () =>
    Effect.gen(function* () {
      const bodies: Array<string> = []
      const answers = [503, 200, 200]
      const http = HttpClient.make((request) =>
        Effect.sync(() => {
          bodies.push(request.body._tag === "Raw" ? String(request.body.body) : "")
          const content = bodies.length < 3 ? "{}" : JSON.stringify(paris)
          const body = { choices: [{ message: { content }, finish_reason: "stop" }], usage: { prompt_tokens: 5 } }
          return HttpClientResponse.fromWeb(request, Response.json(body, { status: answers[bodies.length - 1] ?? 500 }))
        })
      )
      const policy = Policy.make({ retry: { base: 0 } })
      const layer = Layer.provide(OpenAiLlm.layer({ model: "m", policy }), Layer.succeed(HttpClient.HttpClient, http))
      const { answers: count, attempts, usage, value } = yield* Effect.provide(ask, layer)
      assert.deepStrictEqual([value, count, attempts.length, usage.inputTokens], [paris, 2, 3, 10])
      const { response_format } = JSON.parse(bodies[0] ?? "")
      assert.deepStrictEqual([response_format.type, response_format.json_schema.strict], ["json_schema", true])
    })
  )
})

const ask = LlmObject.generate(City, "Which city?")
