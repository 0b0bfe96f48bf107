/** Runs contenders against one another: a process for each, all on one core, taking turns within each round. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
/** Five rounds are the least that a median is taken of. */
export const rounds = Math.max(5, Number(process.env.BENCH_ROUNDS ?? 7));
const roundMillis = 250;
const canPin = availableParallelism() > 1 && spawnSync("taskset", ["--version"]).status === 0;
const fromSource = ["--conditions=holdfast-source"];
const start = (core, args, flags = fromSource) => {
    const node = [...flags, "--expose-gc", "--no-warnings", ...args];
    const [command, ...rest] = canPin
        ? ["taskset", "-c", String(core), process.execPath, ...node]
        : [process.execPath, ...node];
    return spawn(command, rest, { cwd: import.meta.dirname, stdio: ["ignore", "inherit", "inherit", "ipc"] });
};
const nextMessage = async (child) => {
    const ended = new AbortController();
    try {
        return await Promise.race([
            once(child, "message", ended).then(([message]) => message),
            once(child, "exit", ended).then(([code]) => Promise.reject(new Error(`a contender ended with ${code}`)))
        ]);
    }
    finally {
        ended.abort();
    }
};
export const startServer = async () => {
    const child = start(0, ["server.ts"]);
    const port = await nextMessage(child);
    return { origin: `http://127.0.0.1:${port}`, stop: () => child.disconnect() };
};
/** Runs a script with its arguments and gives what it sends first. Default flags: holdfast from its sources. */
export const runOnce = async (args, flags) => {
    const child = start(1, args, flags);
    const message = await nextMessage(child);
    child.disconnect();
    return message;
};
export const startWorker = async (file, kind, url) => {
    const child = start(1, ["worker.ts", file, kind, url]);
    const name = await nextMessage(child);
    return {
        name,
        file,
        stop: () => child.disconnect(),
        order: (order) => {
            child.send(order);
            return nextMessage(child);
        }
    };
};
/** Warms all contenders up, then lets each run once in every round, in an order that turns. */
export const compare = async (plan) => {
    const { concurrency, hold } = plan;
    const runners = [];
    for (const file of plan.contenders) {
        const worker = await startWorker(file, plan.kind, plan.url);
        const warm = hold === undefined ? { count: plan.warmUp, concurrency } : { count: plan.warmUp, concurrency, hold };
        await worker.order(warm);
        const { units, wallMillis } = await worker.order(warm);
        const fitting = Math.ceil((roundMillis / Math.max(1, wallMillis)) * units);
        runners.push({ worker, count: plan.count ?? Math.max(fitting, concurrency * 4), samples: [] });
    }
    for (let round = 0; round < rounds; round++) {
        for (let turn = 0; turn < runners.length; turn++) {
            const runner = runners[(round + turn) % runners.length];
            if (runner === undefined)
                continue;
            const order = { count: runner.count, concurrency };
            runner.samples.push(await runner.worker.order(hold === undefined ? order : { ...order, hold }));
        }
    }
    for (const { worker } of runners)
        worker.stop();
    return runners.map(({ samples, worker }) => ({ name: worker.name, file: worker.file, samples }));
};
export const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1
        ? (sorted[middle] ?? Number.NaN)
        : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};
/** The median over rounds of `of(one) / of(base)`. */
export const ratio = (one, base, of) => median(one.samples.flatMap((sample, round) => {
    const other = base.samples[round];
    return other === undefined ? [] : [of(sample) / of(other)];
}));
