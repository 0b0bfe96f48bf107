import { assert, describe, it } from "@effect/vitest"
import { decodeReply } from "../../src/sandbox/internal/frame.js"
const end = { t: "end", id: 1, ok: true, exitCode: 0, memoryBytes: 1, truncated: false }
const read = (frame) => decodeReply(JSON.stringify({ n: "nonce", ...frame }), "nonce")
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
  it("takes only own properties, into objects without a prototype", () => {
    const reply = decodeReply('{"n":"nonce","t":"result","result":{"__proto__":"x","text/plain":"y"}}', "nonce")
    assert.isTrue(reply?.t === "result" && Object.getPrototypeOf(reply.result) === null)
    assert.strictEqual(Reflect.get({}, "text/plain"), undefined)
    // An error with `ok` has no place: the guest's own C interface said that nothing was raised.
    assert.strictEqual(read({ ...end, error: { name: "E", value: "", traceback: "" } })?.t === "end" && "kept", "kept")
  })
})
