/** `holdfast mcp`: the sandbox on this machine as a server of the Model Context Protocol, over standard input and output. */
import type * as Cause from "effect/Cause"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stdio from "effect/Stdio"
import { type BadInput, badInput } from "./internal/ending.ts"
import * as Flags from "./internal/flags.ts"
import type { Floors } from "./internal/floors.ts"

/** What the person set. */
export interface Input {
  readonly sandbox: "local" | "process"
  readonly os: "auto" | "require" | "off"
  readonly timeout: Duration.Duration
  readonly maxTimeout: Duration.Duration
  readonly memory: Option.Option<number>
  readonly fileSpace: Option.Option<number>
  readonly maxCharacters: number
}

/** A count of MiB. */
const mebibytes = (name: string): Flag.Flag<number> => Flags.count(name, 1).pipe(Flag.withMetavar("MiB"))

const input = {
  sandbox: Flag.Literals("sandbox", ["local", "process"]).pipe(
    Flag.withDescription(
      "The embedded one, or this system's own python3, Node and bash behind bubblewrap, with a shell (default: local)"
    ),
    Flag.withDefault("local")
  ),
  os: Flag.Literals("os", ["auto", "require", "off"]).pipe(
    Flag.withDescription(
      "The system's wall around the embedded guest: used where it works, wanted, or left out (default: auto)"
    ),
    Flag.withDefault("auto")
  ),
  timeout: Flags.duration("timeout").pipe(
    Flag.withDescription("A run is stopped after this time where the model does not say (default: 30s)"),
    Flag.withDefault(Duration.seconds(30))
  ),
  maxTimeout: Flags.duration("max-timeout").pipe(
    Flag.withDescription("The longest time that the model may say (default: 5m)"),
    Flag.withDefault(Duration.minutes(5))
  ),
  memory: mebibytes("memory").pipe(
    Flag.withDescription(
      "The guest's memory, for each language (default: 512 for Python, 256 for JavaScript; process: 900 in all)"
    ),
    Flag.optional
  ),
  fileSpace: mebibytes("file-space").pipe(
    Flag.withDescription("What the guest's files may hold (default: 128)"),
    Flag.optional
  ),
  maxCharacters: Flags.count("max-characters", 100).pipe(
    Flag.withDescription("The most letters of each part of a result; the rest is cut (default: 20000)"),
    Flag.withDefault(20_000)
  )
}

/** The command over these layers. */
export const mcp = (
  floors: Floors,
  version: string
): Command.Command<"mcp", Input, {}, BadInput | Cause.IllegalArgumentError, Stdio.Stdio> =>
  Command.make("mcp", input, (input) => serve(floors, version, input)).pipe(
    Command.withDescription(
      "Serve the sandbox to a model's client over MCP (standard input and output): run_code, read_file, write_file, " +
        "list_files, reset, and run_command where there is a shell. It ends when its input is closed."
    ),
    Command.withExamples([{ command: "holdfast mcp --timeout 10s", description: "As a client starts it" }])
  )

const serve = Effect.fnUntraced(function* (floors: Floors, version: string, input: Input) {
  if (input.sandbox === "process" && input.os === "off")
    return yield* badInput("--os off is for the embedded sandbox: the system's interpreters do not run without a wall")
  // It brings all schemas of the protocol, and no other command has a use for them.
  const server = yield* Effect.promise(() => import("./internal/mcpServer.ts"))
  yield* server.serve(floors, version, input)
})
