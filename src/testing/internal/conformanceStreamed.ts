/** The rows of the failure table that are about a streamed answer. */
import { expects, type Row, streaming } from "./conformanceRow.ts"

const numbers = Array.from({ length: 200 }, (_, at) => `${at} `).join("")

const slow = { firstContent: 300, attempt: 300 }

export const streamed: ReadonlyArray<Row> = [
  streaming({
    id: "stall-body",
    holds: "a stream of headers alone ends by the time of its first content",
    server: "200 and headers, and never an event",
    behaviour: "stall-body",
    times: slow,
    problems: expects({ requests: [1, 2], fails: ["FirstContentTimeout", "AttemptTimeout", "DeadlineExceeded"] })
  }),
  streaming({
    id: "stall-first",
    holds: "comments are no content: none in time is asked again, and then told",
    server: "comments each 20 ms, and never an event",
    behaviour: "stall-first",
    times: slow,
    problems: expects({ requests: [1, 2], fails: ["FirstContentTimeout", "AttemptTimeout", "DeadlineExceeded"] })
  }),
  streaming({
    id: "stall-keepalive",
    holds: "a stall after content is an error, and never a success",
    server: "one piece, then comments each 20 ms for ever",
    behaviour: "stall-keepalive",
    times: { idleContent: 200 },
    problems: expects({ requests: 1, fails: ["StreamStalled"], partial: "hello " })
  }),
  streaming({
    id: "cut-socket",
    holds: "a cut after content is an error that keeps what was said, and nothing is sent again",
    server: "two pieces, then the connection breaks",
    behaviour: "cut-socket",
    problems: expects({ requests: 1, fails: ["StreamCut"], partial: "hello wor" })
  }),
  streaming({
    id: "cut-socket",
    holds: "a cut before the first content is asked again",
    server: "the connection breaks before any content, then an answer",
    behaviour: "cut-before-content",
    problems: expects({ requests: 2, text: "hello world" })
  }),
  streaming({
    id: "end-early",
    holds: "an end without a finish marker is an error, and never an answer",
    server: "two pieces, then a clean end without finish_reason",
    behaviour: "end-early",
    problems: expects({ requests: 1, fails: ["StreamTruncated"], partial: "hello wor" })
  }),
  streaming({
    id: "slow-consumer",
    holds: "a consumer slower than idleContent loses nothing",
    server: "200 pieces at once",
    behaviour: "slow-consumer",
    times: { idleContent: 60 },
    play: async (stage) => {
      let pauses = 0
      const onPiece = async (): Promise<boolean> => {
        if (++pauses <= 2) await stage.pause(300)
        return true
      }
      return [await stage.stream({}, onPiece)]
    },
    problems: expects({ requests: 1, text: numbers })
  }),
  streaming({
    id: "error-in-stream",
    holds: "an error before any content is asked again, as its status would be",
    server: "200, then an event with an error; then an answer",
    behaviour: "error-in-stream",
    problems: expects({ requests: 2, text: "hello world" })
  }),
  streaming({
    id: "garbage-json",
    holds: "an event that is no JSON is an error",
    server: "an event that breaks off inside its JSON",
    behaviour: "garbage-json",
    problems: expects({ requests: (retries) => retries + 1, fails: ["InvalidResponse"] })
  }),
  streaming({
    id: "late-end",
    holds: "a stream ends at its end marker, and its connection is used again",
    server: "ends the body 600 ms after [DONE]",
    behaviour: "late-end",
    play: async (stage) => {
      const ended: Array<Awaited<ReturnType<typeof stage.stream>>> = []
      for (let at = 0; at < 4; at++) {
        ended.push(await stage.stream())
        await stage.until(({ open }) => open === 0)
      }
      return ended
    },
    problems: (seen) => {
      const rest = expects({ requests: 4, text: "hello world" })(seen)
      const { connections } = seen.stats
      // One is lost where a busy client hears of a body's end later than it begins the next request.
      return connections <= 2 ? rest : [...rest, `${connections} connections were opened for 4 streams in turn`]
    }
  }),
  streaming({
    id: "break-early",
    holds: "leaving the loop closes the connection",
    server: "pieces for ever",
    behaviour: "break-early",
    play: async (stage) => [await stage.stream({}, async () => false)],
    problems: expects({ requests: 1 })
  }),
  streaming({
    id: "abort-waiting",
    holds: "an abort between two events ends the stream and its request",
    server: "one piece, then comments each 20 ms for ever",
    behaviour: "stall-keepalive",
    play: async (stage) => {
      const controller = new AbortController()
      const onPiece = async (): Promise<boolean> => {
        controller.abort(new Error("the caller has gone"))
        return true
      }
      return [await stage.stream({ signal: controller.signal }, onPiece)]
    },
    // Some end a stream that is aborted without an error, as the `openai` package does.
    problems: expects({ requests: 1 })
  }),
  streaming({
    id: "tool-cut",
    holds: "a tool's call that breaks off is not delivered",
    server: "words, then half of a tool's call, then the connection breaks",
    behaviour: "tool-cut",
    problems: (seen) => {
      const rest = expects({ requests: 1, fails: ["StreamCut"] })(seen)
      return seen.calls.every(({ toolCalls }) => toolCalls === 0) ? rest : [...rest, "half a call was delivered"]
    }
  }),
  streaming({
    id: "unknown-fields",
    holds: "fields and values that nobody knows yet are accepted in a stream",
    server: "all in one event with a surprise in each object, and an event of a type that nobody knows",
    behaviour: "unknown-fields",
    problems: expects({ requests: 1, text: "hello" })
  }),
  streaming({
    id: "utf8-split",
    holds: "characters and line ends of a stream that are cut anywhere are whole again",
    server: "one byte to a packet, with every kind of line end",
    behaviour: "utf8-split",
    problems: expects({ requests: 1, text: "naïve 🎉🚀 日本語" })
  })
]
