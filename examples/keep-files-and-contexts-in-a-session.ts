/** Give a program files to work on, take what it made, and keep the variables of two tasks apart in one session. */
import { Effect, Stream } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

const program = Effect.gen(function* () {
  const session = yield* Sandbox.create({ language: "python" })

  // A path that is not absolute is meant from the guest's home, where programs start too.
  yield* session.files.write("sales.csv", "city,count\nOslo,3\nRome,4\n")
  yield* session.runCode(
    'import csv, json\nrows = list(csv.DictReader(open("sales.csv")))\njson.dump({"total": sum(int(row["count"]) for row in rows)}, open("out.json", "w"))'
  )
  console.log(yield* session.files.readText("out.json"))

  // Every language of the session sees the same files; TypeScript runs too.
  const typed = yield* session.runCode(
    'const out: { total: number } = JSON.parse(require("fs").readFileSync("out.json", "utf8"))\nout.total * 2',
    { language: "typescript" }
  )
  console.log(typed.results[0]?.["text/plain"])

  // Large files go as streams, in pieces.
  yield* session.files.upload("large.bin", Stream.make(new Uint8Array(1_000_000), new Uint8Array(500_000)))
  console.log((yield* session.files.list()).map((file) => `${file.name} ${file.bytes}`).join(", "))

  // Contexts have variables of their own and share the files.
  const one = yield* session.createContext()
  const two = yield* session.createContext()
  yield* session.runCode("x = 1", { context: one })
  yield* session.runCode("x = 2", { context: two })
  console.log((yield* session.runCode("x", { context: one })).results[0]?.["text/plain"])

  // A fresh machine under the same session: variables, contexts and files are gone.
  yield* session.reset
  console.log((yield* session.files.list()).length)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(LocalSandbox.layer())))
// Output:
// {"total": 7}
// 14
// large.bin 1500000, out.json 12, sales.csv 25
// 1
// 0
