import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { listFiles } from "../repo/listFiles.js";
import { median, rounds, runOnce } from "./Bench.js";
import { digits } from "./Report.js";
const names = ["openai", "ai", "effect", "holdfast/promise"];
/** What users load is `dist`; it counts when it is there and no source is newer. */
const isBuilt = () => {
    const root = join(import.meta.dirname, "../..");
    const built = join(root, "dist/index.js");
    return (existsSync(built) &&
        listFiles(join(root, "src"), ".ts").every((file) => statSync(file).mtimeMs < statSync(built).mtimeMs));
};
/** Cold starts: a new process for each, in turns. */
export const imports = async (origin) => {
    const built = isBuilt();
    const colds = new Map(names.map((name) => [name, []]));
    for (let i = -1; i < rounds; i++) {
        for (const [name, seen] of colds) {
            const cold = await runOnce(["cold.ts", name, `${origin}/unary`], built ? [] : undefined);
            // The first round fills the disk's cache.
            if (i >= 0)
                seen.push(cold);
        }
    }
    const ratioOf = (name, of) => median((colds.get(name) ?? []).map((cold, i) => of(cold) / of(colds.get("openai")?.[i] ?? cold)));
    const importMillis = (cold) => cold.importMillis;
    const answerMillis = (cold) => cold.answerMillis;
    return {
        tables: [
            {
                title: `Cold start (holdfast from ${built ? "dist" : "src, its types stripped on the way: build first"})`,
                head: ["", "import, ÷ openai", "ms", "to the first answer, ÷ openai", "ms"],
                rows: names.map((name) => [
                    name,
                    digits(ratioOf(name, importMillis)),
                    digits(median((colds.get(name) ?? []).map(importMillis))),
                    digits(ratioOf(name, answerMillis)),
                    digits(median((colds.get(name) ?? []).map(answerMillis)))
                ])
            }
        ],
        measured: { "import/promise": ratioOf("holdfast/promise", importMillis) }
    };
};
