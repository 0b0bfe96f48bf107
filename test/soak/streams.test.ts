/** Streams of bytes that no server should send: a call ends, with an answer or an error, and never takes rubbish for one. */
import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { Llm, LlmError, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { figures } from "./figures.ts"
import { atScale } from "./scale.ts"

const encoder = new TextEncoder()
const words = ["naïve ", "🎉", "日本語", "", " ", "\n", "data: ", "[DONE]", '{"', "\u2028", "a".repeat(300)]
const lineEnds = ["\n", "\r\n", "\r"]
const chunk = (delta: object, finish: string | null): string =>
  JSON.stringify({ model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })

interface Scripted {
  readonly bytes: Uint8Array
  readonly text: string
  /** Where the finish marker's event is complete; Infinity without one. */
  readonly finishedAt: number
}

/** A stream as servers send it, with comments, blank lines, fields nobody knows and any line ends. */
const valid = (next: (below: number) => number): Scripted => {
  const end = lineEnds[next(3)] ?? "\n"
  let text = ""
  const events: Array<string> = []
  const event = (data: string): void => {
    if (next(4) === 0) events.push(`: keep-alive${end}${end}`)
    if (next(6) === 0) events.push(`id: 7${end}retry: 10${end}unknown: field${end}`)
    events.push(`data:${next(2) === 0 ? " " : ""}${data}${end}${end}`)
  }
  for (let at = next(12); at >= 0; at--) {
    const content = words[next(words.length)] ?? ""
    text += content
    event(chunk({ content }, null))
  }
  event(chunk({}, "stop"))
  const finishedAt = encoder.encode(events.join("")).length
  if (next(2) === 0) event('{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}')
  if (next(4) > 0) event("[DONE]")
  return { bytes: encoder.encode(events.join("")), text, finishedAt }
}

/** The bytes in pieces of any size, which then end in good order, or break. */
const inPieces = (bytes: Uint8Array, next: (below: number) => number, breaks: boolean): Response => {
  const largest = [1, 2, 7, 64, 4096][next(5)] ?? 1
  let at = 0
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (at < bytes.length) return controller.enqueue(bytes.slice(at, (at += 1 + next(largest))))
      if (breaks) controller.error(new TypeError("terminated"))
      else controller.close()
    }
  })
  return new Response(body, { headers: { "content-type": "text/event-stream" } })
}

interface Ended {
  readonly text: string
  readonly isFinished: boolean
  readonly error: unknown
}

const policy = Policy.make({ retry: { retries: 1, base: 0 }, timeout: { total: "20 seconds" } })

/** Reads what a client answers; a defect is as bad as a wrong answer. */
const read = async (reply: () => Response): Promise<Ended> => {
  let text = ""
  let isFinished = false
  const http = TestHttpClient.layer(() => Effect.sync(reply))
  const llm = OpenAiLlm.layer({ model: "m", baseUrl: "http://llm.test/v1", policy }).pipe(Layer.provide(http))
  const reading = Stream.runForEach(Llm.streamText("hi"), (event) =>
    Effect.sync(() => {
      assert.isFalse(isFinished, "nothing follows the finish event")
      if (event.type === "finish") isFinished = true
      else if (event.type === "text") text += event.text
    })
  )
  const exit = await Effect.runPromiseExit(Effect.provide(reading, llm))
  if (Exit.isSuccess(exit)) return { text, isFinished, error: undefined }
  assert.isFalse(Cause.hasDies(exit.cause), Cause.pretty(exit.cause))
  return { text, isFinished, error: Cause.squash(exit.cause) }
}

/** What must hold whatever came: an end, and only one. */
const check = ({ error, isFinished }: Ended, what: string): void => {
  if (error === undefined) return assert.isTrue(isFinished, `${what}: a success without a finish event`)
  assert.instanceOf(error, LlmError.LlmError, what)
  assert.isFalse(isFinished, `${what}: a finish event before a failure`)
  assert.notInclude(["AttemptTimeout", "DeadlineExceeded", "FirstContentTimeout", "StreamStalled"], error.code, what)
  assert.match(error.message, /^[^\n\r]+$/, what)
}

describe("streams of any bytes", { timeout: 900_000 }, () => {
  const total = atScale(3000)

  it("gives the exact text, whatever the pieces and line ends", async () => {
    for (let seed = 1; seed <= total; seed++) {
      const next = figures(seed)
      const { bytes, text } = valid(next)
      const ended = await read(() => inPieces(bytes, figures(seed), false))
      check(ended, `seed ${seed}`)
      assert.deepEqual(ended, { text, isFinished: true, error: undefined }, `seed ${seed}`)
    }
  })

  it("is a success only with its finish marker, wherever it is cut off", async () => {
    const codes = new Set<string>()
    for (let seed = 1; seed <= total; seed++) {
      const next = figures(seed)
      const { bytes, finishedAt, text } = valid(next)
      const cut = next(bytes.length)
      const breaks = next(2) === 0
      const ended = await read(() => inPieces(bytes.subarray(0, cut), figures(seed), breaks))
      const what = `seed ${seed}, cut at ${cut} of ${bytes.length}`
      check(ended, what)
      assert.isTrue(text.startsWith(ended.text), what)
      // The last line end of an event may be missing where a lone CR or LF has ended it already.
      if (cut < finishedAt - 1) assert.isFalse(ended.isFinished, what)
      else if (cut >= finishedAt) assert.deepEqual(ended, { text, isFinished: true, error: undefined }, what)
      if (ended.error instanceof LlmError.LlmError) codes.add(ended.error.code)
    }
    assert.deepEqual([...codes].toSorted(), ["ConnectionLost", "StreamCut", "StreamTruncated"])
  })

  it("is never a success of rubbish", async () => {
    const soup = [
      "data:",
      "data: ",
      "event: error",
      "\n",
      "\n\n",
      "\r",
      "{",
      "}",
      "[DONE]",
      '{"error":',
      "null",
      "\u0000"
    ]
    for (let seed = 1; seed <= total; seed++) {
      const next = figures(seed)
      const bytes =
        next(2) === 0
          ? Uint8Array.from({ length: next(500) }, () => next(256))
          : encoder.encode(Array.from({ length: next(60) }, () => soup[next(soup.length)]).join(""))
      const ended = await read(() => inPieces(bytes, figures(seed), next(3) === 0))
      check(ended, `seed ${seed}`)
      assert.isDefined(ended.error, `seed ${seed}`)
    }
  })

  it("survives a bit that flips anywhere", async () => {
    let answers = 0
    for (let seed = 1; seed <= total; seed++) {
      const next = figures(seed)
      const { bytes } = valid(next)
      for (let flips = 1 + next(3); flips > 0; flips--) {
        const at = next(bytes.length)
        bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8))
      }
      const ended = await read(() => inPieces(bytes, figures(seed), false))
      check(ended, `seed ${seed}`)
      if (ended.isFinished) answers++
    }
    // Most bits are in the text or in fields that nobody reads; many are not.
    assert.isAbove(answers, 0)
    assert.isBelow(answers, total)
  })
})
