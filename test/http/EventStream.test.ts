import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Stream } from "effect"
import { HttpClientRequest, HttpClientResponse } from "effect/http"
import { EventStream } from "holdfast/http"

/** A response whose body comes in these chunks. */
const chunked = (chunks: ReadonlyArray<Uint8Array>): HttpClientResponse.HttpClientResponse => {
  const left = [...chunks]
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const chunk = left.shift()
      if (chunk === undefined) controller.close()
      else controller.enqueue(chunk)
    }
  })
  return HttpClientResponse.fromWeb(HttpClientRequest.get("http://localhost/"), new Response(body))
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const sse = (...chunks: ReadonlyArray<string>) => Stream.runCollect(EventStream.sse(chunked(chunks.map(bytes))))

const data = (events: ReadonlyArray<EventStream.ServerSentEvent>) => events.map((event) => event.data)

describe("EventStream.sse", () => {
  it.effect("reads events, names, many data lines, and leaves comments and unknown fields out", () =>
    Effect.gen(function* () {
      const events = yield* sse(
        ": hello\n\nevent: add\ndata: one\ndata:two\ndata\n\nid: 7\nretry: 10\nfoo: bar\n\ndata:  spaced\n\n"
      )
      assert.deepStrictEqual(events, [
        { event: "add", data: "one\ntwo\n" },
        { event: undefined, data: " spaced" }
      ])
    })
  )

  it.effect("drops an event that was cut off, as the standard says", () =>
    Effect.map(sse("data: whole\n\ndata: half"), (events) => assert.deepStrictEqual(data(events), ["whole"]))
  )

  it.effect("drops a byte order mark at the start, and only there", () =>
    Effect.map(sse("\uFEFFdata: a\uFEFF\n\n"), (events) => assert.deepStrictEqual(data(events), ["a\uFEFF"]))
  )

  it.effect("fails on an event over the limit instead of keeping it", () =>
    Effect.gen(function* () {
      const response = chunked([bytes("data: " + "x".repeat(60)), bytes("x".repeat(60))])
      const error = yield* Effect.flip(Stream.runCollect(EventStream.sse(response, { maxEventBytes: 100 })))
      assert.include(error.message, "longer than 100 bytes")
    })
  )

  const document =
    '\uFEFF: c\r\n\r\ndata: naïve 🎉\r\n\r\nevent: x\rdata: 日本\rdata: 語\r\rdata: {"a":1}\n\n\n\ndata:\n\n: end\n\ndata: last\r\n\r\n'
  const expected = ["naïve 🎉", "日本\n語", '{"a":1}', "", "last"]

  it.effect("reads the same events however the bytes are cut", () =>
    Effect.gen(function* () {
      const whole = bytes(document)
      for (let seed = 0; seed < 300; seed++) {
        const chunks: Array<Uint8Array> = []
        for (let at = 0; at < whole.length;) {
          const size = yield* Random.nextIntBetween(1, seed % 2 === 0 ? 3 : 40)
          chunks.push(whole.slice(at, at + size))
          at += size
        }
        const events = yield* Stream.runCollect(EventStream.sse(chunked(chunks)))
        assert.deepStrictEqual(data(events), expected)
      }
    }).pipe(Random.withSeed("cuts"))
  )
})

describe("EventStream.ndjson", () => {
  it.effect("reads a value from each line, blank lines left out, the last one without its end too", () =>
    Effect.gen(function* () {
      const response = chunked([bytes('{"a":1}\n\n  \r\n[2'), bytes(',3]\n"end"')])
      assert.deepStrictEqual(yield* Stream.runCollect(EventStream.ndjson(response)), [{ a: 1 }, [2, 3], "end"])
    })
  )

  it.effect("fails on a line that is not JSON, after the values before it", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const read = Stream.runForEach(EventStream.ndjson(chunked([bytes("1\nnope\n2\n")])), (value) =>
        Effect.sync(() => seen.push(value))
      )
      assert.include((yield* Effect.flip(read)).message, "a line is not JSON")
      assert.deepStrictEqual(seen, [1])
    })
  )
})
