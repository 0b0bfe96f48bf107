/**
 * The model server that everything is measured against, in a process of its own: as little HTTP as keeps eight clients
 * content, so that it is never the slow side. The first segment of the path picks what happens:
 *
 *   /unary                  a 1 kB chat answer
 *   /retry                  the same, but the first try of three in ten questions gets a 503
 *   /hold                   the same, but only after /release
 *   /stream-<events>        a stream of ~180 B events, one HTTP chunk each, many to a packet
 *   /packets-<events>       the same, one event to a packet
 *   /late-<events>          the same, and the body ends 100 ms after its `[DONE]`
 *   /stats, /release        connections that asked something, and requests held; answers what is held
 */
import { createServer } from "node:net";
const answer = JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "m",
    choices: [
        { index: 0, message: { role: "assistant", content: "All work and no play. ".repeat(34) }, finish_reason: "stop" }
    ],
    usage: { prompt_tokens: 12, completion_tokens: 200, total_tokens: 212 },
    system_fingerprint: "fp_0123456789"
});
const whole = (status, body, headers = "") => Buffer.from(`HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
const ok = whole("200 OK", answer, "x-request-id: req_1\r\n");
const busy = whole("503 Service Unavailable", '{"error":{"message":"busy"}}', "retry-after-ms: 1\r\n");
const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const httpChunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const event = (choice) => `data: ${JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "m",
    choices: [{ index: 0, ...choice }]
})}\n\n`;
const token = httpChunk(event({ delta: { content: "some more words" }, finish_reason: null }));
const last = `${httpChunk(event({ delta: {}, finish_reason: "stop" }))}${httpChunk("data: [DONE]\n\n")}`;
const end = "0\r\n\r\n";
const streams = new Map();
const streamOf = (events) => {
    let stream = streams.get(events);
    if (stream === undefined) {
        stream = Buffer.from(head + token.repeat(events - 1) + last + end);
        streams.set(events, stream);
    }
    return stream;
};
let connections = 0;
const held = [];
/** Questions that were refused once. The set is emptied with each stats request, between two rounds. */
const refused = new Set();
const sendPackets = (socket, events) => {
    let sent = 0;
    socket.write(head);
    const next = () => {
        if (socket.destroyed)
            return;
        if (sent++ < events - 1) {
            socket.write(token);
            setImmediate(next);
        }
        else
            socket.write(last + end);
    };
    setImmediate(next);
};
const sendLate = (socket, events) => {
    socket.write(head + token.repeat(events - 1) + last);
    setTimeout(() => socket.destroyed || socket.write(end), 100);
};
const sendRetry = (socket, body) => {
    const id = /question (\d+-\d+)/.exec(body)?.[1] ?? "";
    if (Number(id.slice(id.indexOf("-") + 1)) % 10 >= 3 || refused.delete(id))
        return void socket.write(ok);
    refused.add(id);
    socket.write(busy);
};
const respond = (socket, path, body) => {
    const [mode, size] = path.slice(1).split("/", 1)[0]?.split("-") ?? [];
    const events = Number(size);
    switch (mode) {
        case "unary":
            return void socket.write(ok);
        case "retry":
            return sendRetry(socket, body);
        case "hold":
            return void held.push(socket);
        case "stream":
            return void socket.write(streamOf(events));
        case "packets":
            return sendPackets(socket, events);
        case "late":
            return sendLate(socket, events);
        case "stats":
            refused.clear();
            return void socket.write(whole("200 OK", JSON.stringify({ connections, held: held.length })));
        case "release":
            for (const waiting of held.splice(0))
                waiting.write(ok);
            return void socket.write(whole("200 OK", "{}"));
        default:
            return void socket.write(whole("404 Not Found", "{}"));
    }
};
const server = createServer({ noDelay: true }, (socket) => {
    let isCounted = false;
    let pending = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    socket.on("data", (data) => {
        pending = pending.length === 0 ? data : Buffer.concat([pending, data]);
        for (;;) {
            const headEnd = pending.indexOf("\r\n\r\n");
            if (headEnd === -1)
                return;
            const headers = pending.toString("latin1", 0, headEnd);
            const length = Number(/\r\ncontent-length: *(\d+)/i.exec(headers)?.[1] ?? 0);
            const bodyEnd = headEnd + 4 + length;
            if (pending.length < bodyEnd)
                return;
            const body = pending.toString("utf8", headEnd + 4, bodyEnd);
            pending = pending.subarray(bodyEnd);
            if (!isCounted && !headers.startsWith("GET ")) {
                isCounted = true;
                connections += 1;
            }
            respond(socket, headers.slice(headers.indexOf(" ") + 1, headers.indexOf(" HTTP/")), body);
        }
    });
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 16_384 }, () => {
    const address = server.address();
    process.send?.(typeof address === "object" ? address?.port : undefined);
});
process.on("disconnect", () => process.exit());
