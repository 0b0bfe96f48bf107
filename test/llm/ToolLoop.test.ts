import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Data,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Queue,
  Ref,
  Schema,
  type Stream as Streams,
  Stream
} from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Llm, LlmError, type Message, OpenAiLlm, ToolLoop } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestLlm } from "holdfast/testing"
import { recording } from "../policy/tracer.ts"

class NoRoute extends Data.TaggedError("NoRoute")<{ readonly to: string }> {
  override get message(): string {
    return `no route to ${this.to}`
  }
}

const City = Schema.Struct({ city: Schema.String })

const weather = ToolLoop.tool({
  name: "weather",
  description: "The weather of a city",
  parameters: City,
  run: ({ city }) => (city === "Atlantis" ? new NoRoute({ to: city }) : Effect.succeed({ city, celsius: 21 }))
})

const call = (name: string, input: unknown, id = `${name}-1`): Message.ToolCall => ({
  id,
  name,
  input,
  inputText: JSON.stringify(input) ?? "{"
})

const calls = (...toolCalls: ReadonlyArray<Message.ToolCall>) => ({ toolCalls })

const priced = (inputTokens: number, cost = 0.25): Partial<Llm.Answer> => ({
  usage: { inputTokens, outputTokens: 1 },
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

type Script = Parameters<typeof TestLlm.layer>[0]

/** Runs with a script, and tells what the model was asked, too. */
const asked = <A, E>(script: Script, program: Effect.Effect<A, E, Llm.Llm>) =>
  Effect.gen(function* () {
    const value = yield* program
    return { value, requests: yield* Ref.get(yield* TestLlm.Requests) }
  }).pipe(Effect.provide(TestLlm.layer(script)))

const toolMessages = (request: Llm.Request | undefined) =>
  (request?.messages ?? []).flatMap((message) => (message.role === "tool" ? [message] : []))

const told = (request: Llm.Request | undefined) => toolMessages(request).map(({ content }) => content)

const labels = (events: ReadonlyArray<ToolLoop.Event>) =>
  events.map((event) => {
    switch (event.type) {
      case "round":
        return `round ${event.round} ${event.finishReason}`
      case "toolResult":
        return `${event.call.id} ${event.outcome} ${event.round}`
      case "text":
        return event.text
      default:
        return event.type
    }
  })

const drain = <E, R>(stream: Streams.Stream<ToolLoop.Event, E, R>) => Stream.runCollect(stream)

describe("ToolLoop", () => {
  it.effect("runs what the model asks for until it answers without asking", () =>
    Effect.gen(function* () {
      const first = calls(call("weather", { city: "Rome" }, "a"), call("weather", { city: "Oslo" }, "b"))
      const script = [first, calls(call("weather", { city: "Nice" }, "c")), "All warm."]
      const { requests, value } = yield* asked(script, ToolLoop.run([weather], "Warm?"))
      assert.strictEqual(value.text, "All warm.")
      assert.deepStrictEqual(
        value.rounds.map(({ answer, results }) => [answer.toolCalls.length, results.map(({ call }) => call.id)]),
        [
          [2, ["a", "b"]],
          [1, ["c"]],
          [0, []]
        ]
      )
      assert.deepStrictEqual(value.rounds[0]?.results[0], {
        call: call("weather", { city: "Rome" }, "a"),
        outcome: "ok",
        output: { city: "Rome", celsius: 21 },
        content: '{"city":"Rome","celsius":21}',
        durationMillis: 0
      })
      // The conversation as the last request had it, and the last answer.
      assert.deepStrictEqual(value.messages.slice(0, -1), requests[2]?.messages)
      assert.deepStrictEqual(
        value.messages.map((message) => (message.role === "tool" ? message.toolCallId : message.role)),
        ["user", "assistant", "a", "b", "assistant", "c", "assistant"]
      )
      assert.deepStrictEqual(requests[0]?.tools, [
        {
          name: "weather",
          description: "The weather of a city",
          parameters: {
            type: "object",
            properties: { city: { type: "string" } },
            required: ["city"],
            additionalProperties: false
          },
          strict: undefined
        }
      ])
    })
  )

  it.effect("tells texts as they are, nothing as done, and anything else as JSON", () =>
    Effect.gen(function* () {
      const returning = (name: string, output: unknown) =>
        ToolLoop.tool({ name, description: name, run: () => Effect.succeed(output) })
      const tools = [returning("text", "plain"), returning("nothing", undefined), returning("list", [1, null])]
      const script = [calls(...tools.map(({ spec }) => call(spec.name, {}))), "ok"]
      const { requests } = yield* asked(script, ToolLoop.run(tools, "?"))
      assert.deepStrictEqual(told(requests[1]), ["plain", "done", "[1,null]"])
    })
  )

  it.effect("tells a tool which call of which round it runs", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const spy = ToolLoop.tool({
        name: "spy",
        description: "",
        run: (input, call) => Effect.sync(() => void seen.push([input, call]))
      })
      yield* asked([calls(call("spy", {}, "a")), calls(call("spy", {}, "b")), "ok"], ToolLoop.run([spy], "?"))
      assert.deepStrictEqual(seen, [
        [undefined, { callId: "a", round: 1 }],
        [undefined, { callId: "b", round: 2 }]
      ])
    })
  )

  it.effect("runs nothing for an unknown tool or for arguments that do not fit, and tells the model", () =>
    Effect.gen(function* () {
      const wrong = calls(call("time", {}), call("weather", { town: 1 }), call("weather", undefined, "no-json"))
      const { requests, value } = yield* asked([wrong, "Sorry."], ToolLoop.run([weather], "?"))
      assert.deepStrictEqual(
        value.rounds[0]?.results.map(({ outcome }) => outcome),
        ["unknownTool", "invalidInput", "invalidInput"]
      )
      const [unknown, invalid, noJson] = told(requests[1])
      assert.strictEqual(unknown, "Error: there is no tool time; there are: weather")
      assert.include(invalid, "nothing was run:\n- $.city: Missing key")
      assert.include(noJson, "it is not JSON")
      assert.isTrue(toolMessages(requests[1]).every(({ isError }) => isError === true))
    })
  )

  it.effect("tells the model of a tool's failure, and the caller where that is asked for", () =>
    Effect.gen(function* () {
      const script = [calls(call("weather", { city: "Atlantis" })), "There is none."]
      const { requests, value } = yield* asked(script, ToolLoop.run([weather], "?"))
      assert.deepStrictEqual(told(requests[1]), ["Error: no route to Atlantis"])
      const [result] = value.rounds[0]?.results ?? []
      assert.deepStrictEqual([result?.outcome, result?.error], ["failed", new NoRoute({ to: "Atlantis" })])

      const toCaller = Effect.flip(ToolLoop.run([weather], "?", { onToolError: "caller" }))
      assert.deepStrictEqual((yield* asked(script, toCaller)).value, new NoRoute({ to: "Atlantis" }))
      const streamed = Effect.flip(drain(ToolLoop.stream([weather], "?", { onToolError: "caller" })))
      assert.deepStrictEqual((yield* asked(script, streamed)).value, new NoRoute({ to: "Atlantis" }))
    })
  )

  it.effect("tells the fields of a failure that has no words", () =>
    Effect.gen(function* () {
      class NoStation extends Data.TaggedError("NoStation")<{ readonly city: string }> {}
      const failing = (name: string, error: unknown) =>
        ToolLoop.tool({ name, description: "", run: () => Effect.fail(error) })
      const tools = [
        failing("tagged", new NoStation({ city: "Oslo" })),
        failing("plain", { code: 5 }),
        failing("nothing", undefined),
        failing("large", { text: "👍".repeat(1000) }),
        failing("odd", { count: 5n })
      ]
      const script = [calls(...tools.map(({ spec }) => call(spec.name, {}))), "ok"]
      const { requests } = yield* asked(script, ToolLoop.run(tools, "?"))
      const [tagged, plain, nothing, large = "", odd] = told(requests[1])
      assert.deepStrictEqual([tagged, plain], ['Error: NoStation {"city":"Oslo"}', 'Error: {"code":5}'])
      assert.deepStrictEqual([nothing, odd], ["Error: it says no more", "Error: [object Object]"])
      assert.isTrue(large.length < 520 && large.isWellFormed())
    })
  )

  it.effect("tells no half of a letter, whoever has cut it", () =>
    Effect.gen(function* () {
      const torn = ToolLoop.tool({ name: "torn", description: "", run: () => Effect.succeed("ok \ud83d") })
      const long = { ...call("torn", undefined, "b"), inputText: `${"x".repeat(199)}👍` }
      const named = ToolLoop.tool({ name: "named", description: "", parameters: City, run: () => Effect.void })
      const script = [calls(call("torn", {}), { ...long, name: "named" }), "ok"]
      const { requests } = yield* asked(script, ToolLoop.run([torn, named], "?"))
      const [cut, noJson = "\ud83d"] = told(requests[1])
      assert.strictEqual(cut, "ok \ufffd")
      assert.isTrue(noJson.isWellFormed())
    })
  )

  it.effect("dies of a result that is no JSON with the name of its tool", () =>
    Effect.gen(function* () {
      const count = ToolLoop.tool({ name: "count", description: "", run: () => Effect.succeed({ all: 5n }) })
      const { value } = yield* asked([calls(call("count", {})), "ok"], Effect.exit(ToolLoop.run([count], "?")))
      const defect = Exit.isFailure(value) ? Cause.squash(value.cause) : undefined
      assert.instanceOf(defect, TypeError)
      assert.include(String(defect), "the tool count returned what is no JSON (")
    })
  )

  it("does not make a tool whose name or parameters no provider takes", () => {
    const run = () => Effect.void
    assert.throws(() => ToolLoop.tool({ name: "my tool!", description: "", run }), TypeError, '"my tool!"')
    assert.throws(
      () => ToolLoop.tool({ name: "find", description: "", parameters: Schema.String, run }),
      TypeError,
      "the parameters of find are no object"
    )
  })

  it.effect("lets defects and interruptions of a tool through", () =>
    Effect.gen(function* () {
      const bad = new Error("bad")
      const broken = ToolLoop.tool({ name: "broken", description: "", run: () => Effect.die(bad) })
      const gone = ToolLoop.tool({ name: "gone", description: "", run: () => Effect.interrupt })
      for (const [tool, check] of [
        [broken, (cause: Cause.Cause<unknown>) => assert.strictEqual(Cause.squash(cause), bad)],
        [gone, (cause: Cause.Cause<unknown>) => assert.isTrue(Cause.hasInterruptsOnly(cause))]
      ] as const) {
        for (const program of [ToolLoop.run([tool], "?"), drain(ToolLoop.stream([tool], "?"))]) {
          const script = [calls(call(tool.spec.name, {})), "ok"]
          const { value } = yield* asked(script, Effect.exit<unknown, LlmError.LlmError, Llm.Llm>(program))
          assert.isTrue(Exit.isFailure(value))
          if (Exit.isFailure(value)) check(value.cause)
        }
      }
    })
  )

  it.effect("stops a tool at its timeout and tells the model", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const slow = (name: string, timeout?: "5 seconds" | "Infinity") =>
        ToolLoop.tool({
          name,
          description: "",
          timeout,
          run: () =>
            Effect.onInterrupt(Effect.delay(Effect.succeed("late"), "2 minutes"), () =>
              Effect.sync(() => void seen.push(name))
            )
        })
      const decoding = ToolLoop.tool({
        name: "decoding",
        description: "",
        parameters: { jsonSchema: { type: "object" }, decode: () => Effect.never },
        timeout: "6 seconds",
        run: () => Effect.void
      })
      const tools = [slow("short", "5 seconds"), slow("usual"), slow("patient", "Infinity"), decoding]
      const script = [calls(...tools.map(({ spec }) => call(spec.name, {}))), "ok"]
      const fiber = yield* Effect.forkChild(asked(script, ToolLoop.run(tools, "?")))
      yield* TestClock.adjust("2 minutes")
      const { requests, value } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        value.rounds[0]?.results.map(({ durationMillis, outcome }) => [outcome, durationMillis]),
        [
          ["timedOut", 5000],
          ["timedOut", 60_000],
          ["ok", 120_000],
          ["timedOut", 6000]
        ]
      )
      assert.deepStrictEqual(seen, ["short", "usual"])
      assert.strictEqual(told(requests[1])[0], "Error: the tool took longer than 5s and was stopped")
    })
  )

  it.effect("runs the calls of one answer at the same time, up to `concurrency`, and tells them in order", () =>
    Effect.gen(function* () {
      const most = { running: 0, ever: 0 }
      const sleep = ToolLoop.tool({
        name: "sleep",
        description: "",
        parameters: Schema.Struct({ millis: Schema.Finite }),
        run: ({ millis }) =>
          Effect.gen(function* () {
            most.ever = Math.max(most.ever, ++most.running)
            yield* Effect.sleep(millis)
            most.running--
            return `${millis}`
          })
      })
      const sleeps = [300, 100, 200].map((millis) => call("sleep", { millis }, `${millis}`))
      const fiber = yield* Effect.forkChild(asked([calls(...sleeps), "ok"], ToolLoop.run([sleep], "?")))
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(told((yield* Fiber.join(fiber)).requests[1]), ["300", "100", "200"])
      assert.strictEqual(most.ever, 3)

      most.ever = 0
      const streaming = yield* Effect.forkChild(
        asked([calls(...sleeps), "ok"], drain(ToolLoop.stream([sleep], "?", { concurrency: 2 })))
      )
      yield* TestClock.adjust("600 millis")
      const { requests, value } = yield* Fiber.join(streaming)
      assert.strictEqual(most.ever, 2)
      assert.deepStrictEqual(told(requests[1]), ["300", "100", "200"])
      assert.deepStrictEqual(
        value.flatMap((event) => (event.type === "toolResult" ? [event.content] : [])),
        ["100", "300", "200"]
      )
    })
  )

  it.effect("interrupts all tools when it is interrupted, or when one fails for the caller", () =>
    Effect.gen(function* () {
      for (const how of ["run", "stream"] as const) {
        const started = yield* Deferred.make<void>()
        const interrupted: Array<string> = []
        const hang = (name: string) =>
          ToolLoop.tool({
            name,
            description: "",
            run: () =>
              Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
                Effect.onInterrupt(() => Effect.sync(() => void interrupted.push(name)))
              )
          })
        const fail = ToolLoop.tool({
          name: "fail",
          description: "",
          run: () => Effect.andThen(Deferred.await(started), Effect.fail("no" as const))
        })
        const start = (tools: ReadonlyArray<ToolLoop.Tool<"no">>) => {
          const options = { onToolError: "caller" } as const
          const program: Effect.Effect<unknown, LlmError.LlmError | "no", Llm.Llm> =
            how === "run" ? ToolLoop.run(tools, "?", options) : drain(ToolLoop.stream(tools, "?", options))
          return Effect.forkChild(asked([calls(...tools.map(({ spec }) => call(spec.name, {}))), "ok"], program))
        }
        const fiber = yield* start([hang("a"), hang("b")])
        yield* Deferred.await(started)
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(interrupted.splice(0).sort(), ["a", "b"])

        const failing = yield* start([hang("c"), fail])
        assert.strictEqual(yield* Effect.flip(Fiber.join(failing)), "no")
        assert.deepStrictEqual(interrupted, ["c"])
      }
    })
  )

  it.effect("ends with RoundsExceeded when the model asks without end, and runs nothing then", () =>
    Effect.gen(function* () {
      let runs = 0
      const again = ToolLoop.tool({ name: "again", description: "", run: () => Effect.sync(() => ++runs) })
      const script = () => Effect.succeed({ ...calls(call("again", {})), ...priced(2), requestId: "last" })
      const programs = [
        ToolLoop.run([again], "?", { maxRounds: 3 }),
        drain(ToolLoop.stream([again], "?", { maxRounds: 3 }))
      ]
      for (const program of programs) {
        runs = 0
        const flipped: Effect.Effect<LlmError.LlmError, unknown, Llm.Llm> = Effect.flip<
          unknown,
          LlmError.LlmError,
          Llm.Llm
        >(program)
        const { requests, value: error } = yield* asked(script, flipped)
        assert.deepStrictEqual([requests.length, runs], [3, 2])
        assert.deepStrictEqual([error.provider, error.requestId, error.cost], ["openai", "last", 0.75])
        assert.deepStrictEqual([error.usage?.inputTokens, error.attempts.length], [6, 3])
        const { reason } = error
        assert.isTrue(reason._tag === "RoundsExceeded" && reason.maxRounds === 3 && reason.usage.inputTokens === 6)
        if (reason._tag !== "RoundsExceeded") return
        assert.deepStrictEqual(reason.tools, ["again"])
        // What was done is not lost: another loop goes on from it.
        assert.notInclude(Object.keys(reason), "messages")
        const resumed = yield* asked("done", ToolLoop.run([again], { messages: reason.messages }))
        assert.deepStrictEqual(
          resumed.requests[0]?.messages.map(({ role }) => role),
          ["user", "assistant", "tool", "assistant", "tool"]
        )
      }
      const { requests } = yield* asked(script, Effect.flip(ToolLoop.run([again], "?")))
      assert.strictEqual(requests.length, 8)
    })
  )

  it.effect("adds up what all answers used, in the result as in an error", () =>
    Effect.gen(function* () {
      const ask = { ...calls(call("weather", { city: "Rome" })), ...priced(3) }
      const { value } = yield* asked([ask, { text: "ok", ...priced(4) }], ToolLoop.run([weather], "?"))
      assert.deepStrictEqual([value.usage.inputTokens, value.cost, value.attempts.length], [7, 0.5, 2])
      assert.deepStrictEqual(value.rounds[1]?.answer.usage.inputTokens, 4)

      const failure = Effect.fail(TestLlm.failure(new LlmError.Overloaded({ description: "busy" })))
      const failed = yield* asked([ask, failure], Effect.flip(ToolLoop.run([weather], "?")))
      assert.deepStrictEqual([failed.value.code, failed.value.usage?.inputTokens], ["Overloaded", 3])
      const streamed = yield* asked([ask, failure], Effect.flip(drain(ToolLoop.stream([weather], "?"))))
      assert.deepStrictEqual([streamed.value.code, streamed.value.attempts.length], ["Overloaded", 1])
    })
  )

  it.effect("forces a tool in the first round only, and replaces the request's own tools", () =>
    Effect.gen(function* () {
      const choices = (toolChoice: Llm.ToolChoice) =>
        Effect.map(
          asked(
            [calls(call("weather", { city: "Rome" })), "ok"],
            ToolLoop.run([weather], {
              ...Llm.toRequest("?"),
              toolChoice,
              tools: [{ name: "other" }],
              idempotencyKey: "k"
            })
          ),
          ({ requests }) => {
            assert.deepStrictEqual(
              requests.map(({ tools }) => tools?.map(({ name }) => name)),
              [["weather"], ["weather"]]
            )
            assert.deepStrictEqual(
              requests.map(({ idempotencyKey }) => idempotencyKey),
              ["k", "k-2"]
            )
            return requests.map(({ toolChoice }) => toolChoice)
          }
        )
      assert.deepStrictEqual(yield* choices("required"), ["required", undefined])
      assert.deepStrictEqual(yield* choices({ tool: "weather" }), [{ tool: "weather" }, undefined])
      assert.deepStrictEqual(yield* choices("none"), ["none", "none"])
    })
  )

  it.effect("cuts a result that is too long, between letters, and says so", () =>
    Effect.gen(function* () {
      const long = ToolLoop.tool({ name: "long", description: "", run: () => Effect.succeed("ж".repeat(50_000)) })
      const script = [calls(call("long", {})), "ok"]
      const { requests } = yield* asked(script, ToolLoop.run([long], "?", { maxResultBytes: 7 }))
      assert.strictEqual(told(requests[1])[0], "жжж\n[cut off: these are the first 7 of 100000 bytes]")
      const usual = yield* asked(script, ToolLoop.run([long], "?"))
      assert.match(told(usual.requests[1])[0] ?? "", /first 65536 of 100000 bytes/)
      const whole = yield* asked(script, ToolLoop.run([long], "?", { maxResultBytes: 100_000 }))
      assert.strictEqual(told(whole.requests[1])[0]?.length, 50_000)
    })
  )

  it.effect("streams every round, its results, and one finish for all", () =>
    Effect.gen(function* () {
      const first = { text: "Looking.", ...calls(call("weather", { city: "Rome" }, "a")), ...priced(3) }
      const { value: events } = yield* asked(
        [first, { text: "Warm.", ...priced(4) }],
        drain(ToolLoop.stream([weather], "?"))
      )
      assert.deepStrictEqual(
        labels(events).join("|").replace("L|ooking", "Looking").replace("W|arm", "Warm"),
        ["Looking.", "toolCall", "round 1 toolCalls", "a ok 1", "Warm.", "round 2 stop", "finish"].join("|")
      )
      const finish = events.at(-1)
      assert.isTrue(finish?.type === "finish")
      if (finish?.type !== "finish") return
      assert.deepStrictEqual(
        [finish.text, finish.usage.inputTokens, finish.cost, finish.attempts.length],
        ["Warm.", 7, 0.5, 2]
      )
      assert.deepStrictEqual(
        finish.messages.map(({ role }) => role),
        ["user", "assistant", "tool", "assistant"]
      )
      assert.deepStrictEqual(
        finish.rounds.map(({ answer, results }) => [answer.text, results.map(({ outcome }) => outcome)]),
        [
          ["Looking.", ["ok"]],
          ["Warm.", []]
        ]
      )
      // The round tells what it used alone.
      assert.deepStrictEqual(
        events.flatMap((event) => (event.type === "round" ? [event.usage.inputTokens] : [])),
        [3, 4]
      )
    })
  )

  it.effect("passes on a reset, and does not run what was taken back", () =>
    Effect.gen(function* () {
      let round = 0
      const text = (text: string) => ({ type: "text", text }) as const
      const finish = { type: "finish", finishReason: "stop", model: "m", attempts: [], ...priced(1) } as const
      const message = { role: "assistant", content: "" } as const
      const end: Llm.Finish = { usage: { inputTokens: 1, outputTokens: 1 }, ...finish, message, attempts: [] }
      const reason = new LlmError.StreamCut({ description: "cut", partial: "he" })
      const rounds: ReadonlyArray<ReadonlyArray<Llm.StreamEvent>> = [
        [
          { type: "toolCall", call: call("weather", { city: "Rome" }, "before") },
          { type: "reset", reason },
          { type: "toolCall", call: call("weather", { city: "Oslo" }, "after") },
          end
        ],
        [text("Cold."), end]
      ]
      const layer = Layer.succeed(Llm.Llm, {
        generateText: () => Effect.die("not asked"),
        streamText: () => Stream.suspend(() => Stream.fromIterable(rounds[round++] ?? []))
      })
      const events = yield* Effect.provide(drain(ToolLoop.stream([weather], "?")), layer)
      assert.deepStrictEqual(labels(events), [
        "toolCall",
        "reset",
        "toolCall",
        "round 1 stop",
        "after ok 1",
        "Cold.",
        "round 2 stop",
        "finish"
      ])
    })
  )

  it.effect("fails when a stream ends without its finish", () =>
    Effect.gen(function* () {
      const layer = Layer.succeed(Llm.Llm, {
        generateText: () => Effect.die("not asked"),
        streamText: () => Stream.make({ type: "text", text: "he" } as const)
      })
      const error = yield* Effect.provide(Effect.flip(drain(ToolLoop.stream([weather], "?"))), layer)
      assert.isTrue(error.reason._tag === "StreamTruncated" && error.reason.partial === "he")
    })
  )

  it.effect("runs tools with services, and dies of two with one name", () =>
    Effect.gen(function* () {
      const Rate = Context.Service<{ readonly rate: number }>("test/Rate")
      const rated = ToolLoop.tool({
        name: "rate",
        description: "",
        run: () => Effect.map(Effect.service(Rate), ({ rate }) => rate)
      })
      const program = Effect.provideService(ToolLoop.run([rated, weather], "?"), Rate, { rate: 7 })
      assert.deepStrictEqual(told((yield* asked([calls(call("rate", {})), "ok"], program)).requests[1]), ["7"])
      const { value } = yield* asked("ok", Effect.exit(ToolLoop.run([weather, weather], "?")))
      assert.isTrue(Exit.isFailure(value) && Cause.squash(value.cause) instanceof TypeError)
    })
  )

  it.effect("has a span for the loop and one for each tool that runs, without what is said", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const rome = call("weather", { city: "Rome" }, "a")
      const script = [calls(rome, call("weather", { city: "Atlantis" }, "b"), call("made up", {})), "ok"]
      yield* Effect.withTracer(asked(script, ToolLoop.run([weather], "?")), tracer)
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["ToolLoop.run", "execute_tool weather", "execute_tool weather"]
      )
      assert.deepStrictEqual(Object.fromEntries(spans[1]?.attributes ?? []), {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.id": "a",
        "gen_ai.tool.type": "function"
      })
      assert.strictEqual(spans[2]?.attributes.get("error.type"), "failed")
    })
  )

  it.effect("runs tools outside of the policy: no mark of a send, no slot held, no attempt's time", () =>
    Effect.gen(function* () {
      const marks: Array<boolean> = []
      const started = yield* Queue.unbounded<undefined>()
      const message = (request: string) =>
        request.includes('"role":"tool"') || request.includes("inner")
          ? { content: "done" }
          : { tool_calls: [{ id: "1", type: "function", function: { name: "ask", arguments: "{}" } }] }
      const http = HttpClient.make((request) =>
        Effect.sync(() => {
          const body = request.body._tag === "Raw" ? String(request.body.body) : ""
          const choice = { message: message(body), delta: message(body), finish_reason: "stop" }
          return HttpClientResponse.fromWeb(request, Response.json({ choices: [choice], usage: { prompt_tokens: 5 } }))
        })
      )
      // The tool asks the same model, which has one slot.
      const policy = Policy.make({ maxConcurrency: 1, timeout: { attempt: "1 second" } })
      const ask = ToolLoop.tool({
        name: "ask",
        description: "",
        run: () =>
          Effect.gen(function* () {
            marks.push(yield* Policy.Sending)
            yield* Queue.offer(started, undefined)
            yield* Effect.sleep("5 seconds")
            return (yield* Llm.generateText("inner")).text
          })
      })
      const layer = yield* Layer.build(
        Layer.provide(OpenAiLlm.layer({ model: "m", policy }), Layer.succeed(HttpClient.HttpClient, http))
      )
      const programs = [
        Effect.map(ToolLoop.run([ask], "?"), ({ text }) => text),
        Effect.map(drain(ToolLoop.stream([ask], "?")), (events) => labels(events).join())
      ]
      const texts: Array<string> = []
      for (const program of programs) {
        const fiber = yield* Effect.forkChild(Effect.provide(program, layer))
        yield* Queue.take(started)
        yield* TestClock.adjust("5 seconds")
        texts.push(yield* Fiber.join(fiber))
      }
      assert.deepStrictEqual(texts, ["done", "toolCall,round 1 toolCalls,1 ok 1,done,round 2 stop,finish"])
      assert.deepStrictEqual(marks, [false, false])
    })
  )
})
