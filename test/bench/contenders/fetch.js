/** Node's own `fetch`. */
import { chatBody, ofCalls, ofStreams } from "../Contender.js";
const headers = { "content-type": "application/json" };
export const contender = {
    name: "fetch",
    unary: async (url) => ofCalls(async () => {
        const body = chatBody(false);
        for (let attempt = 0; attempt < 3; attempt++) {
            const response = await fetch(`${url}/chat/completions`, { method: "POST", headers, body });
            const answer = await response.json();
            if (response.status === 200)
                return void answer;
            await new Promise((resolve) => setTimeout(resolve, 1));
        }
        throw new Error("no answer");
    }),
    stream: async (url) => ofStreams(async (onText) => {
        const response = await fetch(`${url}/chat/completions`, { method: "POST", headers, body: chatBody(true) });
        const decoder = new TextDecoder();
        let rest = "";
        for await (const bytes of response.body ?? []) {
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
    })
};
