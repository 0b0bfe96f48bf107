/** What the promise client adds to sessions. What sessions do is the contract's: Session.contract.test.ts. */
import { Effect, Layer, Stream } from "effect"
import { type Client, createClient, SandboxError, type Session, type SessionOptions } from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { Sandbox } from "holdfast/sandbox"
import { SandboxServer, TestSandbox } from "holdfast/testing"
import { describe, expect, it } from "vitest"
import { python, startE2b } from "../fixtures/e2b.ts"

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

/** A session over a script, and what it ran. */
const open = async (script: TestSandbox.Script = "", options: TestSandbox.Options & SessionOptions = {}) => {
  const { commands, files, languages, ...rest } = options
  const sandbox = TestSandbox.make(script, { commands, files, languages })
  const client = fromLayer(sandbox.layer)
  const session = await client.createSession(rest)
  return { client, session, ...sandbox, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() }
}

const bytes = (...items: ReadonlyArray<number>) => Uint8Array.from(items)

async function* pieces(count: number, onEnd: () => void = () => {}) {
  try {
    for (let at = 0; at < count; at++) yield bytes(at)
  } finally {
    onEnd()
  }
}

const collected = async (flow: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>): Promise<Array<number>> => {
  const read = await Array.fromAsync(flow)
  return read.flatMap((piece) => [...piece])
}

describe("a session's files", () => {
  it("are uploaded from streams, iterables and blobs, and downloaded by a loop or as a stream", async () => {
    await using own = await open()
    const { files } = own.session
    const source = new ReadableStream<Uint8Array>({
      start: (out) => {
        out.enqueue(bytes(1, 2))
        out.enqueue(bytes(3))
        out.close()
      }
    })
    await files.upload("stream", source)
    await files.upload("iterable", pieces(3))
    await files.upload("blob", new Blob([bytes(7, 8)]))
    expect(await collected(files.download("stream"))).toEqual([1, 2, 3])
    expect(await collected(files.download("iterable"))).toEqual([0, 1, 2])
    expect(await collected(files.download("blob").toReadableStream())).toEqual([7, 8])
    expect((await files.list()).map(({ name }) => name)).toEqual(["blob", "iterable", "stream"])
    await files.remove("blob")
    expect(await settled(files.read("blob"))).toMatchObject({ code: "FileFailed", reason: { why: "notFound" } })
  })

  it("end an upload with its source's own error, and leave no file", async () => {
    await using own = await open()
    const broken = new Error("the disk is gone")
    async function* failing() {
      yield bytes(1)
      throw broken
    }
    expect(await settled(own.session.files.upload("a", failing()))).toBe(broken)
    expect(await settled(own.session.files.read("a"))).toMatchObject({ code: "FileFailed" })
  })

  it("cancel what they are uploaded from when the call is aborted", async () => {
    await using own = await open()
    const reasons: Array<unknown> = []
    let pull = (): void => {}
    const pulled = new Promise<void>((resolve) => (pull = resolve))
    const source = new ReadableStream<Uint8Array>({
      pull: (out) => {
        if (out.desiredSize === null) return
        pull()
        return new Promise(() => {})
      },
      cancel: (reason) => void reasons.push(reason)
    })
    const controller = new AbortController()
    const uploading = own.session.files.upload("a", source, { signal: controller.signal })
    await pulled
    controller.abort(new Error("enough"))
    expect(await settled(uploading)).toEqual(new Error("enough"))
    await own.client.close()
    expect(reasons).toHaveLength(1)
  })

  it("stop reading when the loop is left", async () => {
    const open: Array<string> = []
    const endless = Layer.effect(
      Sandbox.Sandbox,
      Effect.map(Sandbox.Sandbox, ({ create }) => ({
        create: (options) =>
          Effect.map(create(options), (session) => ({
            ...session,
            files: {
              ...session.files,
              download: () =>
                Stream.make(bytes(1), bytes(2)).pipe(
                  Stream.concat(Stream.never),
                  Stream.ensuring(Effect.sync(() => open.push("closed")))
                )
            }
          }))
      }))
    )
    await using client = fromLayer(Layer.provide(endless, TestSandbox.layer("")))
    const session = await client.createSession()
    for await (const piece of session.files.download("a")) if (piece[0] === 2) break
    expect(open).toEqual(["closed"])
    const late = session.files.download("a", { timeout: 1 })
    expect(await settled(collected(late))).toMatchObject({ code: "DeadlineExceeded" })
  })

  it("say what is wrong with what they are given", async () => {
    await using own = await open()
    const { files } = own.session
    const wrong = async (promise: Promise<unknown>) => {
      const error = await settled(promise)
      return error instanceof TypeError ? error.message : error
    }
    async function* texts() {
      yield "text"
    }
    // @ts-expect-error: pieces are bytes
    expect(await wrong(files.upload("a", texts()))).toMatch(/^data: a string came, not a Uint8Array/)
    // @ts-expect-error: texts are written
    expect(await wrong(files.upload("a", "text"))).toMatch(/^data: give a ReadableStream/)
    // @ts-expect-error: streams are uploaded
    expect(await wrong(files.write("a", pieces(1)))).toMatch(/^data: give a text or a Uint8Array; `upload`/)
    // @ts-expect-error: a path is a text
    expect(await wrong(files.read(1))).toBe("path: 1 is no text")
    // @ts-expect-error: no such option
    expect(await wrong(files.read("a", { encoding: "utf8" }))).toMatch(/^options\.encoding: there is no such option/)
    // @ts-expect-error: a path is a text
    expect(await wrong(files.download(undefined).next())).toMatch(/^path: /)
  })
})

describe("a session's commands", () => {
  it("give their result in milliseconds, and their output as it comes", async () => {
    await using own = await open("", {
      commands: ({ command, print }) =>
        command === "stream" ? Effect.as(print("one\n"), "two\n") : { outcome: "failed", exitCode: 3, stdout: command }
    })
    expect(own.session.hasShell).toBe(true)
    const result = await own.session.runCommand("false", { stdin: "in", cwd: "/tmp", env: { A: "1" }, timeout: "5s" })
    expect(result).toMatchObject({ outcome: "failed", exitCode: 3, stdout: "false" })
    expect(result.durationMs).toBeGreaterThanOrEqual(0)
    expect(own.commands[0]?.options).toMatchObject({ stdin: "in", cwd: "/tmp", env: { A: "1" } })
    const events = own.session.streamCommand("stream")
    expect((await Array.fromAsync(events)).map(({ type }) => type)).toEqual(["stdout", "stdout", "done"])
    expect(await own.session.streamCommand("stream").result()).toMatchObject({ stdout: "one\ntwo\n" })
  })

  it("reject where there is no shell", async () => {
    await using own = await open()
    expect(own.session.hasShell).toBe(false)
    expect(await settled(own.session.runCommand("ls"))).toMatchObject({ code: "Unsupported" })
    expect(await settled(own.session.streamCommand("ls").next())).toMatchObject({ code: "Unsupported" })
  })
})

describe("a session", () => {
  it("is made with what it is told, and refuses what is misspelt", async () => {
    const seen: Array<TestSandbox.Program> = []
    const script = (run: TestSandbox.Program) => `${seen.push(run)}`
    await using own = await open(script, { language: "javascript", env: { A: "1" }, cwd: "/tmp", lifetime: "10m" })
    await own.session.runCode("1", { timeout: "2s" })
    expect(seen[0]).toMatchObject({ language: "javascript", cwd: "/tmp", env: { A: "1" } })
    const wrong = async (options: object) => {
      const error = await settled(own.client.createSession(options))
      return error instanceof TypeError ? error.message : error
    }
    expect(await wrong({ lifetimeMs: 1 })).toMatch(/^options\.lifetimeMs: there is no such option; .*lifetime/)
    expect(await wrong({ lifetime: "soon" })).toMatch(/^lifetime: "soon" is not a time/)
    expect(await wrong({ env: { A: 1 } })).toBe("env: give an object of texts by their names")
    // @ts-expect-error: it is called timeout
    expect(await settled(own.session.runCode("1", { timeoutMs: 1 }))).toMatchObject({
      message: expect.stringMatching(/^options\.timeoutMs/)
    })
  })

  it("keeps contexts apart, interrupts, resets and is extended", async () => {
    let begin = (): void => {}
    const begun = new Promise<void>((resolve) => (begin = resolve))
    await using own = await open((run) => {
      if (run.code !== "wait") return run.options.context?.id ?? "own"
      begin()
      return Effect.never
    })
    const { session } = own
    const context = await session.createContext({ language: "python", cwd: "/tmp" })
    expect((await session.runCode("1", { context })).stdout).toBe(context.id)
    const running = session.runCode("wait")
    await begun
    await session.interrupt()
    expect(await running).toMatchObject({ outcome: "interrupted", exitCode: 130 })
    await session.extend("10 minutes")
    await session.reset()
    // @ts-expect-error: a lifetime has a unit
    expect(await settled(session.extend("soon"))).toMatchObject({ message: expect.stringMatching(/^lifetime: /) })
    await session.close()
    expect(await settled(session.reset())).toMatchObject({ code: "SessionLost" })
  })

  it("ends what it streams at the deadline of the client that made it", async () => {
    const client = fromLayer(TestSandbox.layer(() => Effect.never))
    const soon = client.with({ deadline: "1 second" })
    const session = await soon.createSession()
    const [streamed, run] = await Promise.all([
      settled(session.streamCode("1").result()),
      settled(session.runCode("1"))
    ])
    expect(streamed).toMatchObject({ code: "DeadlineExceeded" })
    expect(run).toMatchObject({ code: "DeadlineExceeded" })
    await client.close()
  })
})

describe("createClient's sandbox", () => {
  const wrong = (sandbox: object): string => {
    try {
      // @ts-expect-error: what a program without types may give
      createClient({ sandbox })
      return "accepted"
    } catch (error) {
      return error instanceof TypeError ? error.message : "another error"
    }
  }

  it("says in one line which option is wrong", () => {
    expect(wrong({ provider: "cloud" })).toBe(
      'sandbox.provider: "cloud" is not one of "local", "process", "e2b", "rest"'
    )
    expect(wrong({ provider: "local", sessions: 1 })).toMatch(/^sandbox\.sessions: there is no such option; .*maxSess/)
    expect(wrong({ provider: "local", maxSessions: 0 })).toMatch(/^sandbox\.maxSessions: 0/)
    expect(wrong({ provider: "local", grace: "soon" })).toMatch(/^sandbox\.grace: "soon" is not a time/)
    expect(wrong({ provider: "local", grace: {} })).toMatch(/^sandbox\.grace: a object is not a time/)
    expect(wrong({ provider: "local", languages: ["cobol"] })).toMatch(/^sandbox\.languages\[0\]: "cobol"/)
    expect(wrong({ provider: "local", limits: { memory: 1 } })).toMatch(/^sandbox\.limits\.memory: there is no such/)
    expect(wrong({ provider: "process", unsafeNoIsolation: "yes" })).toMatch(/^sandbox\.unsafeNoIsolation: "yes"/)
    expect(wrong({ provider: "process", readable: "/data" })).toBe("sandbox.readable: give a list of paths")
    expect(wrong({ provider: "rest" })).toMatch(/^sandbox\.baseUrl: give the service's address/)
    expect(wrong({ provider: "rest", baseUrl: "nowhere" })).toMatch(/^sandbox\.baseUrl: "nowhere" is not an http/)
    expect(wrong({ provider: "e2b", metadata: { a: 1 } })).toMatch(/^sandbox\.metadata: /)
    // What may be a secret is not repeated.
    expect(wrong({ provider: "e2b", apiKey: 12345 })).toBe("sandbox.apiKey: give a text that is not empty")
    expect(wrong({ provider: "e2b", apiKey: "k", os: "off" })).toMatch(/^sandbox\.os: there is no such option/)
  })

  /** A program of a promise user, on any sandbox. */
  const tried = async (client: Client): Promise<Session> => {
    const session = await client.createSession({ language: "python" })
    expect((await session.runCode("print(6 * 7)")).stdout).toBe("42\n")
    await session.files.write("a.txt", "hi")
    expect(await session.files.readText("a.txt")).toBe("hi")
    return session
  }

  it("is a REST service by its address, whose failures have its name", async () => {
    const script = TestSandbox.layer((run) => (run.code === "raise" ? TestSandbox.raised("E", "no") : "42\n"))
    const server = SandboxServer.layer().pipe(Layer.provide(script))
    const program = Effect.gen(function* () {
      const { open, requests, url } = yield* SandboxServer.SandboxServer
      yield* Effect.promise(async () => {
        await using client = createClient({ sandbox: { provider: "rest", baseUrl: url, name: "mine" } })
        const session = await tried(client)
        expect(session.isolation.process).toBe("remote")
        const error = await settled(client.executeCode("raise"))
        expect(error).toBeInstanceOf(SandboxError)
        expect(error).toMatchObject({ code: "ExecutionFailed", provider: "mine" })
      })
      expect(yield* open).toBe(0)
      expect((yield* requests).some(({ method }) => method === "DELETE")).toBe(true)
    })
    await Effect.runPromise(Effect.provide(program, server))
  })

  it("is E2B by its key, and says which variable is missing without one", async () => {
    delete process.env.E2B_API_KEY
    await using keyless = createClient({ sandbox: { provider: "e2b" } })
    const error = await settled(keyless.createSession())
    expect(error).toBeInstanceOf(SandboxError)
    expect(error).toMatchObject({
      code: "Unauthorized",
      message: expect.stringMatching(/E2B_API_KEY.*sandbox\.apiKey/)
    })
  })

  it.skipIf(python === undefined)("speaks to E2B as its own client does, and leaves no machine", async () => {
    await using e2b = await startE2b()
    const { apiKey, apiUrl, sandboxUrl } = e2b
    {
      await using client = createClient({ sandbox: { provider: "e2b", apiKey, apiUrl, sandboxUrl, lifetime: "5m" } })
      const session = await tried(client)
      expect(session.hasShell).toBe(true)
      expect((await session.runCommand("echo hi")).stdout).toBe("hi\n")
      expect(await settled(client.executeCode("raise ValueError('no')"))).toMatchObject({ provider: "e2b" })
    }
    expect(e2b.boxes()).toEqual([])
  })
})
