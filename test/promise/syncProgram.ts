/** A script with a sync client: `node syncProgram.ts <forget|throw|block>`. It prints the ids of its sandbox's processes. */
import { createSyncClient } from "holdfast/sync"
import { guests } from "../sandbox/processes.ts"

const client = createSyncClient({})
client.runCode("1", { language: "javascript" })
console.log(JSON.stringify(guests()))
if (process.argv[2] === "block") client.runCode("for (;;) {}", { language: "javascript", timeout: "10 minutes" })
if (process.argv[2] === "throw") throw new Error("the script's own")
