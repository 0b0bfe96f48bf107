/** The yardstick: `Pool.request` and `JSON.parse`, with the loop that retries written by hand. */
import { Pool } from "undici";
import { chatBody, ofCalls, ofStreams } from "../Contender.js";
const headers = { "content-type": "application/json" };
export const contender = {
    name: "undici",
    unary: async (url) => {
        const { origin, pathname } = new URL(url);
        const pool = new Pool(origin);
        const path = `${pathname}/chat/completions`;
        const call = async () => {
            const body = chatBody(false);
            for (let attempt = 0; attempt < 3; attempt++) {
                const response = await pool.request({ method: "POST", path, headers, body });
                const text = await response.body.text();
                if (response.statusCode === 200) {
                    const answer = JSON.parse(text);
                    if (answer.choices.length !== 1)
                        throw new Error("not an answer");
                    return;
                }
                await new Promise((resolve) => setTimeout(resolve, 1));
            }
            throw new Error("no answer");
        };
        return ofCalls(call, () => pool.destroy());
    },
    stream: async (url) => {
        const { origin, pathname } = new URL(url);
        const pool = new Pool(origin);
        const path = `${pathname}/chat/completions`;
        const read = async (onText) => {
            const response = await pool.request({ method: "POST", path, headers, body: chatBody(true) });
            const decoder = new TextDecoder();
            let rest = "";
            for await (const bytes of response.body) {
                const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
                rest = lines.pop() ?? "";
                for (const line of lines) {
                    if (!line.startsWith("data: ") || line === "data: [DONE]")
                        continue;
                    const chunk = JSON.parse(line.slice(6));
                    if (chunk.choices[0]?.delta.content)
                        onText();
                }
            }
        };
        return ofStreams(read, () => pool.destroy());
    }
};
