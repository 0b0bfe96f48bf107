import { assert, describe, it } from "@effect/vitest"
import { decodeReply } from "../../src/sandbox/internal/frame.ts"

const end = { t: "end", id: 1, ok: true, exitCode: 0, memoryBytes: 1, truncated: false }
const read = (frame: object) => decodeReply(JSON.stringify({ n: "nonce", ...frame }), "nonce")

describe("frame", () => {
  it("reads the replies of a guest", () => {
    assert.deepStrictEqual(read({ t: "ready" }), { t: "ready" })
    assert.deepStrictEqual(read({ t: "out", stream: "stderr", text: "x" }), { t: "out", stream: "stderr", text: "x" })
    assert.strictEqual(read(end)?.t, "end")
  })

  it.each([
    "",
    "null",
    "[]",
    "{",
    '{"t":"ready"}',
    '{"t":"ready","n":"other"}',
    '{"t":"ready","n":["nonce"]}',
    '{"__proto__":{"n":"nonce","t":"ready"}}',
    '{"n":"nonce","t":"constructor"}',
    '{"n":"nonce","t":"__proto__"}',
    '{"n":"nonce","t":"toString"}',
    '{"n":"nonce","t":"out","stream":"stdin","text":"x"}',
    '{"n":"nonce","t":"result","result":{"a":1}}',
    '{"n":"nonce","t":"result","result":["a"]}',
    '{"n":"nonce","t":"end","id":1,"ok":"true","exitCode":0,"memoryBytes":1,"truncated":false}',
    '{"n":"nonce","t":"end","id":1.5,"ok":true,"exitCode":0,"memoryBytes":1,"truncated":false}',
    '{"n":"nonce","t":"end","id":1,"ok":false,"exitCode":1,"memoryBytes":1,"truncated":false}',
    '{"n":"nonce","t":"gone","why":"closed"}'
  ])("refuses %s", (line) => {
    assert.strictEqual(decodeReply(line, "nonce"), undefined)
  })

  const file = { t: "file", id: 1 }
  const entry = { name: "a", type: "file", bytes: 1, stamp: 2 }
  const list = { ...file, kind: "list", entries: [entry], more: false }

  it("reads the answers about files", () => {
    for (const frame of [
      { ...file, kind: "done" },
      { ...file, kind: "info", type: "folder", bytes: 0 },
      { ...file, kind: "data", data: "AA==" },
      list,
      { ...file, kind: "refused", why: "notFound", description: "none" }
    ])
      assert.deepStrictEqual<unknown>(read(frame), frame)
  })

  it.each([
    { ...file, kind: "toString" },
    { ...file, kind: "done", id: -1 },
    { ...file, kind: "done", id: "1" },
    { ...file, kind: "info", type: "device", bytes: 0 },
    { ...file, kind: "info", type: "file", bytes: 0.5 },
    { ...file, kind: "data", data: ["AA=="] },
    { ...file, kind: "data", data: "A".repeat(3 << 20) },
    { ...file, kind: "refused", why: "because" },
    { ...list, entries: "a" },
    { ...list, more: 1 },
    { ...list, entries: [], more: true },
    { ...list, entries: [entry, entry] },
    { ...list, entries: [null] },
    { ...list, entries: Array.from({ length: 1001 }, (_, index) => ({ ...entry, name: `${index}` })) },
    ...["", ".", "..", "a/b", "/a", "a\0", "a".repeat(256)].map((name) => ({ ...list, entries: [{ ...entry, name }] })),
    { ...list, entries: [{ ...entry, stamp: -1 }] },
    { ...list, entries: [{ ...entry, bytes: 1e300 }] }
  ])("refuses an answer about a file that is none", (frame) => {
    assert.strictEqual(read(frame), undefined)
  })

  it("takes only own properties, into objects without a prototype", () => {
    const reply = decodeReply('{"n":"nonce","t":"result","result":{"__proto__":"x","text/plain":"y"}}', "nonce")
    assert.isTrue(reply?.t === "result" && Object.getPrototypeOf(reply.result) === null)
    assert.strictEqual(Reflect.get({}, "text/plain"), undefined)
    // An error with `ok` has no place: the guest's own C interface said that nothing was raised.
    assert.strictEqual(read({ ...end, error: { name: "E", value: "", traceback: "" } })?.t === "end" && "kept", "kept")
  })
})
