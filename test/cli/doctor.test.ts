import { createServer } from "node:http"
import { once } from "node:events"
import { assert, describe, it } from "vitest"
import { isWhole } from "../soak/scale.ts"
import { holdfast, type Options } from "./program.ts"

const secret = "sk-a-secret"

/** A server that answers a list of models with this status, and the headers that it was asked with. */
const serve = async (status: number) => {
  const asked: Array<string> = []
  /** The headers with the secret. */
  const shown: Array<string> = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? "without a key"}`)
    const names = Object.entries(request.headers).filter(([, value]) => String(value).includes(secret))
    shown.push([request.method, request.url, ...names.map(([name]) => name)].join(" "))
    response.writeHead(status).end("{}")
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return {
    asked,
    shown,
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/v1`,
    [Symbol.dispose]: () => void server.close()
  }
}

interface Check {
  readonly name: string
  readonly status: string
  readonly detail: string
}

/** Runs `holdfast doctor --json` and reads its checks by name. */
const examine = async (args: ReadonlyArray<string> = [], options?: Options) => {
  const { code, stdout } = await holdfast(["doctor", "--json", ...args], options)
  const { checks, ok }: { readonly ok: boolean; readonly checks: ReadonlyArray<Check> } = JSON.parse(stdout)
  const byName = new Map(checks.map((check) => [check.name, check]))
  return {
    code,
    stdout,
    ok,
    statusOf: (name: string) => byName.get(name)?.status,
    of: (name: string) => byName.get(name)
  }
}

describe.concurrent("holdfast doctor", { timeout: 120_000 }, () => {
  it("shows all checks in one screen and ends with 0 when nothing is wrong", async () => {
    const { code, stderr, stdout } = await holdfast(["doctor"])
    for (const name of ["holdfast", "node", "keys", "model", "python", "javascript walls"])
      assert.include(stdout, `│ ${name} `)
    const lines = stdout.trimEnd().split("\n")
    assert.isAtMost(lines.length, 24)
    for (const line of lines) assert.isAtMost(line.length, 100)
    assert.match(lines.at(-1) ?? "", /^\d+ ok, \d weak, 2 missing, 0 failed$/)
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
  })

  it("runs both languages in sessions, and shows which keys are set, never their values, and that a server takes one", async () => {
    using server = await serve(200)
    const { code, ok, of, statusOf, stdout } = await examine(["--base-url", server.url, "--model", "m"], {
      env: { OPENAI_API_KEY: secret }
    })
    assert.isTrue(ok)
    assert.strictEqual(statusOf("python"), "ok")
    assert.match(of("python")?.detail ?? "", /^pyodide-wasm runs print\(1\)/)
    assert.match(of("javascript")?.detail ?? "", /^quickjs-wasm runs print\(1\)/)
    for (const language of ["python", "javascript"]) {
      assert.include(["ok", "weak"], statusOf(`${language} walls`))
      assert.include(of(`${language} walls`)?.detail, "no way to network, files, processes")
    }
    assert.strictEqual(code, 0)
    assert.deepInclude(of("OPENAI_API_KEY"), { status: "ok", detail: "set" })
    assert.strictEqual(statusOf("DEEPSEEK_API_KEY"), undefined)
    assert.include(of("keys")?.detail, "DEEPSEEK_API_KEY")
    assert.notInclude(of("keys")?.detail, "OPENAI_API_KEY")
    assert.deepInclude(of("model"), { status: "ok", detail: "m (openai)" })
    assert.include(of("reachable")?.detail, `${server.url} answers 200`)
    assert.deepStrictEqual(server.asked, [`GET /v1/models Bearer ${secret}`])
    assert.notInclude(stdout, secret)
  })

  // Each of these examines the sandboxes too: the others have to do for `npm test`.
  it.runIf(isWhole).each([
    ["ANTHROPIC_API_KEY", "anthropic", "/v1/models", "x-api-key"],
    ["GEMINI_API_KEY", "gemini", "/v1/models", "x-goog-api-key"],
    ["DEEPSEEK_API_KEY", "deepseek", "/v1/models", "authorization"]
  ])("shows the key of %s to %s as it wants to see it", async (variable, provider, path, header) => {
    using server = await serve(200)
    const { code, of } = await examine(["--provider", provider, "--base-url", server.url, "--model", "m"], {
      env: { [variable]: secret }
    })
    assert.strictEqual(code, 0)
    assert.deepInclude(of("model"), { status: "ok", detail: `m (${provider})` })
    assert.deepStrictEqual(server.shown, [`GET ${path} ${header}`])
  })

  it("counts a server that refuses the key as reachable, and the key as failed", async () => {
    using server = await serve(401)
    const { code, of, statusOf } = await examine(["--base-url", server.url, "--model", "m"], {
      env: { OPENAI_API_KEY: secret }
    })
    assert.strictEqual(statusOf("reachable"), "ok")
    assert.deepInclude(of("key"), { status: "failed", detail: "the server refuses it" })
    assert.strictEqual(code, 1)
  })

  it.runIf(isWhole)("asks a server of one's own without a key, and says that no model is named", async () => {
    using server = await serve(404)
    const { code, of, statusOf } = await examine(["--base-url", server.url])
    assert.strictEqual(statusOf("reachable"), "ok")
    assert.include(of("model")?.detail, "--model")
    assert.deepStrictEqual(server.asked, ["GET /v1/models without a key"])
    assert.strictEqual(code, 0)
  })

  it("ends with 1 when nobody is at the address, or what was named is not there", async () => {
    const [nobody, noKey] = await Promise.all([
      examine(["--base-url", "http://127.0.0.1:1/v1", "--model", "m"]),
      examine(["--api-key-env", "MY_KEY", "--model", "m"])
    ])
    assert.match(nobody.of("reachable")?.detail ?? "", /^http:\/\/127\.0\.0\.1:1\/v1: .*ECONNREFUSED/)
    assert.strictEqual(nobody.code, 1)
    assert.deepInclude(noKey.of("keys"), { status: "missing", detail: "not set: MY_KEY" })
    assert.include(noKey.of("model")?.detail, "MY_KEY")
    assert.strictEqual(noKey.code, 1)
  })
})
