/** The rows of the failure table that are about a whole answer. */
import { replying } from "./conformanceBehaviours.ts"
import { asking, expects, type Row, type Seen } from "./conformanceRow.ts"

const busy = JSON.stringify({ error: { message: "wait a moment", code: "slow_down" } })

const retryInfo = JSON.stringify({
  error: {
    message: "slow down",
    details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "0.15s" }]
  }
})

/** A clock of the client's may be a little ahead of the server's. */
const toleranceMillis = 5

const waited =
  (millis: number) =>
  (seen: Seen): ReadonlyArray<string> => {
    const [first = 0, second = 0] = seen.stats.cameAt
    const wait = second - first
    const isEarly = seen.stats.requests === 2 && wait < millis - toleranceMillis
    const rest = expects({ requests: 2, text: "hello world" })(seen)
    return isEarly ? [...rest, `it was asked again after ${wait} ms, ${millis} ms were asked for`] : rest
  }

const forms = [
  { form: "retry-after-ms", millis: 150, reply: { headers: { "retry-after-ms": "150" } } },
  { form: "retry-after in seconds", millis: 1000, reply: { headers: { "retry-after": "1" } } },
  { form: "RetryInfo in the body", millis: 150, reply: { body: retryInfo } },
  {
    form: "the reset of a limit with nothing left",
    millis: 150,
    reply: { headers: { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "150ms" } }
  }
].map(({ form, millis, reply }) =>
  asking({
    id: "retry-after-forms",
    holds: `${form} is the least wait before the next send`,
    server: `429 with ${form}, then an answer`,
    behaviour: replying({ status: 429, times: 1, ...reply }),
    problems: waited(millis)
  })
)

const abandoned = ["DeadlineExceeded", "AttemptTimeout"]

const calls = 1_000

/** Ends a call while it waits, when the server has seen its first request. */
const aborting =
  (isWaiting: (stats: Seen["stats"]) => boolean): Row["play"] =>
  async (stage) => {
    const controller = new AbortController()
    const asked = stage.ask({ signal: controller.signal })
    await stage.until(isWaiting)
    controller.abort(new Error("the caller has gone"))
    return [await asked]
  }

/** What an abort gives is the caller's own reason, whatever class the client puts around it. */
const aborted = (seen: Seen): ReadonlyArray<string> =>
  expects({ requests: 1 })(seen).concat(
    seen.calls.some(({ isFailed }) => !isFailed) ? ["the call succeeded after it was aborted"] : []
  )

const ofWhole: ReadonlyArray<Row> = [
  asking({
    id: "stall-body",
    holds: "headers without a body end by the time of an attempt, and are sent again once at the most",
    server: "200 and headers, and never a body",
    behaviour: "stall-body",
    times: { attempt: 300 },
    problems: expects({ requests: [1, 2], fails: abandoned })
  }),
  ...["head", "body"].map((part) =>
    asking({
      id: "slow-drip",
      holds: `a byte of the ${part} now and then is no answer`,
      server: `one byte of the ${part} each 20 ms`,
      behaviour: `slow-drip-${part}`,
      times: { attempt: 300 },
      problems: expects({ requests: [1, 2], fails: abandoned })
    })
  ),
  asking({
    id: "garbage-json",
    holds: "a page in the place of an answer is an error, and asked for again",
    server: "200 with HTML",
    behaviour: "garbage-json",
    problems: expects({ requests: (retries) => retries + 1, fails: ["InvalidResponse"] })
  }),
  asking({
    id: "quota",
    holds: "an empty account is asked once",
    server: "429 with insufficient_quota",
    behaviour: "quota",
    problems: expects({ requests: 1, fails: ["QuotaExhausted"] })
  }),
  asking({
    id: "retry-after-long",
    holds: "a wait that is too long fails now",
    server: "429 with retry-after: 61",
    behaviour: "retry-after-long",
    problems: expects({ requests: 1, fails: ["RateLimited"] })
  }),
  asking({
    id: "retry-after-deadline",
    holds: "a wait past the call's time fails now",
    server: "429 with retry-after: 30",
    behaviour: "retry-after-deadline",
    times: { total: 10_000 },
    problems: expects({ requests: 1, fails: ["RateLimited"] })
  }),
  ...forms,
  asking({
    id: "retry-after-forms",
    holds: "x-should-retry: false stops",
    server: "503 with x-should-retry: false",
    behaviour: replying({ status: 503, headers: { "x-should-retry": "false", "retry-after-ms": "1" } }),
    problems: expects({ requests: 1, fails: ["Overloaded", "ServerError"] })
  }),
  asking({
    id: "overload",
    holds: "529 is asked again",
    server: "529, then an answer",
    behaviour: replying({ status: 529, times: 1 }),
    problems: expects({ requests: 2, text: "hello world" })
  }),
  asking({
    id: "overload",
    holds: "503 slow_down is asked again",
    server: "503 with slow_down, then an answer",
    behaviour: replying({ status: 503, body: busy, times: 1 }),
    problems: expects({ requests: 2, text: "hello world" })
  }),
  asking({
    id: "post-refused",
    holds: "nobody at the address is told as that",
    server: "does not listen",
    behaviour: "ok",
    play: async (stage) => [await stage.ask({ url: await stage.closedUrl() })],
    problems: expects({ requests: 0, fails: ["Unreachable"] })
  }),
  asking({
    id: "post-reset",
    holds: "a completion whose connection was reset is asked for again",
    server: "resets the connection of the first request, then answers",
    behaviour: "reset-once",
    problems: expects({ requests: 2, text: "hello world" })
  }),
  asking({
    id: "post-reset",
    holds: "each send of a call carries the call's key",
    server: "resets every connection",
    behaviour: "reset",
    play: async (stage) => [await stage.ask({ idempotencyKey: "call-7" })],
    problems: (seen) => {
      const keys = seen.stats.keys.filter((key) => key === "call-7").length
      const isKeyed = keys === seen.stats.requests
      const rest = expects({ requests: (retries) => retries + 1, fails: ["ConnectionLost"] })(seen)
      return isKeyed ? rest : [...rest, `${seen.stats.requests - keys} sends did not carry the key of the call`]
    }
  }),
  asking({
    id: "amplification",
    holds: "three retries are three, whatever the failures",
    server: "503, 503, 503 and a reset, again and again",
    behaviour: "amplification",
    retries: 3,
    problems: expects({ requests: 4, fails: ["ConnectionLost", "ServerError", "Overloaded"] })
  }),
  asking({
    id: "exhausted",
    holds: "a server that is down is an error, and never an answer",
    server: "503 for ever",
    behaviour: "exhausted",
    problems: expects({ requests: (retries) => retries + 1, fails: ["ServerError", "Overloaded"] })
  }),
  asking({
    id: "dead-server",
    holds: "a server that is down gets little more than the calls",
    server: "503 for ever, to a thousand calls",
    behaviour: "exhausted",
    isHeavy: true,
    play: async (stage) => {
      const ended = []
      for (let at = 0; at < calls; at += 50)
        ended.push(...(await Promise.all(Array.from({ length: 50 }, () => stage.ask()))))
      return ended
    },
    // A tenth more than the calls, and what a budget has in hand at the start.
    problems: expects({ requests: [calls, calls * 1.1 + 300], fails: ["ServerError", "Overloaded"] })
  }),
  asking({
    id: "slow-close",
    holds: "an error's body that never ends holds nobody up",
    server: "503 with a body without an end, then an answer",
    behaviour: "slow-close",
    problems: expects({ requests: 2, text: "hello world" })
  }),
  asking({
    id: "huge-body",
    holds: "a body without measure is left",
    server: "a body of 1 GiB",
    behaviour: "huge-body",
    isHeavy: true,
    problems: (seen) => {
      const mebibytes = Math.round(seen.stats.written / 2 ** 20)
      const rest = expects({ fails: ["BodyTooLarge"] })(seen)
      return mebibytes < 256 ? rest : [...rest, `the client took ${mebibytes} MiB`]
    }
  }),
  asking({
    id: "stale-socket",
    holds: "a kept connection that is closed under a request is no failure",
    server: "closes a connection when it is used again",
    behaviour: "stale-socket",
    play: async (stage) => [await stage.ask(), await stage.ask()],
    problems: expects({ requests: [2, 3], text: "hello world" })
  }),
  asking({
    id: "redirect-secret",
    holds: "no key goes to another origin",
    server: "307 to another origin",
    behaviour: "redirect",
    problems: ({ landed: { secrets } }) =>
      secrets.length === 0 ? [] : [`${secrets.length} headers with a secret came to another origin`]
  }),
  asking({
    id: "abort-waiting",
    holds: "an abort before the headers ends the call and its request",
    server: "never answers",
    behaviour: "hang",
    play: aborting(({ open }) => open === 1),
    problems: aborted
  }),
  asking({
    id: "abort-waiting",
    holds: "an abort between two sends ends the call",
    server: "503 with retry-after: 20",
    behaviour: replying({ status: 503, headers: { "retry-after": "20" } }),
    play: aborting(({ open, requests }) => requests === 1 && open === 0),
    problems: aborted
  }),
  asking({
    id: "dispose-busy",
    holds: "closing the client ends what is under way",
    server: "never answers",
    behaviour: "hang",
    needs: ["ask", "close"],
    play: async (stage) => {
      const asked = stage.ask()
      await stage.until(({ open }) => open === 1)
      await stage.close()
      return [await asked]
    },
    problems: expects({ requests: 1, fails: ["Draining"] })
  }),
  asking({
    id: "token-expired",
    holds: "a token that has expired is fetched anew, once",
    server: "401 to the first token, an answer to the second",
    behaviour: "token-expired",
    needs: ["askByToken"],
    play: async (stage) => [await stage.askByToken()],
    problems: (seen) => {
      const rest = expects({ requests: 2, text: "hello world" })(seen)
      return seen.stats.tokens === 2 ? rest : [...rest, `${seen.stats.tokens} tokens were fetched, 2 were expected`]
    }
  }),
  asking({
    id: "unknown-fields",
    holds: "fields and values that nobody knows yet are accepted in an answer",
    server: "an answer with a surprise in each object",
    behaviour: "unknown-fields",
    problems: expects({ requests: 1, text: "hello" })
  }),
  asking({
    id: "utf8-split",
    holds: "characters of an answer that are cut anywhere are whole again",
    server: "one byte to a packet",
    behaviour: "utf8-split",
    problems: expects({ requests: 1, text: "naïve 🎉🚀 日本語" })
  })
]

const sending = (row: Parameters<typeof asking>[0]): Row => asking({ needs: ["send"], ...row })

const ofRequests: ReadonlyArray<Row> = [
  sending({
    id: "get-reset",
    holds: "a GET whose connection was reset is sent again",
    server: "resets the connection of the first request, then answers",
    behaviour: "reset-first",
    play: async (stage) => [await stage.send("GET")],
    problems: expects({ requests: 2, text: "200" })
  }),
  sending({
    id: "post-reset",
    holds: "a POST whose connection was reset is sent once: nobody knows whether it was done",
    server: "resets every connection",
    behaviour: "reset",
    play: async (stage) => [await stage.send("POST")],
    problems: expects({ requests: 1, fails: ["ConnectionLost"] })
  }),
  sending({
    id: "post-reset",
    holds: "a POST with a key is sent again, under the same key",
    server: "resets the connection of the first request, then answers",
    behaviour: "reset-first",
    play: async (stage) => [await stage.send("POST", { idempotencyKey: "order-7" })],
    problems: (seen) => {
      const rest = expects({ requests: 2, text: "200" })(seen)
      const isKeyed = seen.stats.keys.filter((key) => key === "order-7").length === seen.stats.requests
      return isKeyed ? rest : [...rest, "a send did not carry the key"]
    }
  }),
  sending({
    id: "redirect-secret",
    holds: "no key of a request goes to another origin",
    server: "307 to another origin",
    behaviour: "redirect",
    play: async (stage) => [await stage.send("GET")],
    problems: ({ landed: { secrets } }) =>
      secrets.length === 0 ? [] : [`${secrets.length} headers with a secret came to another origin`]
  })
]

export const asked: ReadonlyArray<Row> = [...ofWhole, ...ofRequests]
