import { OpenAI } from "openai";
import { ofCalls, ofStreams, question } from "../Contender.js";
export const contender = {
    name: "openai",
    unary: async (url) => {
        const client = new OpenAI({ apiKey: "k", baseURL: url });
        return ofCalls(async () => {
            await client.chat.completions.create({ model: "m", messages: [{ role: "user", content: question() }] });
        });
    },
    stream: async (url) => {
        const client = new OpenAI({ apiKey: "k", baseURL: url });
        return ofStreams(async (onText) => {
            const messages = [{ role: "user", content: question() }];
            const stream = await client.chat.completions.create({ model: "m", messages, stream: true });
            for await (const chunk of stream)
                if (chunk.choices[0]?.delta.content)
                    onText();
        });
    }
};
