/** The failure table as users run it, against their own code. */
import { Effect, Layer, Redacted, Scope } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { createClient } from "holdfast/promise"
import { Conformance, ReplayServer } from "holdfast/testing"
import { describe, expect, it } from "vitest"

const plain = Conformance.ofClient(({ retries, times, url }) =>
  createClient({
    llm: { provider: "openai", apiKey: "sk-secret", baseUrl: url, model: "m" },
    timeout: times,
    retry: { retries, base: 1 }
  })
)

const client: Conformance.Client = {
  ...plain,
  askByToken: async ({ retries, signal, tokenUrl, url }) => {
    const keys = { keyId: "id", secret: "sk-secret", baseUrl: url, tokenUrl }
    await using evolution = createClient({ llm: { provider: "evolution", ...keys }, retry: { retries, base: 1 } })
    return await evolution.generateText("hi", { signal })
  }
}

const layer = Conformance.ofLlm(({ retries, times, url }) =>
  OpenAiLlm.layer({
    baseUrl: url,
    apiKey: Redacted.make("sk-secret"),
    model: "m",
    policy: Policy.make({ timeout: times, retry: { retries, base: 1 } })
  }).pipe(Layer.provide(UndiciHttpClient.layer()))
)

/** What somebody writes first. */
const naive = async (url: string, { signal }: Conformance.Call): Promise<unknown> => {
  const body = JSON.stringify({ model: "m", messages: [] })
  const response = await fetch(`${url}/chat/completions`, { method: "POST", body, signal })
  const { choices }: { readonly choices: ReadonlyArray<{ readonly message: { readonly content: string } }> } =
    await response.json()
  return choices[0]?.message.content
}

/** A machine that runs everybody's tests at once is slower than any row expects. */
const patient = { slackMillis: 20_000 }

const rowsOf = (...ids: ReadonlyArray<string>) => Conformance.rows.filter(({ id }) => ids.includes(id))

describe("the failure table", { timeout: 180_000 }, () => {
  it("is held by the promise client, row by row", async () => {
    const report = await Conformance.run(client, patient)
    expect(Conformance.print(report)).toBe(`${Conformance.rows.length} held, 0 failed, 0 skipped`)
  })

  it("is held by a layer of Llm, which sends no requests of its own", async () => {
    // The heavy ones are no business of the layer's that the client has not shown.
    const only = Conformance.rows.filter(({ isHeavy }) => isHeavy !== true)
    const report = await Conformance.run(layer, { ...patient, only })
    expect(report).toMatchObject({ failed: 0, skipped: rowsOf("token-expired").length + 4 })
    expect(report.verdicts.filter(({ outcome }) => outcome === "skipped").flatMap(({ problems }) => problems)).toEqual([
      "the client has no `askByToken`",
      ...Array.from({ length: 4 }, () => "the client has no `send`")
    ])
  })

  it("has a row for each name, told by its id and what must hold", () => {
    const names = Conformance.rows.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const { id, name } of Conformance.rows) expect(name.startsWith(`${id}: `)).toBe(true)
    expect(new Set(Conformance.rows.map(({ id }) => id)).size).toBe(32)
  })
})

describe("a function that makes a call", () => {
  it("is told what does not hold of it", async () => {
    const only = rowsOf("garbage-json", "quota", "exhausted", "abort-waiting", "retry-after-long", "break-early")
    const report = await Conformance.run(naive, { only })
    expect(Conformance.print(report).split("\n")).toEqual([
      "failed  garbage-json: a page in the place of an answer is an error, and asked for again",
      "        1 requests reached the server, 3 were expected",
      "failed  exhausted: a server that is down is an error, and never an answer",
      "        1 requests reached the server, 3 were expected",
      "skipped garbage-json: an event that is no JSON is an error",
      "        the client has no `stream`",
      "skipped break-early: leaving the loop closes the connection",
      "        the client has no `stream`",
      "skipped abort-waiting: an abort between two events ends the stream and its request",
      "        the client has no `stream`",
      "4 held, 2 failed, 3 skipped"
    ])
  })

  it("fails its test with what does not hold, in one line", async () => {
    const [row] = rowsOf("overload")
    if (row === undefined) throw new Error("there is no such row")
    const error = await Conformance.check(row, naive).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(Conformance.ConformanceError)
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^overload: 529 is asked again \(the server: 529, then an answer\): 1 requests reached the server, 2 were expected; /
      ),
      verdict: { outcome: "failed", stats: { requests: 1, open: 0 } }
    })
    expect(await Conformance.check(row, client)).toMatchObject({ outcome: "held", stats: { requests: 2 } })
  })

  it("is closed after each row, and told where that fails", async () => {
    const [row] = rowsOf("quota")
    if (row === undefined) throw new Error("there is no such row")
    const ask = (call: Conformance.Call) => naive(call.url, call)
    const closes = (close: () => Promise<unknown>) => Conformance.judge(row, { ask, close }, { slackMillis: 2_000 })
    const failed = await closes(() => Promise.reject(new Error("no way out")))
    expect(failed).toMatchObject({ outcome: "failed", problems: ["`close` failed: no way out"], calls: [{}] })
    const stuck = await closes(() => new Promise(() => {}))
    expect(stuck.problems).toEqual(["`close` did not end within 2000 ms"])
    let closed = 0
    const play = () => Promise.reject(new Error("a row of my own"))
    const close = async () => closed++
    await expect(Conformance.judge({ ...row, play }, { ask, close })).rejects.toThrow("a row of my own")
    expect(closed).toBe(1)
  })

  it("is given up when it does not end, and its request is gone", async () => {
    const [row] = rowsOf("stall-body")
    if (row === undefined) throw new Error("there is no such row")
    const verdict = await Conformance.judge({ ...row, times: { attempt: 10 } }, naive, { slackMillis: 200 })
    expect(verdict).toMatchObject({
      outcome: "failed",
      problems: ["1 of 1 calls did not end within 230 ms"],
      calls: [{ isLate: true, isFailed: true }],
      stats: { requests: 1 }
    })
  })

  it("is asked for a reason only where one is known of its errors", async () => {
    const only = rowsOf("quota")
    const asked = (codeOf: () => string) => Conformance.run({ ask: (call) => naive(call.url, call), codeOf }, { only })
    expect((await asked(() => "QuotaExhausted")).held).toBe(1)
    expect((await asked(() => "RateLimited")).verdicts[0]?.problems).toEqual([
      "the call failed with RateLimited, QuotaExhausted was expected"
    ])
  })
})

describe("an endpoint of one's own behind the misbehaving server", () => {
  it("gives the good answers, and the begin of the streams that break", async () => {
    const scope = Scope.makeUnsafe()
    const model = await Effect.runPromise(
      Scope.provide(ReplayServer.make({ answer: () => "an answer of my own" }), scope)
    )
    const only = rowsOf("overload", "cut-socket", "end-early", "stall-keepalive", "get-reset", "break-early")
    const report = await Conformance.run(client, { only, upstream: model.url })
    expect(Conformance.print(report)).toBe(`${only.length} held, 0 failed, 0 skipped`)
    expect((await Effect.runPromise(model.requests)).length).toBeGreaterThanOrEqual(6)
    const said = report.verdicts.flatMap(({ calls }) => calls.map(({ text }) => text))
    expect(said).toContain("an answer of my own")
  })

  it("that does not answer is told as that", async () => {
    const only = rowsOf("overload").slice(0, 1)
    const report = await Conformance.run(client, { only, upstream: "http://127.0.0.1:9/v1" })
    expect(report.verdicts[0]?.problems.join()).toContain("the endpoint does not answer")
  })
})
