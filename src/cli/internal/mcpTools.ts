/** The tools of a sandbox session, as an MCP server offers them. */
import * as McpSchema from "effect/ai/McpSchema"
import * as McpServer from "effect/ai/McpServer"
import * as Tool from "effect/ai/Tool"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Machine, type OnOutput, type Told } from "../../agent/internal/machine.ts"
import * as MachineTools from "../../agent/internal/machineTools.ts"
import type { SandboxError } from "../../sandbox/SandboxError.ts"

/** Ten times a second is as often as anybody reads. */
const progressEveryMillis = 100

/** The end of what was printed: who shows progress has a line or two for it. */
const maxMessageCharacters = 2000

type Server = McpServer.McpServer["Service"]

/** Tells who asked for it what a run prints meanwhile. The result has all of it. */
const progressOf = (server: Server, token: string | number): OnOutput => {
  let unsaid = ""
  let characters = 0
  let saidMillis = -Infinity
  return (text) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      unsaid = (unsaid + text).slice(-maxMessageCharacters)
      characters += text.length
      if (now - saidMillis < progressEveryMillis) return Effect.void
      saidMillis = now
      const message = unsaid.toWellFormed()
      unsaid = ""
      return server.notifications["notifications/progress"]({ progressToken: token, progress: characters, message })
    })
}

const quiet: OnOutput = () => Effect.void

/** The listener of this request, where it asked for progress. */
const listener = (server: Server): Effect.Effect<OnOutput, never, McpSchema.McpRequestContext> =>
  Effect.map(McpSchema.McpRequestContext, ({ requestMetadata }) => {
    const token = requestMetadata?.["progressToken"]
    return typeof token === "string" || typeof token === "number" ? progressOf(server, token) : quiet
  })

const resultOf = ({ isError, text }: Told): McpSchema.CallToolResult =>
  new McpSchema.CallToolResult({ content: [{ type: "text", text }], isError })

/** What the sandbox cannot do is told to the model, and the server goes on. */
const answered = (told: Effect.Effect<Told, SandboxError>): Effect.Effect<McpSchema.CallToolResult> =>
  Effect.map(
    Effect.catch(told, ({ reason }) => Effect.succeed({ text: `Error: ${reason.message}`, isError: true })),
    resultOf
  )

interface Offer<P extends Schema.Constraint> {
  readonly tool: Tool.Any & { readonly name: string; readonly parametersSchema: P }
  readonly call: (input: P["Type"], onOutput: OnOutput) => Effect.Effect<Told, SandboxError>
}

const add = <P extends Schema.ConstraintDecoder<unknown>>(server: Server, { call, tool }: Offer<P>) => {
  const decode = Schema.decodeUnknownEffect(tool.parametersSchema)
  return Effect.gen(function* () {
    const inputSchema = yield* Effect.orDie(
      Schema.decodeUnknownEffect(McpSchema.ToolJson)(Tool.getJsonSchemaFromSchema(tool.parametersSchema))
    )
    yield* server.addTool({
      tool: new McpSchema.Tool({
        name: tool.name,
        description: Tool.getDescription(tool),
        inputSchema,
        annotations: {
          readOnlyHint: Context.get(tool.annotations, Tool.Readonly),
          destructiveHint: tool.name === "reset" || tool.name === "write_file",
          idempotentHint: tool.name !== "run_code",
          // The guest sees no world but its own.
          openWorldHint: false
        }
      }),
      annotations: Context.empty(),
      handle: (payload: unknown) =>
        decode(payload ?? {}).pipe(
          Effect.mapError(({ message }) => new McpSchema.InvalidParams({ message })),
          Effect.flatMap((input) => Effect.flatMap(listener(server), (onOutput) => answered(call(input, onOutput))))
        )
    })
  })
}

/** Adds the tools to the server. */
export const register = Effect.fnUntraced(function* (machine: Machine, facts: MachineTools.Facts) {
  const server = yield* McpServer.McpServer
  const tools = MachineTools.make(facts, machine.limits, undefined)
  yield* add(server, { tool: tools.run_code, call: machine.runCode })
  if (facts.hasShell) yield* add(server, { tool: tools.run_command, call: machine.runCommand })
  yield* add(server, { tool: tools.read_file, call: machine.readFile })
  yield* add(server, { tool: tools.write_file, call: machine.writeFile })
  yield* add(server, { tool: tools.list_files, call: machine.listFiles })
  yield* add(server, { tool: tools.reset, call: machine.reset })
})
