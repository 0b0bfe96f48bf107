/** The envelopes of Connect, however they are cut. */
import { assert, describe, it } from "@effect/vitest"
import { Decoder, encode, type Envelope } from "../../src/sandbox/internal/connect.ts"
import { frame } from "../fixtures/e2bProcesses.ts"

const messages = ["", "x".repeat(300), "привет 🚀", "\n\u0000"].map((text, index) => ({ text, index }))

const decode = (chunks: ReadonlyArray<Uint8Array>, limitBytes = 1 << 20) => {
  const decoder = new Decoder(limitBytes)
  const out: Array<Envelope> = []
  const wrong = chunks.map((chunk) => decoder.push(chunk, out)).find((one) => one !== undefined)
  return { out, wrong, isEnded: decoder.isEnded }
}

describe("connect", () => {
  it("reads what it writes", () => {
    const { isEnded, out } = decode(messages.map((message) => encode(message)))
    assert.deepStrictEqual(
      out,
      messages.map((message) => ({ type: "message" as const, message }))
    )
    assert.isFalse(isEnded)
  })

  it("reads envelopes that are cut anywhere, and nothing after the end", () => {
    const error = { code: "not_found", message: "no process" }
    const bytes = Buffer.concat([...messages.map((message) => frame(message)), frame({ error }, 2), frame({ late: 1 })])
    const whole = decode([bytes])
    assert.deepStrictEqual(whole.out.at(-1), { type: "end", failure: error })
    assert.strictEqual(whole.out.length, messages.length + 1)
    assert.isTrue(whole.isEnded)
    for (let size = 1; size <= 40; size++) {
      const chunks: Array<Uint8Array> = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
      assert.deepStrictEqual(decode(chunks), whole)
    }
  })

  it("says what is wrong with a stream", () => {
    const compressed = frame({ a: 1 })
    compressed.writeUInt8(1, 0)
    assert.include(decode([compressed]).wrong, "compressed")
    assert.include(decode([frame([1])]).wrong, "no JSON object")
    assert.include(decode([frame({ a: "x".repeat(100) })], 50).wrong, "a message of")
    const { isEnded, out, wrong } = decode([frame({ a: 1 }).subarray(0, 8)])
    assert.deepStrictEqual([out, isEnded, wrong], [[], false, undefined])
  })
})
