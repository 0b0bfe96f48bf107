/** The promise client. */
import { createClient } from "holdfast/promise";
import { ofCalls, ofStreams, question } from "../Contender.js";
const connect = (url) => createClient({
    llm: { provider: "openai", baseUrl: url, apiKey: "k", model: "m" },
    maxConcurrency: 10_000,
    retry: { base: "1 millis" }
});
export const contender = {
    name: "holdfast/promise",
    unary: async (url) => {
        const client = connect(url);
        const call = async () => {
            await client.generateText(question());
        };
        return ofCalls(call, async () => void (await client.close()));
    },
    stream: async (url) => {
        const client = connect(url);
        const read = async (onText) => {
            for await (const event of client.streamText(question()))
                if (event.type === "text")
                    onText();
        };
        return ofStreams(read, async () => void (await client.close()));
    }
};
