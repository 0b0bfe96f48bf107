/** See where the time of a call went, as spans, and count what calls do, as metrics. Works with any tracer, OTLP too. */
import { Effect, Layer, Metric, Tracer } from "effect"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

// In place of a network: busy once, then an answer.
const network = TestHttpClient.layer((_, call) =>
  Effect.succeed(
    call === 1
      ? new Response("{}", { status: 503 })
      : Response.json({
          choices: [{ message: { content: "Good morning to you" }, finish_reason: "stop" }],
          usage: { prompt_tokens: 2, completion_tokens: 4 }
        })
  )
)
const policy = Policy.make({ retry: { base: "10 millis", jitter: "none" } })
const model = OpenAiLlm.layer({ model: "some-model", policy }).pipe(Layer.provide(network))

// Prints spans in place of sending them. For a collector: `Otlp.layerJson({ baseUrl })` of `effect/observability`.
const depthOf = (span: Tracer.AnySpan): number =>
  span._tag === "Span" && span.parent._tag === "Some" ? 1 + depthOf(span.parent.value) : 0
class PrintedSpan extends Tracer.NativeSpan {
  override end(...args: Parameters<Tracer.NativeSpan["end"]>): void {
    super.end(...args)
    console.log("  ".repeat(depthOf(this)) + this.name, this.attributes.get("error.type") ?? "ok")
  }
}
const tracer = Tracer.make({ span: (options) => new PrintedSpan(options) })

const program = Effect.gen(function* () {
  yield* Llm.generateText("Good morning")
  for (const { attributes, id, state } of yield* Metric.snapshot) {
    if (id === "holdfast_attempts_total" && "count" in state) console.log(`${state.count} x ${attributes?.["outcome"]}`)
    if (id === "gen_ai.client.token.usage" && "sum" in state) {
      console.log(`${state.sum} tokens of ${attributes?.["gen_ai.token.type"]}`)
    }
  }
})

await Effect.runPromise(program.pipe(Effect.provide(model), Effect.withTracer(tracer)))
// Output:
//     POST 503
//   Policy.attempt ServerError
//     POST ok
//   Policy.attempt ok
// chat some-model ok
// 1 x ServerError
// 1 x ok
// 2 tokens of input
// 4 tokens of output
