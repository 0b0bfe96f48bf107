import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import { digits, type Report } from "./Report.ts"

/** A minimal chat call with each library, as a bundler for browsers and edges sees it. */
const programs: Readonly<Record<string, string>> = {
  openai: `import { OpenAI } from "openai"
    const client = new OpenAI({ apiKey: "k", baseURL: "u" })
    export const answer = await client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "hi" }] })`,
  ai: `import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
    import { generateText } from "ai"
    const model = createOpenAICompatible({ name: "b", apiKey: "k", baseURL: "u" })("m")
    export const answer = await generateText({ model, prompt: "hi" })`,
  "effect HttpClient": `import { Effect } from "effect"
    import { FetchHttpClient, HttpClient } from "effect/http"
    const ask = Effect.flatMap(HttpClient.post("u"), (response) => response.json)
    export const answer = await Effect.runPromise(Effect.provide(ask, FetchHttpClient.layer))`,
  holdfast: `import * as Effect from "effect/Effect"
    import * as Layer from "effect/Layer"
    import * as FetchHttpClient from "effect/http/FetchHttpClient"
    import { Llm, OpenAiLlm } from "holdfast/llm"
    const model = Layer.provide(OpenAiLlm.layer({ baseUrl: "u", model: "m" }), FetchHttpClient.layer)
    export const answer = await Effect.runPromise(Effect.provide(Llm.generateText("hi"), model))`
}

const entry = join(import.meta.dirname, "entry.js")

const gzipBytes = async (program: string): Promise<number> => {
  const build = await rolldown({
    input: entry,
    platform: "browser",
    external: /^node:/,
    logLevel: "silent",
    resolve: { conditionNames: ["holdfast-source", "browser", "import", "default"] },
    plugins: [
      { name: "entry", resolveId: (id) => (id === entry ? id : null), load: (id) => (id === entry ? program : null) }
    ]
  })
  const { output } = await build.generate({ minify: true })
  await build.close()
  const chunks = new Map(output.flatMap((part) => (part.type === "chunk" ? [[part.fileName, part] as const] : [])))
  // What the program loads to make the call: what is imported on demand (a circuit, Config) is loaded by who asks for it.
  const loaded = new Set(Array.from(chunks.values(), (chunk) => (chunk.isEntry ? chunk.fileName : "")).filter(Boolean))
  for (const name of loaded) for (const imported of chunks.get(name)?.imports ?? []) loaded.add(imported)
  return Array.from(loaded, (name) => gzipSync(chunks.get(name)?.code ?? "", { level: 9 }).length).reduce(
    (bytes, more) => bytes + more,
    0
  )
}

export const bundles = async (): Promise<Report> => {
  const sizes = new Map<string, number>()
  for (const [name, program] of Object.entries(programs)) sizes.set(name, (await gzipBytes(program)) / 1000)
  return {
    tables: [
      {
        title: "A minimal chat call, bundled and minified",
        head: ["", "gzip kB"],
        rows: Array.from(sizes, ([name, size]) => [name, digits(size)])
      }
    ],
    measured: { "bundle/holdfast": sizes.get("holdfast") ?? Number.NaN }
  }
}
