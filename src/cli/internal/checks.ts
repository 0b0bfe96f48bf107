/** What `holdfast doctor` looks at: each check does what a command would do, within a bound, and says what it saw. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { create, type Sandbox } from "../../sandbox/Sandbox.ts"
import type { Place } from "./endpoint.ts"

/** `missing` is not there and says what to do; `weak` works, with a wall less. */
export type Status = "ok" | "weak" | "missing" | "failed"

export interface Check {
  readonly name: string
  readonly status: Status
  readonly detail: string
}

export const check = (name: string, status: Status, detail: string): Check => ({ name, status, detail })

// A server that has not answered a list of its models by then answers no question either.
const reachTimeout = "10 seconds"

// The engine's first start compiles it; on one slow core it takes ten seconds.
const sandboxTimeout = "1 minute"

const number = (version: string): number => {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number)
  return (major * 1000 + minor) * 1000 + patch
}

/** Whether Node is new enough: `wanted` is of the form `>=22.19.0`. */
export const checkNode = (version: string, wanted: string): Check => {
  const least = wanted.replace(/^\D+/, "")
  return number(version) >= number(least)
    ? check("node", "ok", `${version} (${least} or newer is needed)`)
    : check("node", "failed", `${version} is too old; install ${least} or newer`)
}

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? ""

/** Asks for the list of models: free, and open to every key. */
const listOfModels = ({ baseUrl, provider, secret }: Place, key: string): HttpClientRequest.HttpClientRequest => {
  // Anthropic's address is told with and without its version.
  const base = provider === "anthropic" ? `${baseUrl.replace(/\/v1$/, "")}/v1` : baseUrl
  const list = HttpClientRequest.get(`${base}/models`)
  // A pair of keys is no key of this API: it opens the one that gives tokens.
  if (key === "" || secret !== undefined) return list
  if (provider === "gemini") return HttpClientRequest.setHeader(list, "x-goog-api-key", key)
  if (provider === "anthropic") {
    return HttpClientRequest.setHeaders(list, { "x-api-key": key, "anthropic-version": "2023-06-01" })
  }
  return HttpClientRequest.bearerToken(list, key)
}

/** Whether the endpoint answers at all, and whether it takes the key. Any answer counts: the network and TLS work. */
export const checkEndpoint = Effect.fnUntraced(function* (place: Place) {
  const { apiKey, baseUrl } = place
  const began = yield* Clock.currentTimeMillis
  const key = apiKey === undefined ? "" : Redacted.value(apiKey)
  const request = listOfModels(place, key)
  const http = yield* HttpClient.HttpClient
  const answered = yield* http.execute(request).pipe(
    Effect.map(({ status }) => status),
    Effect.timeout(reachTimeout),
    Effect.result
  )
  if (answered._tag === "Failure") {
    const { failure } = answered
    const cause = "reason" in failure ? failure.reason.cause : failure
    const why = failure._tag === "TimeoutError" ? `no answer in ${reachTimeout}` : said(cause)
    return [check("reachable", "failed", `${baseUrl}: ${why}; see the address, the network and the proxy`)]
  }
  const status = answered.success
  const took = (yield* Clock.currentTimeMillis) - began
  const reachable = check("reachable", "ok", `${baseUrl} answers ${status} in ${took} ms`)
  if (status !== 401) return [reachable]
  const refused = key === "" ? "the server wants a key; name its variable with --api-key-env" : "the server refuses it"
  return [reachable, check("key", "failed", refused)]
})

const said = (cause: unknown): string =>
  cause instanceof Error ? firstLine(cause.message) || cause.name : "no connection"

/** A listener of our own, which nobody in a sandbox may reach. */
const bait = Effect.acquireRelease(
  Effect.callback<Net.Server>((resume) => {
    const server = Net.createServer((socket) => socket.destroy())
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
)

/** Prints 1, then the names of the ways out that are open. */
const programs: Readonly<Record<"python" | "javascript", (port: number, file: string) => string>> = {
  python: (port, file) => `
import os, socket, subprocess
def is_open(way):
    try:
        return way() is not False
    except BaseException:
        return False
ways = {
    "network": lambda: socket.create_connection(("127.0.0.1", ${port}), 2),
    "host files": lambda: open(${JSON.stringify(file)}, "rb").read(1),
    "processes": lambda: subprocess.run([${JSON.stringify(file)}, "--version"]),
    "fork": lambda: os.fork(),
}
print(1)
print(",".join(name for name, way in ways.items() if is_open(way)))
`,
  javascript: (port, file) => `
const isOpen = (way) => {
  try {
    return way() !== false
  } catch {
    return false
  }
}
const ways = {
  network: () => (typeof fetch === "undefined" ? false : fetch("http://127.0.0.1:${port}/")),
  sockets: () => require("node:net").connect(${port}, "127.0.0.1"),
  "host files": () => require("node:fs").readFileSync(${JSON.stringify(file)}),
  processes: () => require("node:child_process").execFileSync(${JSON.stringify(file)}, ["--version"])
}
console.log(1)
console.log(Object.keys(ways).filter((name) => isOpen(ways[name])).join())
`
}

/** Whether a session starts, runs a program, and keeps it inside. */
export const checkSandbox = Effect.fnUntraced(function* (
  language: "python" | "javascript"
): Effect.fn.Return<ReadonlyArray<Check>, never, Sandbox | Scope.Scope> {
  const began = yield* Clock.currentTimeMillis
  const server = yield* bait
  let visitors = 0
  server.on("connection", () => visitors++)
  const address = server.address()
  const port = typeof address === "object" ? (address?.port ?? 0) : 0
  const tried = yield* Effect.gen(function* () {
    const session = yield* create({ language, createTimeout: sandboxTimeout })
    return { session, run: yield* session.runCode(programs[language](port, process.execPath)) }
  }).pipe(Effect.result)
  if (tried._tag === "Failure") {
    const { code, reason } = tried.failure
    const isMissing = code === "Unavailable" && /npm install/.test(reason.message)
    return [check(language, isMissing ? "missing" : "failed", firstLine(reason.message))]
  }
  const { run, session } = tried.success
  const { engine, network, os } = session.isolation
  const took = Duration.format(Duration.millis((yield* Clock.currentTimeMillis) - began))
  const [printed, open = ""] = run.stdout.split("\n")
  if (run.outcome !== "ok" || printed !== "1")
    return [check(language, "failed", `${engine} does not run print(1): ${run.outcome} ${firstLine(run.stderr)}`)]
  const isOut = open !== "" || visitors > 0
  const inside = isOut ? `the guest gets at ${open || "network"}` : "no way to network, files, processes"
  const wall =
    os === "none" ? "no wall of the system: install bubblewrap, where it is allowed" : `${os}, network ${network}`
  return [
    check(language, "ok", `${engine} runs print(1), ${took} with its start`),
    check(`${language} walls`, isOut ? "failed" : os === "none" ? "weak" : "ok", `${inside}; ${wall}`)
  ]
})
