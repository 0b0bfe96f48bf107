/**
 * `holdfast/openai` beside the package that it stands in for: programs that import one or the other print the same, and
 * every answer, stream and error of the fake endpoint is the same to both.
 */
import { execFile } from "node:child_process"
import { readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import Ours from "holdfast/openai"
import Theirs, { APIError as TheirError } from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { city, time, weather } from "../../contract/Llm.ts"
import { casesOf, type Endpoint, startEndpoint } from "../../fixtures/endpoint.ts"
import { errors } from "../../fixtures/errors.ts"

const here = dirname(fileURLToPath(import.meta.url))

interface Ran {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Promise<Ran> =>
  new Promise((resolve) => {
    const options = { cwd: here, env: { ...process.env, ...env }, timeout: 60_000 }
    execFile(process.execPath, [...args], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? "killed"), stdout, stderr })
    )
  })

const programs = readdirSync(join(here, "programs")).filter((name) => name.endsWith(".ts") && name !== "swap.ts")

describe("programs", () => {
  it.each(programs)("%s prints the same with its import line changed", async (name) => {
    await using endpoint = await startEndpoint("openai")
    await using other = await startEndpoint("openai")
    const program = join(here, "programs", name)
    const keyed = (url: string) => ({ OPENAI_API_KEY: " sk-test\n", OPENAI_BASE_URL: url, OPENAI_ORG_ID: "org-1" })
    const swap = ["--conditions=holdfast-source", "--import", join(here, "programs", "swap.ts")]
    const official = await run([program], keyed(endpoint.url))
    const ours = await run([...swap, program], keyed(other.url))
    expect(official.code, official.stderr).toBe(0)
    expect(official.stdout).not.toBe("")
    expect(ours, ours.stderr).toMatchObject({ code: 0, stdout: official.stdout })
    // It was not the package that ran twice.
    const packages = (requests: Endpoint["requests"]) => requests.filter(({ headers }) => headers["x-stainless-lang"])
    expect(packages(endpoint.requests)).toHaveLength(endpoint.requests.length)
    expect(packages(other.requests)).toEqual([])
    // What was asked is the same, too.
    const sent = ({ requests }: Endpoint) =>
      requests.map(({ body, headers, method, path }) => ({
        body,
        method,
        path,
        organization: headers["openai-organization"],
        key: headers.authorization,
        team: headers["x-team"]
      }))
    expect(sent(other)).toEqual(sent(endpoint))
  })

  it("compile with their import line changed", async () => {
    const tsc = join(here, "../../../node_modules/typescript/bin/tsc")
    expect(await run([tsc, "-p", join(here, "programs/swapped.json")])).toMatchObject({ code: 0, stdout: "" })
  })
})

/** What both classes are to this test. */
interface Client {
  readonly chat: {
    readonly completions: {
      create(body: object, options?: object): PromiseLike<unknown>
      stream(body: object): Runner
    }
  }
}

interface Runner {
  on(name: string, listener: (...args: ReadonlyArray<unknown>) => void): unknown
  finalChatCompletion(): Promise<unknown>
}

const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }
const file = { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" } }

const contentOf = (name: string) => {
  // DeepSeek wants to read the word where it is to answer with it.
  if (name.startsWith("object")) return `${name}\nAnswer with json.`
  if (name !== "image" && name !== "file") return name
  return [{ type: "text", text: name }, name === "image" ? image : file]
}

const toTool = ({ description, name, parameters }: typeof weather) => ({
  type: "function",
  function: { name, description, parameters }
})

const format = {
  type: "json_schema",
  json_schema: { name: "city", schema: city.type === "jsonSchema" ? city.schema : {} }
}

const asking = (model: string, name: string) => ({
  model,
  messages: [{ role: "user", content: contentOf(name) }],
  ...(name.includes("tools") && { tools: [weather, time].map(toTool) }),
  ...((name.startsWith("object") || name === "blank-json") && {
    response_format: model.startsWith("gpt") ? format : { type: "json_object" }
  }),
  ...(name === "logprobs" && { logprobs: true, n: 2 })
})

const isIterable = (u: unknown): u is AsyncIterable<unknown> =>
  typeof u === "object" && u !== null && Symbol.asyncIterator in u

/** Each chunk, as it came. */
const chunksOf = async (client: Client, body: object): Promise<ReadonlyArray<unknown>> => {
  const stream = await client.chat.completions.create({
    ...body,
    stream: true,
    stream_options: { include_usage: true }
  })
  if (!isIterable(stream)) throw new TypeError("this is no stream")
  const chunks: Array<unknown> = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

const names = ["content", "content.delta", "content.done", "refusal.delta", "refusal.done", "chunk"]

/** The events of the helper in their order, and its end. */
const eventsOf = async (client: Client, body: object) => {
  const stream = client.chat.completions.stream(body)
  const events: Array<unknown> = []
  for (const name of names) {
    stream.on(name, (...args) => {
      const [told] = args
      if (name === "chunk") return events.push([name, structuredClone(told)])
      // A part of an object is not parsed before the whole of it is here.
      const isDelta = name === "content.delta" && typeof told === "object"
      return events.push([name, isDelta ? { ...told, parsed: undefined } : structuredClone(args)])
    })
  }
  const final = await stream.finalChatCompletion().then(
    (completion) => ({ completion }),
    (error: unknown) => ({ failed: [Object.getPrototypeOf(error).constructor.name, String(error)] })
  )
  return { events, final }
}

/** What an error says of itself. */
const said = (error: unknown) => {
  if (!(error instanceof Ours.APIError || error instanceof TheirError)) return { error }
  const { code, error: body, headers, message, param, status, type } = error
  return {
    name: error.constructor.name,
    isApiError: true,
    status,
    code,
    type,
    param,
    body,
    message,
    retryAfter: headers?.get("retry-after"),
    hasRequestId: typeof error.requestID
  }
}

const failure = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error
  )

/** Cases that the package takes for answers. */
const broken = new Set(["no-capacity", "blank-json"])

describe.each([
  ["openai", "gpt-5.2"],
  ["deepseek", "deepseek-flash"]
] as const)("over %s", (name, model) => {
  let endpoint: Endpoint
  let theirs: Client
  let ours: Client
  const cases = casesOf(name).filter((one) => !one.endsWith("-after") && !broken.has(one))

  beforeAll(async () => {
    endpoint = await startEndpoint(name)
    const options = { apiKey: "sk-test", baseURL: endpoint.url, maxRetries: 0 }
    theirs = new Theirs(options)
    ours = new Ours(options)
  })
  afterAll(() => endpoint.close())

  it.each(cases)("%s is the same answer", async (one) => {
    const expected = await theirs.chat.completions.create(asking(model, one))
    expect(expected).toHaveProperty("choices")
    const answer = await ours.chat.completions.create(asking(model, one))
    expect(JSON.stringify(answer)).toBe(JSON.stringify(expected))
  })

  it.each(cases)("%s is the same chunks", async (one) => {
    const expected = await chunksOf(theirs, asking(model, one))
    expect(expected).not.toEqual([])
    const chunks = await chunksOf(ours, asking(model, one))
    expect(chunks.map((chunk) => JSON.stringify(chunk))).toEqual(expected.map((chunk) => JSON.stringify(chunk)))
  })

  it.each(cases)("%s is the same events and the same end", async (one) => {
    const expected = await eventsOf(theirs, asking(model, one))
    // DeepSeek's extras have a chunk without an index, which the helper refuses.
    expect("completion" in expected.final || one === "length" || one === "extras").toBe(true)
    expect(await eventsOf(ours, asking(model, one))).toEqual(expected)
  })

  it.each(errors[name].map((row) => row.case))("%s is the same error, whole and streamed", async (one) => {
    for (const stream of [false, true]) {
      const expected = said(await failure(theirs.chat.completions.create({ ...asking(model, one), stream })))
      expect(expected).toMatchObject({ isApiError: true })
      expect(said(await failure(ours.chat.completions.create({ ...asking(model, one), stream })))).toEqual(expected)
    }
  })
})
