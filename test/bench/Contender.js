let asked = 0;
/** A question that no other call of this process asks; `/retry` knows its tries by it. */
export const question = () => `question ${process.pid}-${asked++}`;
/** The body that clients without types of their own send. */
export const chatBody = (stream) => JSON.stringify({ model: "m", messages: [{ role: "user", content: question() }], stream });
/** A session of calls that take nothing and give nothing but a promise. */
export const ofCalls = (call, close = async () => { }) => ({
    close,
    run: async (count, concurrency) => {
        let left = count;
        const worker = async () => {
            while (left-- > 0)
                await call();
        };
        await Promise.all(Array.from({ length: Math.min(count, concurrency) }, worker));
        return { units: count, firstMillis: [] };
    }
});
/** A session of streams: `read` says for each text that it has come, and when it is over how many there were. */
export const ofStreams = (read, close = async () => { }) => {
    const firstMillis = [];
    let texts = 0;
    const call = async () => {
        const start = performance.now();
        let isFirst = true;
        await read(() => {
            texts += 1;
            if (!isFirst)
                return;
            isFirst = false;
            firstMillis.push(performance.now() - start);
        });
    };
    const calls = ofCalls(call, close);
    return {
        close,
        run: async (count, concurrency) => {
            texts = 0;
            firstMillis.length = 0;
            await calls.run(count, concurrency);
            return { units: texts, firstMillis: [...firstMillis] };
        }
    };
};
/** A session of tasks that each wait for one turn of the event loop, all of them given to a limiter at once. */
export const ofTasks = (limit) => ({
    close: async () => { },
    run: async (count) => {
        const task = () => new Promise((resolve) => setImmediate(resolve));
        await Promise.all(Array.from({ length: count }, () => limit(task)));
        return { units: count, firstMillis: [] };
    }
});
