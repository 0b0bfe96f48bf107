/** The packed package's own sandbox, once its optional engines are installed. */
import assert from "node:assert/strict"
import { createClient } from "holdfast/promise"

await using client = createClient({})
const python = await client.executeCode("print(6 * 7)", "python")
assert.equal(python.stdout, "42\n")
const javascript = await client.executeCode("console.log(6 * 7)", "javascript")
assert.equal(javascript.stdout, "42\n")
console.log("sandbox: ok")
