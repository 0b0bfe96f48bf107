/** A cold start: how long until a library is loaded, with what a call needs, and until it has its first answer. */
export interface Cold {
  readonly importMillis: number
  readonly answerMillis: number
}

const messages = [{ role: "user" as const, content: "hello" }]

const starts: Readonly<Record<string, (url: string) => Promise<() => Promise<unknown>>>> = {
  openai: async (url) => {
    const { OpenAI } = await import("openai")
    return () => new OpenAI({ apiKey: "k", baseURL: url }).chat.completions.create({ model: "m", messages })
  },
  ai: async (url) => {
    const { generateText } = await import("ai")
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible")
    return () =>
      generateText({ model: createOpenAICompatible({ name: "b", apiKey: "k", baseURL: url })("m"), messages })
  },
  effect: async (url) => {
    const Effect = await import("effect/Effect")
    const HttpClient = await import("effect/http/HttpClient")
    const { layerUndici } = await import("@effect/platform-node/NodeHttpClient")
    const ask = Effect.flatMap(HttpClient.post(`${url}/chat/completions`), (response) => response.json)
    return () => Effect.runPromise(Effect.provide(ask, layerUndici))
  },
  "holdfast/promise": async (url) => {
    const { createClient } = await import("holdfast/promise")
    // The provider and its transport, as the client itself loads them with its first call.
    const promise = import.meta.resolve("holdfast/promise")
    const modules = ["llm/OpenAiLlm", "http/UndiciHttpClient"].map((name) =>
      promise.replace(/promise\/index(?=\.[jt]s$)/, name)
    )
    await Promise.all(modules.map((module) => import(module)))
    return async () => {
      const client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: url, model: "m" } })
      await client.generateText("hello")
    }
  }
}

const [name = "", url = ""] = process.argv.slice(2)
const begin = performance.now()
const answer = await starts[name]?.(url)
const importMillis = performance.now() - begin
await answer?.()
const cold: Cold = { importMillis, answerMillis: performance.now() - begin }
process.send?.(cold)
