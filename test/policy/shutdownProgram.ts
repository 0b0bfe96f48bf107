/** A program under `Shutdown.run`: `node shutdownProgram.ts <what> <grace> <url>`. Started by `Shutdown.processes.test.ts`. */
import { Console, Effect } from "effect"
import { HttpClient } from "effect/http"
import { ResilientHttpClient, UndiciHttpClient } from "holdfast/http"
import { Policy, Shutdown } from "holdfast/policy"

const [what = "", grace = "", url = ""] = process.argv.slice(2)

/** One call under a policy, then the work of a server that never ends. */
const call = Effect.gen(function* () {
  const held = yield* Policy.open(Policy.defaults)
  yield* Shutdown.register(held)
  const http = ResilientHttpClient.wrap(yield* UndiciHttpClient.make(), held)
  const { status } = yield* HttpClient.get(url).pipe(Effect.provideService(HttpClient.HttpClient, http))
  yield* Console.log(`answered ${status}`)
  return yield* Effect.never
}).pipe(Effect.scoped)

const programs: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
  call,
  clean: Console.log("done"),
  fails: Effect.fail(new Error("it went wrong")),
  finalizes: Effect.never.pipe(Effect.ensuring(Console.log("finalized"))),
  hangs: Effect.never.pipe(Effect.ensuring(Effect.andThen(Console.log("finalizing"), Effect.never)))
}

process.on("SIGTERM", () => process.stdout.write("signalled\n"))
const program = programs[what]
if (program === undefined) throw new Error(`no program "${what}"`)
const started = Effect.andThen(
  Effect.sync(() => process.stderr.write("ready\n")),
  program
)
Shutdown.run(started, { grace: Number(grace) * 1000, samePress: 0 })
