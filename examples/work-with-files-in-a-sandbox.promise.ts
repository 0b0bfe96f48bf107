/** Work with files in a sandbox: bring data in as a stream, run code on it, and take what it made out again. */
import { createClient } from "holdfast/promise"

// "process", "e2b" and "rest" take the same program to other machines.
await using client = createClient({ sandbox: { provider: "local", languages: ["javascript"] } })
await using session = await client.createSession({ language: "javascript", cwd: "/home/user", lifetime: "10 minutes" })

// A ReadableStream, an AsyncIterable or a Blob: the answer of a request, a file of the disk.
await session.files.upload("in/words.txt", new Blob(["pear\nfig\n", "apple\n"]).stream())

// Contexts have variables of their own, and the same files.
const sorting = await session.createContext()
await session.runCode(
  `const fs = require("fs")
   const words = fs.readFileSync("in/words.txt", "utf8").trim().split("\\n")
   fs.writeFileSync("sorted.txt", words.toSorted().join("\\n"))`,
  { context: sorting }
)
console.log((await session.runCode("typeof words")).results[0]?.["text/plain"])

for (const { bytes, name, type } of await session.files.list()) console.log(type, name, bytes)

let text = ""
const decoder = new TextDecoder()
for await (const piece of session.files.download("sorted.txt")) text += decoder.decode(piece, { stream: true })
console.log(text)
// Output:
// 'undefined'
// folder in 0
// file sorted.txt 14
// apple
// fig
// pear
