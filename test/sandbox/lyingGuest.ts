/** A guest process that broke out of its engine and says what it likes. Its last argument is what it lies about. */
import { createInterface } from "node:readline"

/** The parent's question, as far as a liar cares. */
interface Question {
  readonly t?: string
  readonly id?: number
  readonly op?: string
  readonly length?: number
  readonly nonce?: string
}

const lie = process.argv.at(-1) ?? ""
let nonce = ""
const say = (frame: object) => process.stdout.write(`${JSON.stringify({ n: nonce, ...frame })}\n`)
const data = (size: number) => ({ kind: "data", data: Buffer.alloc(size).toString("base64") })
const entry = (name: string) => ({ name, type: "file", bytes: 1, stamp: 1 })
let listed = 0

/** By lie: what it answers to a question about a file. */
const answers: Readonly<Record<string, (question: Question) => object>> = {
  unasked: () => ({ kind: "done" }),
  number: () => ({ id: 1000, kind: "done" }),
  kind: () => ({ kind: "done" }),
  more: ({ length = 0 }) => data(length + 1),
  endless: ({ op, length = 0 }) => (op === "info" ? { kind: "info", type: "file", bytes: 1 } : data(length)),
  names: () => ({ kind: "list", entries: [entry("../../etc/passwd")], more: false }),
  many: () => ({ kind: "list", entries: Array.from({ length: 1000 }, () => entry(`f${listed++}`)), more: true }),
  long: () => ({ kind: "data", data: "A".repeat(64 << 20) }),
  dies: () => process.exit(3)
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const question: Question = JSON.parse(line)
  if (nonce === "") {
    nonce = question.nonce ?? ""
    say({ t: "ready" })
    if (lie === "unasked") say({ t: "file", id: 1, kind: "done" })
  } else if (question.t === "file") say({ t: "file", id: question.id, ...answers[lie]?.(question) })
})
