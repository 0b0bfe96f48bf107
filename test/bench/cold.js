const messages = [{ role: "user", content: "hello" }];
const starts = {
    openai: async (url) => {
        const { OpenAI } = await import("openai");
        return () => new OpenAI({ apiKey: "k", baseURL: url }).chat.completions.create({ model: "m", messages });
    },
    ai: async (url) => {
        const { generateText } = await import("ai");
        const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
        return () => generateText({ model: createOpenAICompatible({ name: "b", apiKey: "k", baseURL: url })("m"), messages });
    },
    effect: async (url) => {
        const Effect = await import("effect/Effect");
        const HttpClient = await import("effect/http/HttpClient");
        const { layerUndici } = await import("@effect/platform-node/NodeHttpClient");
        const ask = Effect.flatMap(HttpClient.post(`${url}/chat/completions`), (response) => response.json);
        return () => Effect.runPromise(Effect.provide(ask, layerUndici));
    },
    "holdfast/promise": async (url) => {
        const { createClient } = await import("holdfast/promise");
        // The provider and its transport, which the client itself loads with its first call.
        await Promise.all([import("holdfast/llm"), import("holdfast/http")]);
        return async () => {
            const client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: url, model: "m" } });
            await client.generateText("hello");
        };
    }
};
const [name = "", url = ""] = process.argv.slice(2);
const begin = performance.now();
const answer = await starts[name]?.(url);
const importMillis = performance.now() - begin;
await answer?.();
const cold = { importMillis, answerMillis: performance.now() - begin };
process.send?.(cold);
export {};
