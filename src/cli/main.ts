#!/usr/bin/env node
/** The `holdfast` program: the one place where all layers meet, and where signals and exit codes are known. */
import "./internal/smallHeap.ts"
import * as NodeChildProcessSpawner from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import * as NodeStdio from "@effect/platform-node-shared/NodeStdio"
import * as NodeTerminal from "@effect/platform-node-shared/NodeTerminal"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import * as UndiciHttpClient from "../http/UndiciHttpClient.ts"
import * as Policy from "../policy/Policy.ts"
import { processHost } from "../policy/internal/signals.ts"
import * as Shutdown from "../policy/Shutdown.ts"
import * as LocalSandbox from "../sandbox/LocalSandbox.ts"
import * as ProcessSandbox from "../sandbox/ProcessSandbox.ts"
import { ask } from "./ask.ts"
import { batch } from "./batch.ts"
import { doctor } from "./doctor.ts"
import { Ended } from "./internal/ending.ts"
import type { Floors } from "./internal/floors.ts"
import { llmLayer } from "./internal/models.ts"
import { plain } from "./internal/plain.ts"
import { mcp } from "./mcp.ts"
import { report } from "./report.ts"
import { run } from "./run.ts"
import { solve } from "./solve.ts"

// A person says how long a run may take, and a session is there as long as the command.
const unbounded = { maxTimeout: "Infinity", lifetime: "Infinity" } as const

const sandbox: Floors["sandbox"] = (maxSessions, { engine, fileBytes, memoryBytes, os } = {}) => {
  if (engine === "process") {
    // A Python takes 128 MiB of its address space itself.
    const pythonMemoryBytes = memoryBytes === undefined ? undefined : memoryBytes + 128 * 2 ** 20
    const limits = { memoryBytes, pythonMemoryBytes, javascriptMemoryBytes: memoryBytes, fileBytes }
    return ProcessSandbox.layer({ ...unbounded, maxSessions, limits })
  }
  const limits = { pythonMemoryBytes: memoryBytes, javascriptMemoryBytes: memoryBytes, fileBytes }
  // A guest that was booted ahead would be for a session that never comes.
  const pool = maxSessions === 1 ? { python: 0, javascript: 0 } : undefined
  return LocalSandbox.layer({ ...unbounded, maxSessions, pool, os, limits })
}

const floors: Floors = {
  http: UndiciHttpClient.layer(),
  llm: (endpoint, policy) => Layer.provide(llmLayer(endpoint, Policy.make(policy)), UndiciHttpClient.layer()),
  sandbox
}

// Two floors up from here, in `src` and in `dist` alike.
const Manifest = Schema.fromJsonString(
  Schema.Struct({ version: Schema.String, engines: Schema.Struct({ node: Schema.String }) })
)
const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8")
const { engines, version } = Schema.decodeUnknownSync(Manifest)(manifest)

const holdfast = Command.make("holdfast").pipe(
  Command.withDescription("Calls that hold: run code in a sandbox, ask a model, and let one write code for the other."),
  Command.withSubcommands([
    run(floors),
    ask(floors),
    solve(floors),
    report,
    batch(floors),
    mcp(floors, version),
    doctor(floors, { version, node: engines.node })
  ])
)

const oneLine = (text: string): string =>
  plain(text)
    .trim()
    .replace(/\s*\n\s*/g, " ")

/** A wrong command line is one line on stderr; the whole help is there for who asks. */
const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const problem = event.errors.map(({ message }) => oneLine(message)).join("; ")
    return Console.error(`holdfast: ${problem} (see ${event.commandPath.join(" ")} --help)`)
  }
}

/** Says why the program ends, in one line, and turns it into an exit code. */
const end = (exit: Exit.Exit<void, unknown>): Effect.Effect<number> => {
  if (Exit.isSuccess(exit)) return Effect.succeed(0)
  if (Cause.hasInterruptsOnly(exit.cause)) return Effect.succeed(130)
  const error = Cause.squash(exit.cause)
  if (error instanceof Ended) return Effect.succeed(error.exitCode)
  if (CliError.isCliError(error)) return Effect.succeed(2)
  const isExpected = exit.cause.reasons.every(Cause.isFailReason)
  const line = isExpected && error instanceof Error ? oneLine(error.message) : Cause.pretty(exit.cause)
  return Effect.as(Console.error(`holdfast: ${line}`), Runtime.getErrorExitCode(error))
}

const services = Layer.mergeAll(
  NodeChildProcessSpawner.layer.pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer))),
  NodeStdio.layer,
  NodeTerminal.layer,
  CliOutput.layerPresenter(presenter),
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
)

const program = Command.run(holdfast, { version }).pipe(Effect.provide(services), Effect.exit)

/** Signals, and a reader of our output that has gone (`holdfast ... | head`): nobody is left to work for. */
const host: Shutdown.Host = {
  ...processHost,
  onSignal: (listener) => {
    for (const output of [process.stdout, process.stderr]) output.on("error", () => listener("SIGPIPE"))
    return processHost.onSignal(listener)
  }
}

// A person at a terminal has asked for an end: calls are not waited for, only what gives sandboxes back.
const main = Effect.flatMap(program, end).pipe(
  Effect.provideService(Shutdown.Current, undefined),
  Shutdown.stopOnSignal({ grace: "30 seconds", samePress: "1 second", host })
)
const exitCode = Effect.catch(main, (stopped) => Effect.succeed(stopped.exitCode))
Effect.runFork(exitCode).addObserver((exit) => process.exit(Exit.isSuccess(exit) ? exit.value : 130))
