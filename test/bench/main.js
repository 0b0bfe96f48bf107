/** `npm run bench [suite...]`: measures, prints the tables, and rewrites these suites' sections of docs/benchmarks.md. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import Table3 from "cli-table3";
import { goals, unbuilt } from "./goals.js";
import { digits } from "./Report.js";
const here = import.meta.dirname;
const page = join(here, "../../docs/benchmarks.md");
const install = () => {
    if (existsSync(join(here, "node_modules/holdfast")))
        return;
    console.log("Installing what holdfast is measured against (npm ci in test/bench)");
    const { status } = spawnSync("npm", ["ci"], { cwd: here, stdio: ["ignore", "ignore", "inherit"] });
    if (status !== 0)
        throw new Error("npm ci in test/bench failed");
};
const verdict = (goal, value) => (goal.kind === "at most" ? value <= goal.limit : value >= goal.limit) ? "met" : "missed";
const goalTable = (suite, report) => ({
    title: "Goals",
    head: ["row", "goal", "measured", "", "where the goal comes from"],
    rows: [
        ...goals
            .filter((goal) => goal.suite === suite)
            .map((goal) => {
            const value = report.measured[goal.id] ?? Number.NaN;
            const limit = `${goal.kind === "at most" ? "≤" : "≥"} ${goal.limit} ${goal.unit}`.trim();
            return [goal.row, limit, digits(value), verdict(goal, value), goal.source];
        }),
        ...unbuilt.filter((one) => one.suite === suite).map(({ goal, row }) => [row, goal, "", "not built yet", ""])
    ]
});
const print = ({ head, rows, title }) => {
    const table = new Table3({ head: [...head], style: { head: [], border: [] } });
    table.push(...rows.map((row) => [...row]));
    console.log(`\n${title}\n${table.toString()}`);
};
const markdown = ({ head, rows, title }) => {
    const line = (cells) => `| ${cells.join(" | ")} |`;
    return [`### ${title}`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""].join("\n");
};
const section = (suite, tables) => {
    const [cpu] = cpus();
    const machine = `Node ${process.versions.node}, ${availableParallelism()} cores${cpu === undefined ? "" : ` of ${cpu.model}`}`;
    return [`## ${suite}`, "", `${new Date().toISOString().slice(0, 10)}, ${machine}.`, "", ...tables.map(markdown)].join("\n");
};
const introduction = `# Benchmarks

Written by \`npm run bench\`; do not edit. Ratios carry over to other machines, absolute figures do not.

A server in a process of its own on one core, each contender in a process of its own on the other; warm-up first, then
at least five rounds in which contenders take turns. A ratio is the median of the ratios within each round. CPU is user
and system time of the whole client process. All default policies of holdfast are on; its slots are raised to the
number of calls that a row asks for.
`;
/** Replaces the sections of the suites that ran and keeps those of the others. */
const rewrite = (order, written) => {
    const old = existsSync(page)
        ? readFileSync(page, "utf8")
            .split(/^(?=## )/m)
            .slice(1)
        : [];
    const sections = new Map(old.map((text) => [/^## (.+)/.exec(text)?.[1] ?? "", text.trimEnd()]));
    for (const [suite, text] of written)
        sections.set(suite, text.trimEnd());
    mkdirSync(join(page, ".."), { recursive: true });
    writeFileSync(page, `${[introduction.trimEnd(), ...order.flatMap((suite) => sections.get(suite) ?? [])].join("\n\n")}\n`);
};
install();
const { suites } = await import("./suites.js");
const { startServer } = await import("./Bench.js");
const asked = process.argv.slice(2);
const unknown = asked.filter((suite) => !(suite in suites));
if (unknown.length > 0) {
    console.error(`There is no suite ${unknown.join(", ")}; there are ${Object.keys(suites).join(", ")}`);
    process.exit(2);
}
const written = new Map();
for (const [suite, run] of Object.entries(suites)) {
    if (asked.length > 0 && !asked.includes(suite))
        continue;
    const server = await startServer();
    console.log(`\n── ${suite}`);
    const report = await run(server.origin).finally(server.stop);
    const tables = [...report.tables, goalTable(suite, report)];
    tables.forEach(print);
    written.set(suite, section(suite, tables));
    rewrite(Object.keys(suites), written);
}
