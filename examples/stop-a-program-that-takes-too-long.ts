/** Stop a program that takes too long, by its time or by a word of yours, and go on in the same session. */
import { Effect, Stream } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

const program = Effect.gen(function* () {
  const session = yield* Sandbox.create({ language: "javascript" })
  yield* session.runCode("let answer = 42")

  // How it ended is a value; its variables are kept, because it stopped when it was asked to.
  const late = yield* session.runCode("for (;;);", { timeout: "300 millis" })
  console.log(late.outcome, late.exitCode, late.sessionState)

  // Before its time: here at its first word, in a server by another request.
  yield* session.streamCode("console.log('it begins'); for (;;);").pipe(
    Stream.runForEach((event) => {
      if (event.type === "stdout") return session.interrupt
      return Effect.sync(() => event.type === "done" && console.log(event.execution.outcome, event.execution.exitCode))
    })
  )

  const { results } = yield* session.runCode("answer")
  console.log("still there:", results[0]?.["text/plain"])
})

// `grace` is how long a program may take to stop before it is killed, which loses its variables.
const sandbox = LocalSandbox.layer({ languages: ["javascript"], grace: "5 seconds" })
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(sandbox)))
// Output:
// timedOut 124 kept
// interrupted 130
// still there: 42
