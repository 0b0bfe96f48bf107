/** The MCP server of `holdfast mcp`: one session of the sandbox, and the end of both. */
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpServer from "effect/ai/McpServer"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stdio from "effect/Stdio"
import { Machine } from "../../agent/internal/machine.ts"
import type { Facts } from "../../agent/internal/machineTools.ts"
import { type Language, Sandbox, type Session } from "../../sandbox/Sandbox.ts"
import type { SandboxError } from "../../sandbox/SandboxError.ts"
import type { Input } from "../mcp.ts"
import type { Floors } from "./floors.ts"
import * as McpStdio from "./mcpStdio.ts"
import { register } from "./mcpTools.ts"

/** The newest one that client and server both speak is chosen. */
const protocols = [
  McpProtocol.v2025_11_25,
  McpProtocol.v2025_06_18,
  McpProtocol.v2025_03_26,
  McpProtocol.v2024_11_05,
  McpProtocol.v2026_07_28
] as const

/** The official client waits two seconds for a server whose input it has closed, and then kills it (1.32.2, 2026-11). */
const endGrace = "1 second"

/** What a sandbox is, before there is a session of it: the list of tools must not wait for its start. */
const facts: Readonly<Record<Input["sandbox"], Facts>> = {
  local: {
    languages: ["python", "javascript", "typescript"],
    isolation: { engine: "wasm", process: "child", os: "none", network: "none" },
    hasShell: false
  },
  process: {
    languages: ["python", "javascript", "typescript", "bash"],
    isolation: { engine: "system", process: "child", os: "bubblewrap", network: "none" },
    hasShell: true
  }
}

const instructions =
  "Runs code in a sandbox on the user's machine. One session is kept for the whole conversation; results say when its state is lost."

/** One session for all calls, made by the first one, with its language. */
const sessionOf = Effect.fnUntraced(function* () {
  const sandbox = yield* Sandbox
  const scope = yield* Effect.scope
  const lock = yield* Semaphore.make(1)
  let made: Session | undefined
  return (language: Language): Effect.Effect<Session, SandboxError> =>
    lock.withPermit(
      Effect.suspend(() =>
        made === undefined
          ? Effect.tap(Scope.provide(sandbox.create({ language }), scope), (session) =>
              Effect.sync(() => (made = session))
            )
          : Effect.succeed(made)
      )
    )
})

const tools = (input: Input) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { maxCharacters, maxTimeout, timeout } = input
      const machine = new Machine(yield* sessionOf(), { language: "python", timeout, maxTimeout, maxCharacters })
      yield* register(machine, facts[input.sandbox])
    })
  )

const bytes = (mebibytes: Option.Option<number>): number | undefined =>
  Option.getOrUndefined(Option.map(mebibytes, (count) => count * 1024 * 1024))

/** Serves until the input is closed. */
export const serve = Effect.fnUntraced(
  function* (floors: Floors, version: string, input: Input) {
    const ended = yield* Deferred.make<void>()
    const given = yield* Stdio.Stdio
    if (yield* given.stdinIsTerminal)
      yield* Console.error("holdfast: this is an MCP server, which a model's client starts; Ctrl-D or Ctrl-C ends it")
    const stdio = McpStdio.make(given, ended)
    const sandbox = floors.sandbox(1, {
      engine: input.sandbox,
      os: input.os,
      memoryBytes: bytes(input.memory),
      fileBytes: bytes(input.fileSpace)
    })
    const server = McpServer.layerStdio({
      name: "holdfast",
      version,
      instructions,
      protocols,
      registrations: Layer.provide(tools(input), sandbox)
    })
    const serving = yield* Effect.forkScoped(Effect.provideService(Layer.launch(server), Stdio.Stdio, stdio))
    // Who has closed our input has calls answered that are about done; those that are not are stopped.
    const late = Effect.andThen(Deferred.await(ended), Effect.timeoutOption(Fiber.await(serving), endGrace))
    yield* Effect.raceFirst(Fiber.await(serving), late)
    yield* Fiber.interrupt(serving)
    const exit = yield* Fiber.await(serving)
    // The server ends by interrupting itself.
    if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.failCause(exit.cause)
  },
  Effect.scoped,
  // Standard output is the protocol's.
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
)
