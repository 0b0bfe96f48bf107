/**
 * Runs examples one after another in this process, and writes a line of JSON for each: its file, what it printed, and
 * what it failed with. Started with their paths as arguments. They share what they load: most of an example's time.
 */
import { format } from "node:util"
import { pathToFileURL } from "node:url"

const { log } = console
const write = process.stdout.write.bind(process.stdout)

for (const file of process.argv.slice(2)) {
  const lines: Array<string> = []
  console.log = (...args) => void lines.push(format(...args))
  let error: string | undefined
  try {
    await import(pathToFileURL(file).href)
    // What it says in its last microtasks belongs to it.
    await new Promise((resolve) => setImmediate(resolve))
  } catch (cause) {
    error = format(cause)
  }
  console.log = log
  write(`${JSON.stringify({ file, stdout: lines.join("\n"), error })}\n`)
}
process.exit(0)
