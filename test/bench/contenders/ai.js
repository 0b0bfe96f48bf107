/** Vercel's `ai` with its provider for OpenAI-compatible endpoints. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { ofCalls, ofStreams, question } from "../Contender.js";
export const contender = {
    name: "ai",
    unary: async (url) => {
        const model = createOpenAICompatible({ name: "bench", apiKey: "k", baseURL: url })("m");
        return ofCalls(async () => {
            await generateText({ model, prompt: question() });
        });
    },
    stream: async (url) => {
        const model = createOpenAICompatible({ name: "bench", apiKey: "k", baseURL: url })("m");
        return ofStreams(async (onText) => {
            for await (const text of streamText({ model, prompt: question() }).textStream)
                if (text !== "")
                    onText();
        });
    }
};
