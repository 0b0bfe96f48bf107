/** What each method of a session takes beside its own: headers, a key for the call, a class in the lines. */
import { createServer, type IncomingHttpHeaders, request } from "node:http"
import { once } from "node:events"
import { inspect } from "node:util"
import { Deferred, Effect, Exit, Layer, ManagedRuntime } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Policy } from "holdfast/policy"
import { createClient, type Session } from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { RestSandbox, SandboxPool } from "holdfast/sandbox"
import { SandboxServer, TestSandbox } from "holdfast/testing"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type E2b, python, startE2b } from "../fixtures/e2b.ts"

interface Came {
  /** With the sandbox's id left out. */
  readonly name: string
  readonly headers: IncomingHttpHeaders
}

/** A gateway before a service: it writes down what comes, and refuses what it is told to. */
const startGateway = async (target: string) => {
  const came: Array<Came> = []
  const refuse: Array<string> = []
  /** Answered here, by its name: with what it was shown. */
  const echo = new Map<string, { readonly status: number; readonly type: string; readonly body: object }>()
  const server = createServer((incoming, outgoing) => {
    const { headers, method = "", url = "" } = incoming
    const name = `${method} ${url.replace(/(?<=\/sandboxes\/)[^/?]+/, "*").replace(/\?.*/, "")}`
    came.push({ name, headers })
    const at = refuse.indexOf(name)
    if (at >= 0) {
      refuse.splice(at, 1)
      return void outgoing.writeHead(503, { "retry-after": "0" }).end()
    }
    const said = echo.get(name)
    if (said !== undefined) {
      const body = JSON.stringify(said.body).replaceAll("*", headers.authorization ?? "")
      return void incoming
        .resume()
        .on("end", () => outgoing.writeHead(said.status, { "content-type": said.type }).end(`${body}\n`))
    }
    const onward = request(new URL(url, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on("error", () => outgoing.destroy())
    incoming.pipe(onward)
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`,
    came,
    refuse,
    echo,
    close: async () => {
      server.closeAllConnections()
      await once(server.close(), "close")
    }
  }
}

type Gateway = Awaited<ReturnType<typeof startGateway>>

/** What each request had of `x-call` and of a key, in order; what was there before is left out. */
const toldSince = (gateway: Pick<Gateway, "came">, before: number): Array<string> =>
  gateway.came
    .slice(before)
    .map(({ headers, name }) => `${name} ${headers["x-call"] ?? "-"} ${headers["idempotency-key"] ?? "-"}`)

/** Calls one method after another, each with headers and a key of its own name. */
const callAll = async (session: Session) => {
  const own = (name: string) => ({ headers: { "X-Call": name }, idempotencyKey: `key-${name}` })
  await session.runCode("1", own("run"))
  for await (const _ of session.streamCode("1", own("stream")));
  await session.runCommand("true", own("command"))
  await session.createContext(own("context"))
  await session.files.write("a.txt", "hi", own("write"))
  await session.files.readText("a.txt", own("read"))
  for await (const _ of session.files.download("a.txt", own("download")));
  await session.files.list(undefined, own("list"))
  await session.files.remove("a.txt", own("remove"))
  await session.extend("5 minutes", own("extend"))
  await session.reset(own("reset"))
}

describe("a session over REST", () => {
  const runtime = ManagedRuntime.make(
    SandboxServer.layer().pipe(Layer.provide(TestSandbox.layer("42\n", { commands: () => Effect.succeed("") })))
  )
  let gateway: Gateway
  beforeAll(async () => {
    const { url } = await runtime.runPromise(SandboxServer.SandboxServer)
    gateway = await startGateway(url)
  })
  afterAll(async () => {
    await gateway?.close()
    await runtime.dispose()
  })

  const overRest = () =>
    createClient({
      sandbox: { provider: "rest", baseUrl: gateway.url, headers: { "x-call": "none", "x-all": "1" } },
      retry: { base: 1 }
    })

  it("has the headers of a call on all of its requests, and the key on those that make or run", async () => {
    const before = gateway.came.length
    {
      await using client = overRest()
      const session = await client.createSession({ headers: { "x-call": "create" }, idempotencyKey: "key-create" })
      await callAll(session)
    }
    expect(toldSince(gateway, before)).toEqual([
      "POST /sandboxes create key-create",
      "POST /sandboxes/*/execute run key-run",
      "POST /sandboxes/*/execute stream key-stream",
      "POST /sandboxes/*/commands command key-command",
      "POST /sandboxes/*/contexts context key-context",
      "PUT /sandboxes/*/files write -",
      "GET /sandboxes/*/files read -",
      "GET /sandboxes/*/files download -",
      "GET /sandboxes/*/files list -",
      "DELETE /sandboxes/*/files remove -",
      "PUT /sandboxes/*/lifetime extend -",
      // What it had is deleted while another one is made.
      "DELETE /sandboxes/* reset -",
      "POST /sandboxes reset key-reset",
      "DELETE /sandboxes/* create -"
    ])
    expect(gateway.came.slice(before).every(({ headers }) => headers["x-all"] === "1")).toBe(true)
  })

  it("sends the same key again, and runs nothing twice that may have begun", async () => {
    await using client = overRest()
    const before = gateway.came.length
    gateway.refuse.push("POST /sandboxes", "POST /sandboxes", "POST /sandboxes/*/execute")
    const { stdout } = await client.executeCode("1", "python", { headers: { "x-call": "once" }, idempotencyKey: "k" })
    expect(stdout).toBe("42\n")
    expect(toldSince(gateway, before)).toEqual([
      "POST /sandboxes once k",
      "POST /sandboxes once k",
      "POST /sandboxes once k",
      // Another request has another key: a server that knows it would answer with the sandbox.
      "POST /sandboxes/*/execute once k-2",
      "POST /sandboxes/*/execute once k-2",
      "DELETE /sandboxes/* once -"
    ])
  })

  it("has keys of its own where the call has none", async () => {
    await using client = overRest()
    const before = gateway.came.length
    await client.with({ headers: { "x-call": "for models" } }).executeCode("1")
    const [create, run] = gateway.came.slice(before)
    expect(create?.headers).toMatchObject({
      "x-call": "none",
      "idempotency-key": expect.stringMatching(/^[\da-f-]{36}$/)
    })
    expect(run?.headers).not.toHaveProperty("idempotency-key")
  })

  it("says itself of what kind the bodies of a call are", async () => {
    await using client = overRest()
    const session = await client.createSession()
    const options = { headers: { "Content-Type": "text/plain", "Content-Length": "1" } }
    const before = gateway.came.length
    await session.runCode("1", options)
    await session.files.write("a.txt", "hi", options)
    const kinds = gateway.came.slice(before).map(({ headers, name }) => `${name} ${headers["content-type"]}`)
    expect(kinds).toEqual([
      "POST /sandboxes/*/execute application/json",
      "PUT /sandboxes/*/files application/octet-stream"
    ])
  })

  it("keeps the secrets of a call's headers out of what a service says", async () => {
    await using client = overRest()
    const session = await client.createSession()
    const headers = { authorization: "Bearer sk-caller" }
    const settled = (call: Promise<unknown>) => call.catch((error: unknown) => inspect(error, { depth: 9 }))
    const type = "application/x-ndjson"
    const lost = { code: "SessionLost", message: "no use: *" }
    gateway.echo.set("GET /sandboxes/*/files", { status: 400, type: "application/json", body: { error: "no use: *" } })
    gateway.echo.set("POST /sandboxes/*/execute", { status: 200, type, body: { type: "error", error: lost } })
    for (const call of [session.files.read("a", { headers }), session.runCode("1", { headers })]) {
      const told = await settled(call)
      expect(told).toContain("no use: Bearer <redacted>")
      expect(told).not.toContain("sk-caller")
    }
    gateway.echo.clear()
  })
})

describe.skipIf(python === undefined)("a session on E2B", () => {
  let e2b: E2b
  beforeAll(async () => {
    e2b = await startE2b()
  })
  afterAll(() => e2b?.[Symbol.asyncDispose]())

  it("has the headers of a call on all of its requests, and the key on those that make or run", async () => {
    const { apiKey, apiUrl, sandboxUrl } = e2b
    {
      await using client = createClient({
        sandbox: { provider: "e2b", apiKey, apiUrl, sandboxUrl },
        retry: { base: 1 }
      })
      e2b.fail("POST /v2/sandboxes", { status: 503 })
      const session = await client.createSession({ headers: { "x-call": "create" }, idempotencyKey: "key-create" })
      await callAll(session)
    }
    const told = new Map<string, Array<string>>()
    for (const { headers, name } of e2b.calls) {
      const calls = told.get(String(headers["x-call"])) ?? []
      told.set(String(headers["x-call"]), calls)
      calls.push(`${name.replace(/^\d+ /, "")} ${headers["idempotency-key"] ?? "-"}`)
    }
    // Of no call: the client looks once more, when it closes, for what the first answer may have left behind.
    expect(told.get("undefined")?.every((call) => call === "GET /v2/sandboxes -") ?? true).toBe(true)
    expect(told.get("create")?.slice(0, 2)).toEqual(Array(2).fill("POST /v2/sandboxes key-create"))
    expect(told.get("run")?.filter((call) => !call.endsWith("-"))).toEqual(["POST /execute key-run"])
    expect(told.get("stream")).toEqual(["POST /execute key-stream"])
    expect(told.get("command")).toEqual(["POST /process.Process/Start key-command"])
    expect(told.get("context")).toEqual(["POST /contexts key-context"])
    expect(told.get("reset")).toContain("POST /v2/sandboxes key-reset")
    for (const name of ["write", "read", "download", "list", "remove", "extend"])
      expect(told.get(name)?.every((call) => call.endsWith(" -"))).toBe(true)
  })
})

describe("a class", () => {
  it("orders runs that wait for a slot of the service", async () => {
    const begun = Deferred.makeUnsafe<void>()
    const ran: Array<string> = []
    const script = ({ code }: TestSandbox.Program) => {
      ran.push(code)
      if (code !== "first") return ""
      Deferred.doneUnsafe(begun, Exit.void)
      return Effect.andThen(
        Effect.promise(() => release),
        Effect.succeed("")
      )
    }
    let open = (): void => {}
    const release = new Promise<void>((resolve) => (open = resolve))
    const server = SandboxServer.layer().pipe(Layer.provide(TestSandbox.layer(script)))
    const policy = Policy.make({ maxConcurrency: 1 })
    const sandbox = Layer.unwrap(
      Effect.map(SandboxServer.SandboxServer, ({ url }) => RestSandbox.layer({ baseUrl: url, policy }))
    ).pipe(Layer.provide([server, UndiciHttpClient.layer()]))
    await using client = fromLayer(sandbox)
    const low = client.with({ priority: "low" })
    const sessions = await Promise.all([client, low, client, client].map((own) => own.createSession()))
    const [one, lowly, normal, urgent] = sessions
    const running = [one?.runCode("first")]
    await Effect.runPromise(Deferred.await(begun))
    running.push(lowly?.runCode("low"), normal?.runCode("normal"), urgent?.runCode("high", { priority: "high" }))
    open()
    await Promise.all(running)
    expect(ran).toEqual(["first", "high", "normal", "low"])
  })

  it("orders sessions that wait for a place", async () => {
    const pool = SandboxPool.layer({ max: 1, min: 0 }).pipe(Layer.provide(TestSandbox.layer("")))
    await using client = fromLayer(pool)
    const first = await client.createSession()
    const made: Array<string> = []
    const next = async (priority: "high" | "normal" | "low") => {
      const session = await client.createSession({ priority })
      made.push(priority)
      await session.close()
    }
    const waiting = [next("low"), next("normal"), next("high")]
    await first.close()
    await Promise.all(waiting)
    expect(made).toEqual(["high", "normal", "low"])
  })

  it("is refused where there is no such class", async () => {
    await using client = fromLayer(TestSandbox.layer(""))
    const session = await client.createSession()
    // @ts-expect-error: no such class
    await expect(session.runCode("1", { priority: "urgent" })).rejects.toThrow(/^priority: "urgent"/)
    // @ts-expect-error: a text
    await expect(session.files.list("", { idempotencyKey: 7 })).rejects.toThrow(/^idempotencyKey: /)
    // @ts-expect-error: texts
    await expect(session.streamCode("1", { headers: { a: 1 } }).result()).rejects.toThrow(/^headers: /)
  })
})
