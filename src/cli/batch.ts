/** `holdfast batch in.jsonl out.jsonl`: asks a model thousands of questions, and can be killed and resumed. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stdio from "effect/Stdio"
import type { Llm } from "../llm/Llm.ts"
import type { LlmError } from "../llm/LlmError.ts"
import * as Price from "../llm/Price.ts"
import type * as Policy from "../policy/Policy.ts"
import type * as Fault from "../testing/Fault.ts"
import * as Batch from "../work/Batch.ts"
import type { BatchError } from "../work/BatchError.ts"
import * as Items from "./internal/batchItems.ts"
import * as Progress from "./internal/batchProgress.ts"
import { render } from "./internal/batchSummary.ts"
import { Tally } from "./internal/batchTally.ts"
import { type BadInput, badInput, Ended } from "./internal/ending.ts"
import * as Endpoint from "./internal/endpoint.ts"
import * as Flags from "./internal/flags.ts"
import type { Endpoint as Place, Floors } from "./internal/floors.ts"
import * as Offline from "./internal/offline.ts"
import * as Report from "./internal/report.ts"

interface Input extends Endpoint.Asked {
  readonly input: string
  readonly output: string
  readonly resume: boolean
  readonly retryFailed: boolean
  readonly keepGoing: boolean
  readonly dedupe: boolean
  readonly concurrency: number
  readonly window: Option.Option<number>
  readonly requestsPerMinute: Option.Option<number>
  readonly tokensPerMinute: Option.Option<number>
  readonly retries: number
  readonly maxTokens: Option.Option<number>
  readonly maxCost: Option.Option<number>
  readonly price: Option.Option<Price.Price>
  readonly report: Option.Option<string>
  readonly offline: boolean
  readonly faults: "on" | "off"
  readonly seed: number
}

const money = (text: string): Option.Option<number> =>
  /^\d+(\.\d+)?$/.test(text.trim()) ? Option.some(Number(text)) : Option.none()

const priceOf = (text: string): Option.Option<Price.Price> => {
  const [input, output, more] = text.split(",").map(money)
  if (input === undefined || output === undefined || more !== undefined) return Option.none()
  return Option.all({ input, output })
}

const input = {
  input: Argument.String("in.jsonl").pipe(
    Argument.withDescription(
      'One question a line: {"prompt": "..."} or {"messages": [...]}, and what it wants for itself'
    )
  ),
  output: Argument.String("out.jsonl").pipe(
    Argument.withDescription("Gets one record for each question, in their order; its checkpoint is beside it")
  ),
  ...Flags.endpoint,
  resume: Flag.Boolean("resume").pipe(
    Flag.withDescription("Go on with the batch that was begun; what is recorded is not asked again"),
    Flag.withDefault(false)
  ),
  retryFailed: Flag.Boolean("retry-failed").pipe(
    Flag.withDescription("With --resume: ask again what failed"),
    Flag.withDefault(false)
  ),
  keepGoing: Flag.Boolean("keep-going").pipe(
    Flag.withDescription("Record lines that hold no question as failed, and exit with 1"),
    Flag.withDefault(false)
  ),
  dedupe: Flag.Boolean("dedupe").pipe(
    Flag.withDescription("Ask equal questions once; the others get the same answer"),
    Flag.withDefault(false)
  ),
  concurrency: Flags.count("concurrency", 1).pipe(
    Flag.withDescription("Questions at once (default: 8)"),
    Flag.withDefault(8)
  ),
  window: Flags.count("window", 1).pipe(
    Flag.withDescription("How many answers may wait in memory for an older one (default: 1000)"),
    Flag.optional
  ),
  requestsPerMinute: Flags.count("requests-per-minute", 1).pipe(
    Flag.withDescription("Requests in any minute, retries included (default: as the server says)"),
    Flag.optional
  ),
  tokensPerMinute: Flags.count("tokens-per-minute", 1).pipe(
    Flag.withDescription("Tokens in any minute, in and out (default: as the server says)"),
    Flag.optional
  ),
  retries: Flags.count("retries", 0).pipe(
    Flag.withDescription("Further requests for a question that fails for the moment (default: 5)"),
    Flag.withDefault(5)
  ),
  maxTokens: Flags.count("max-tokens", 1).pipe(
    Flag.withDescription("Bound of each answer, where its line has none"),
    Flag.optional
  ),
  maxCost: Flag.String("max-cost").pipe(
    Flag.withMetavar("dollars"),
    Flag.filterMap(money, (text) => `Expected US dollars such as 2.50, got ${JSON.stringify(text)}`),
    Flag.withDescription("Stop before the batch costs more, all of its runs together"),
    Flag.optional
  ),
  price: Flag.String("price").pipe(
    Flag.withMetavar("in,out"),
    Flag.filterMap(
      priceOf,
      (text) => `Expected dollars for a million tokens in and out such as 0.15,0.60, got ${JSON.stringify(text)}`
    ),
    Flag.withDescription("US dollars for a million tokens in and out (default: the model's list price, where known)"),
    Flag.optional
  ),
  report: Flag.String("report").pipe(
    Flag.withMetavar("file.html"),
    Flag.withDescription("Write a page with the story of the batch at its end"),
    Flag.optional
  ),
  offline: Flag.Boolean("offline").pipe(
    Flag.withDescription("Ask a server on loopback that repeats the question: no key, no network"),
    Flag.withDefault(false)
  ),
  faults: Flag.Literals("faults", ["on", "off"]).pipe(
    Flag.withDescription("Offline: let requests fail on purpose (default: on)"),
    Flag.withDefault("on")
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withDescription("Offline: which requests fail, and how (default: 1)"),
    Flag.withDefault(1)
  )
}

/** The command over these layers. */
export const batch = (
  floors: Floors
): Command.Command<"batch", Input, {}, BadInput | BatchError | Ended | LlmError, FileSystem.FileSystem | Stdio.Stdio> =>
  Command.make("batch", input, (input) => Effect.scoped(run(floors, input))).pipe(
    Command.withDescription(
      "Ask a model all questions of a file, many at once. Every answer is kept before it counts: after a kill, a crash or " +
        "a full disk --resume goes on. Exit code 0: all answered, 1: some failed, 2: bad input."
    ),
    Command.withExamples([
      { command: "holdfast batch in.jsonl out.jsonl --model some-model", description: "Ask all of them" },
      { command: "holdfast batch in.jsonl out.jsonl --model some-model --resume", description: "Go on after a kill" },
      { command: "holdfast batch in.jsonl out.jsonl --offline --report report.html", description: "No key, no network" }
    ])
  )

const run = Effect.fnUntraced(function* (floors: Floors, input: Input) {
  const { output, report: page } = input
  const report = Option.map(page, (report) => ({ records: output, report }))
  if (input.retryFailed && !input.resume)
    return yield* badInput("--retry-failed is for a batch that is resumed; add --resume")
  if (Option.exists(input.window, (window) => window < input.concurrency))
    return yield* badInput(`--window must be at least --concurrency, which is ${input.concurrency}`)
  yield* Option.match(report, { onNone: () => Effect.void, onSome: Report.check })
  const ground = yield* input.offline ? offline(input) : online(input)
  const batch = yield* open(input)
  const policy = { ...ground.policy, costBudget: ground.budget(batch.earlier.cost) }
  const tally = new Tally()
  const startMillis = yield* Clock.currentTimeMillis
  const summary = Effect.gen(function* () {
    const durationMillis = (yield* Clock.currentTimeMillis) - startMillis
    const faults = ground.tally === undefined ? undefined : yield* ground.tally
    yield* Console.log(render({ tally, total: batch.items, durationMillis, output, faults }))
  })
  // Said whatever ends the run, interruption too: what is recorded is kept.
  yield* askAll(input, batch, tally).pipe(
    Effect.provide(floors.llm(ground.endpoint, policy)),
    Effect.provideService(Price.Table, ground.prices),
    Effect.onExit(() => summary)
  )
  // Of no records there is no page.
  if (Option.isSome(report) && batch.items > 0) {
    yield* Report.write({ ...report.value, total: batch.items })
    yield* Console.log(`the report is in ${report.value.report}`)
  }
  if (tally.failed > 0) return yield* new Ended({ exitCode: 1 })
})

/** Opens the batch; what is wrong with the files is bad input, named with the flag that helps. */
const open = ({ input, keepGoing, output, resume, retryFailed }: Input) => {
  const invalid = keepGoing ? "record" : "refuse"
  return Effect.mapError(
    Batch.open({ input, output, item: Items.Question, resume, retryFailed, invalid }),
    ({ reason }) => {
      const hint =
        reason._tag === "InvalidItem"
          ? " (--keep-going records such lines as failed)"
          : reason._tag === "OutputExists" && reason.description === undefined
            ? " (--resume goes on with it)"
            : ""
      return badInput(`${reason.message}${hint}`)
    }
  )
}

const askAll = (
  { concurrency, dedupe, maxTokens, window }: Input,
  batch: Batch.Batch<Items.Question>,
  tally: Tally
): Effect.Effect<Batch.Summary, BatchError | LlmError, Llm | Stdio.Stdio> =>
  Effect.scoped(
    Effect.gen(function* () {
      const progress = yield* Progress.make(batch.items, tally)
      return yield* batch.run(Items.ask(Option.getOrUndefined(maxTokens)), {
        concurrency,
        window: Option.getOrUndefined(window),
        id: Items.idOf,
        equalBy: dedupe ? Items.keyOf : undefined,
        describe: Items.describe,
        isFatal: Items.isFatal,
        onRecord: (record, isEarlier) => {
          tally.add(record, isEarlier)
          return isEarlier ? Effect.void : progress.show
        }
      })
    })
  )

interface Ground {
  readonly endpoint: Place
  readonly policy: Policy.Options
  readonly prices: Price.Prices
  /** What may be spent, after what earlier runs have. */
  readonly budget: (spent: number) => Policy.Options["costBudget"]
  readonly tally?: Effect.Effect<Fault.Tally> | undefined
}

const offline = Effect.fnUntraced(function* (input: Input): Effect.fn.Return<Ground, BadInput, Scope.Scope> {
  if (Option.isSome(input.baseUrl) || Option.isSome(input.apiKeyEnv))
    return yield* badInput("--offline asks its own server; leave out --base-url and --api-key-env, or --offline")
  const seed = input.faults === "on" ? input.seed : undefined
  const { endpoint, tally } = yield* Offline.start(({ messages }) => `You asked: ${messages.at(-1)?.content}`, seed)
  const spending = yield* spendingOf(input, endpoint.model)
  const told = input.faults === "on" ? tally : undefined
  const retry = { ...Offline.policy.retry, retries: input.retries }
  return { endpoint, ...spending, tally: told, policy: { ...Offline.policy, retry, ...bounds(input) } }
})

const online = Effect.fnUntraced(function* (input: Input): Effect.fn.Return<Ground, BadInput> {
  const endpoint = yield* Endpoint.resolve(input)
  const spending = yield* spendingOf(input, endpoint.model)
  return { endpoint, ...spending, policy: { retry: { retries: input.retries }, ...bounds(input) } }
})

const bounds = ({ concurrency, requestsPerMinute, tokensPerMinute }: Input): Policy.Options => ({
  maxConcurrency: concurrency,
  rateLimit: {
    requestsPerMinute: Option.getOrUndefined(requestsPerMinute),
    tokensPerMinute: Option.getOrUndefined(tokensPerMinute)
  }
})

const spendingOf = Effect.fnUntraced(function* (
  { maxCost, price: said }: Input,
  model: string
): Effect.fn.Return<Pick<Ground, "budget" | "prices">, BadInput> {
  const prices = Option.match(said, {
    onNone: () => Price.listed,
    onSome: (price) => ({ ...Price.listed, [model]: price })
  })
  const price = Price.priceOf(prices, model)
  if (Option.isNone(maxCost)) return { prices, budget: () => undefined }
  if (price === undefined)
    return yield* badInput(`--max-cost needs a price, and none is known for ${model}; add --price IN,OUT`)
  const limit = maxCost.value
  const common = { name: "--max-cost", unit: "USD", limit }
  return { prices, budget: (spent) => ({ ...common, spent, price: (usage) => Price.cost(price, usage) }) }
})
