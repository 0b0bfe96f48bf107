/** `holdfast doctor`: what is configured, reachable and isolated on this machine, and what is missing. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Check, check, checkEndpoint, checkNode, checkSandbox } from "./internal/checks.ts"
import { Ended } from "./internal/ending.ts"
import * as Endpoint from "./internal/endpoint.ts"
import * as Flags from "./internal/flags.ts"
import type { Floors } from "./internal/floors.ts"
import { renderChecks } from "./internal/tables.ts"

interface Input extends Endpoint.Asked {
  readonly json: boolean
}

/** What the package says of itself. */
export interface About {
  readonly version: string
  /** The versions of Node that it runs on, e.g. `">=22.19.0"`. */
  readonly node: string
}

const input = {
  ...Flags.endpoint,
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print the checks as JSON"), Flag.withDefault(false))
}

/** The command over these layers. */
export const doctor = (floors: Floors, about: About): Command.Command<"doctor", Input, {}, Ended> =>
  Command.make("doctor", input, (input) => examine(floors, about, input)).pipe(
    Command.withDescription(
      "Look at this machine: what is configured, whether the model can be reached, whether the sandbox holds. " +
        "No model is asked. Exit code 0: what is configured works, 1: something does not."
    ),
    Command.withExamples([
      { command: "holdfast doctor", description: "By the keys that are set" },
      { command: "holdfast doctor --base-url http://127.0.0.1:11434/v1 --model qwen3", description: "A server" }
    ])
  )

const examine = Effect.fnUntraced(function* (floors: Floors, about: About, input: Input) {
  const groups = yield* Effect.all(
    [keys(input), model(floors, input), sandbox(floors, "python"), sandbox(floors, "javascript")],
    { concurrency: "unbounded" }
  )
  const checks = [
    check("holdfast", "ok", about.version),
    checkNode(process.versions.node, about.node),
    ...groups.flat()
  ]
  const isWell = checks.every(({ status }) => status !== "failed")
  yield* Console.log(input.json ? JSON.stringify({ ok: isWell, checks }, null, 2) : renderChecks(checks))
  if (!isWell) return yield* new Ended({ exitCode: 1 })
})

/** The variables that may hold a key, by name alone: a line for each that is set, and one for the others. */
const keys = (input: Input): Effect.Effect<ReadonlyArray<Check>> =>
  Endpoint.variables(input).pipe(
    Effect.map((variables) => {
      const unset = variables.filter(([, isSet]) => !isSet).map(([name]) => name)
      const set = variables.filter(([, isSet]) => isSet).map(([name]) => check(name, "ok", "set"))
      return unset.length === 0 ? set : [...set, check("keys", "missing", `not set: ${unset.join(", ")}`)]
    }),
    Effect.catch(({ message }) => Effect.succeed([check("keys", "failed", message)]))
  )

const model = (floors: Floors, input: Input): Effect.Effect<ReadonlyArray<Check>> =>
  Endpoint.find(input).pipe(
    Effect.flatMap((place) => {
      const { baseUrl, model = "", provider } = place
      const named =
        model.trim() === ""
          ? check("model", "missing", `none is named for ${baseUrl}; add --model NAME`)
          : check("model", "ok", `${model} (${provider})`)
      return Effect.map(checkEndpoint(place), (reached) => [named, ...reached])
    }),
    Effect.provide(floors.http),
    Effect.catch(({ message }) => Effect.succeed([check("model", isAsked(input) ? "failed" : "missing", message)]))
  )

/** Whether the person named a model's place: then it must be there. */
const isAsked = ({ apiKeyEnv, baseUrl }: Input): boolean => Option.isSome(apiKeyEnv) || Option.isSome(baseUrl)

const sandbox = (floors: Floors, language: "python" | "javascript"): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.scoped(Effect.provide(checkSandbox(language), floors.sandbox(1)))
