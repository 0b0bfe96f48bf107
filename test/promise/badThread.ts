/** A thread that answers nobody, in the way that the code says. */
import { runAsWorker } from "synckit"
import type { Serve } from "../../src/promise/internal/syncThread.ts"

runAsWorker<Serve>(async (_, asked) => {
  if (asked.call === "runCode" && asked.code === "hang") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  if (asked.call === "runCode" && asked.code === "exit") process.exit(3)
  if (asked.call === "runCode" && asked.code === "crash") setImmediate(() => undefinedName())
  await new Promise(() => {})
  return { is: "closed" }
})

declare const undefinedName: () => void
