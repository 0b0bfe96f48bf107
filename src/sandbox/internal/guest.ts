/** The guest process's main: reads who it is, boots that engine, locks it, serves. Never imported, only run. */
import { Channel, Lines } from "./channel.ts"
import { decodeBoot } from "./frame.ts"

const lines = new Lines()
const first = lines.next()
const boot = first === undefined ? undefined : decodeBoot(first)
if (boot === undefined) process.exit(1)
else {
  const channel = new Channel(boot)
  const crash = (error: unknown) => channel.die("crashed", String(error))
  process.on("uncaughtException", crash)
  process.on("unhandledRejection", crash)
  try {
    const engine = boot.language === "python" ? await import("./python.ts") : await import("./javascript.ts")
    await engine.serve(boot, lines, channel)
    process.exit(0)
  } catch (error) {
    // Never print it: an uncaught error of the engine brings a megabyte of its source along.
    crash(error)
  }
}
