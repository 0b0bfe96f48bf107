import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Ref, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { SandboxToolkit } from "holdfast/agent"
import { LlmLanguageModel, type Message, ToolLoop } from "holdfast/llm"
import { Sandbox, SandboxError } from "holdfast/sandbox"
import { TestLlm, TestSandbox } from "holdfast/testing"
import { Layer } from "effect"

const gone = new SandboxError.SessionLost({ why: "exited", description: "the guest ended itself" })

const missing = new SandboxError.FileFailed({ path: "a", why: "notFound", description: "no such file" })

const fails = (reason: SandboxError.Reason) => Effect.fail(TestSandbox.failure(reason))

const encoder = new TextEncoder()

/** A session by script, whose files and resets are in memory, and with a shell that says what it was told. */
const session = Effect.fnUntraced(function* (script: TestSandbox.Script, over: Partial<Sandbox.Session> = {}) {
  const made = yield* Effect.provide(Sandbox.create(), TestSandbox.layer(script))
  const files = new Map<string, Uint8Array>([["/home/user/binary", Uint8Array.of(0xff, 0xfe)]])
  const resets: Array<string> = []
  const result = {
    outcome: "failed",
    exitCode: 2,
    stdout: "out\n",
    stderr: "",
    durationMillis: 1,
    truncated: false
  } as const
  const scripted: Sandbox.Session = {
    ...made,
    hasShell: true,
    streamCommand: (command, options) =>
      Stream.make(
        { type: "stdout", text: `${command} ${String(options?.timeout)}` } as const,
        { type: "done", result } as const
      ),
    files: {
      ...made.files,
      read: (path) => Effect.suspend(() => Effect.succeed(files.get(path) ?? new Uint8Array())),
      write: (path, data) =>
        path === "a"
          ? fails(missing)
          : Effect.sync(() => void files.set(path, typeof data === "string" ? encoder.encode(data) : data)),
      list: (path) =>
        Effect.succeed([
          { name: "data", path: "/data", type: "folder", bytes: 0 },
          { name: path ?? "home", path: "/home", type: "file", bytes: 3 }
        ])
    },
    reset: Effect.sync(() => void resets.push("reset")),
    ...over
  }
  return { session: scripted, resets }
})

/** The results of calls of tools, one after the other, as the model is told of them. */
const told = Effect.fnUntraced(function* (
  session: Sandbox.Session,
  calls: ReadonlyArray<readonly [name: string, input: object]>,
  options?: SandboxToolkit.Options
) {
  const answers = calls.map(([name, input], index): TestLlm.Reply => ({
    text: "",
    toolCalls: [call(name, input, index)]
  }))
  const tools = SandboxToolkit.tools(session, options)
  const rounds = calls.length + 1
  const run = ToolLoop.run(tools, "?", { maxRounds: rounds })
  const result = yield* Effect.provide(run, TestLlm.layer([...answers, "done"]))
  return result.rounds.flatMap(({ results }) => results.map(({ content }) => content))
})

const call = (name: string, input: object, index = 0): Message.ToolCall => ({
  id: `${index}`,
  name,
  input,
  inputText: JSON.stringify(input)
})

const run = (code: string) => ["run_code", { code }] as const

describe("SandboxToolkit.tools", () => {
  it.effect("say what a program printed, what it came to and how it failed", () =>
    Effect.gen(function* () {
      const { session: scripted } = yield* session([
        { stdout: "hi\n", stderr: "warned\n", results: [{ "text/plain": "42", "image/png": "…" }] },
        "",
        TestSandbox.raised("ValueError", "no"),
        { outcome: "failed", exitCode: 3, stdout: "out", truncated: true }
      ])
      assert.deepStrictEqual(yield* told(scripted, [run("a"), run("b"), run("c"), run("d")]), [
        "stdout:\nhi\n\nstderr:\nwarned\n\nresult:\n42 (also as image/png, which you cannot see)",
        "The program ran to its end; it printed nothing, and its last line has no value.",
        "The program failed.\n\nerror:\nValueError: no",
        "The program ended with exit code 3.\n\nstdout:\nout\n\n" +
          "[the sandbox cut the output at its limit; what comes after is lost]"
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("tell the truth about a run that was stopped, and give a fresh session after one that was killed", () =>
    Effect.gen(function* () {
      const timedOut = { outcome: "timedOut", exitCode: 124 } as const
      const { resets, session: scripted } = yield* session([
        { ...timedOut, sessionState: "kept" },
        { ...timedOut, sessionState: "lost" },
        "again"
      ])
      const [stopped, killed, after] = yield* told(scripted, [run("a"), run("b"), run("c")], { timeout: "2 seconds" })
      assert.strictEqual(
        stopped,
        "The program did not end within 2 seconds and was stopped. Variables and files are kept."
      )
      assert.strictEqual(
        killed,
        "The program did not end within 2 seconds and was killed. " +
          "All variables and files are gone. The next call has a fresh session."
      )
      assert.strictEqual(after, "stdout:\nagain")
      assert.strictEqual(resets.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("say that a session was lost, run nothing twice, and go on in a fresh one", () =>
    Effect.gen(function* () {
      const { resets, session: scripted } = yield* session((_, number) => (number === 1 ? fails(gone) : "again"))
      const [lost, after] = yield* told(scripted, [run("a"), run("b")])
      assert.strictEqual(
        lost,
        "Error: the session was lost (exited): the guest ended itself\n" +
          "The call may have been done in part, or not at all. " +
          "All variables and files are gone. The next call has a fresh session."
      )
      assert.strictEqual(after, "stdout:\nagain")
      assert.strictEqual(resets.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("bound the time that a model asks for, and the length of what it is told", () =>
    Effect.gen(function* () {
      const { session: scripted } = yield* session("x".repeat(60) + "y".repeat(60))
      const options = { maxTimeout: "1 minute", maxCharacters: 100 } as const
      const [output, command] = yield* told(
        scripted,
        [run("a"), ["run_command", { command: "sleep", timeout_seconds: 3600 }]],
        options
      )
      assert.strictEqual(
        output,
        `stdout:\n${"x".repeat(60)}${"y".repeat(15)}\n[... 20 characters are left out here ...]\n${"y".repeat(25)}`
      )
      assert.strictEqual(command, "exit code 2\n\nstdout:\nout")
      const asked = yield* Ref.make<ReadonlyArray<unknown>>([])
      const { session: asking } = yield* session("", {
        streamCode: (_, options) =>
          Stream.unwrap(
            Effect.as(
              Ref.update(asked, (all) => [...all, options?.timeout]),
              Stream.empty
            )
          )
      })
      yield* told(asking, [run("a"), ["run_code", { code: "b", timeout_seconds: 3600 }]], options)
      assert.deepStrictEqual((yield* Ref.get(asked)).map(String), ["30000 millis", "60000 millis"])
    }).pipe(Effect.scoped)
  )

  it.effect("read, write and list files, and say what is wrong with them", () =>
    Effect.gen(function* () {
      const { session: scripted } = yield* session("")
      const results = yield* told(scripted, [
        ["write_file", { path: "notes.txt", content: "héllo" }],
        ["read_file", { path: "notes.txt" }],
        ["read_file", { path: "empty" }],
        ["read_file", { path: "/home/user/binary" }],
        ["list_files", {}],
        ["write_file", { path: "a", content: "" }],
        ["reset", {}]
      ])
      assert.deepStrictEqual(results, [
        "Wrote 5 characters to notes.txt.",
        "héllo",
        "The file is empty.",
        "This is no text: 2 bytes that are not UTF-8. Read it by a program.",
        "data/\nhome (3 bytes)",
        'Error: "a": no such file',
        "This is a fresh session: no variables, no files."
      ])
    }).pipe(Effect.scoped)
  )

  it.effect("offer a shell where there is one", () =>
    Effect.gen(function* () {
      const names = (tools: ReturnType<typeof SandboxToolkit.tools>) => tools.map(({ spec }) => spec.name)
      const { session: scripted } = yield* session("")
      const shell = names(SandboxToolkit.tools(scripted))
      assert.deepStrictEqual(shell, ["run_code", "run_command", "read_file", "write_file", "list_files", "reset"])
      const none = names(SandboxToolkit.tools({ ...scripted, hasShell: false }))
      assert.deepStrictEqual(none, ["run_code", "read_file", "write_file", "list_files", "reset"])
    }).pipe(Effect.scoped)
  )

  it.effect("describe the limits and walls of this session", () =>
    Effect.gen(function* () {
      const { session: scripted } = yield* session("")
      const described = (isolation: Partial<Sandbox.Isolation>, options?: SandboxToolkit.Options) => {
        const described = { ...scripted, isolation: { ...scripted.isolation, ...isolation } }
        return SandboxToolkit.tools(described, options)[0]?.spec.description ?? ""
      }
      const embedded = described({ engine: "pyodide-wasm" }, { timeout: "10 seconds", notes: "Be brief." })
      assert.match(embedded, /^Runs Python/)
      for (const said of ["after 10 seconds", "no numpy", "no network", "cut to 20000 characters", "Be brief."])
        assert.include(embedded, said)
      const remote = described({ engine: "e2b", process: "remote", network: "remote" })
      assert.notInclude(remote, "no network")
      assert.notInclude(remote, "numpy")
      assert.include(described({ engine: "system", process: "child", network: "none" }), "There is no network")
    }).pipe(Effect.scoped)
  )

  it.effect("leave what the model cannot mend to the loop's caller", () =>
    Effect.gen(function* () {
      const busy = new SandboxError.Unavailable({ description: "no machine", transient: true })
      const { session: scripted } = yield* session(() => fails(busy))
      const loop = ToolLoop.run(SandboxToolkit.tools(scripted), "?", { onToolError: "caller" })
      const asks = TestLlm.layer([{ text: "", toolCalls: [call("run_code", { code: "1" })] }])
      const error = yield* Effect.flip(Effect.provide(loop, asks))
      assert.strictEqual(error._tag, "SandboxError")
      assert.deepStrictEqual(yield* told(scripted, [run("a")]), ["Error: sandbox test: no machine"])
    }).pipe(Effect.scoped)
  )

  it.effect("say that a call before was stopped, once", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const { session: scripted } = yield* session((_, number) =>
        number === 1 ? Effect.andThen(Deferred.succeed(started, undefined), Effect.never) : "fine"
      )
      const toolkit = yield* SandboxToolkit.toolkit(scripted)
      const result = (code: string) =>
        toolkit.handle("run_code", { code }).pipe(
          Effect.flatMap(Stream.runCollect),
          Effect.map(([one]) => one?.result)
        )
      const running = yield* Effect.forkChild(result("a"))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(running)
      const note = "Note: the call before was stopped by the user before its end."
      assert.strictEqual(yield* result("b"), `${note} What it did until then may be done in part.\n\nstdout:\nfine`)
      assert.strictEqual(yield* result("c"), "stdout:\nfine")
    }).pipe(Effect.scoped)
  )
})

describe("SandboxToolkit.toolkit", () => {
  it.effect("runs code that names no language in that of the session, or the one that it says", () =>
    Effect.gen(function* () {
      const { session: scripted } = yield* session((run) => run.language, { language: "javascript" })
      const said = (options?: SandboxToolkit.Options) =>
        Effect.flatMap(SandboxToolkit.toolkit(scripted, options), ({ handle }) =>
          handle("run_code", { code: "1" }).pipe(
            Effect.flatMap(Stream.runCollect),
            Effect.map(([one]) => one?.result)
          )
        )
      assert.strictEqual(yield* said(), "stdout:\njavascript")
      assert.strictEqual(yield* said({ language: "python" }), "stdout:\npython")
    }).pipe(Effect.scoped)
  )

  it.effect("gives effect/ai the session's tools, with their handlers", () =>
    Effect.gen(function* () {
      const { session: scripted } = yield* session((run) => `ran ${run.code} as ${run.language}`)
      const toolkit = yield* SandboxToolkit.toolkit(scripted)
      const asks = TestLlm.layer([
        {
          text: "",
          toolCalls: [
            call("run_code", { code: "1", language: "javascript" }),
            call("run_command", { command: "ls" }, 1)
          ]
        }
      ])
      const model = LlmLanguageModel.layerText().pipe(Layer.provide(asks))
      const answer = yield* Effect.provide(LanguageModel.generateText({ prompt: "?", toolkit }), model)
      assert.deepStrictEqual(
        answer.toolResults.map(({ name, result }) => [name, result]),
        [
          ["run_code", "stdout:\nran 1 as javascript"],
          ["run_command", "exit code 2\n\nstdout:\nout"]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("offers no shell where there is none, and tells the model of every failure", () =>
    Effect.gen(function* () {
      const busy = new SandboxError.Unavailable({ description: "no machine", transient: true })
      const { session: scripted } = yield* session(() => fails(busy), { hasShell: false })
      const toolkit = yield* SandboxToolkit.toolkit(scripted)
      assert.notProperty(toolkit.tools, "run_command")
      const results = yield* toolkit.handle("run_code", { code: "1" }).pipe(Effect.flatMap(Stream.runCollect))
      assert.strictEqual(results[0]?.result, "Error: no machine")
    }).pipe(Effect.scoped)
  )
})
