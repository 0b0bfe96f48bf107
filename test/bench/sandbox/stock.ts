/** Pyodide as it comes, in a process of its own and without a lock: runs the line it reads, answers with the value. */
import { createInterface } from "node:readline"
import { loadPyodide } from "pyodide"

const pyodide = await loadPyodide()
for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(pyodide.runPython(JSON.parse(line)))}\n`)
process.exit(0)
