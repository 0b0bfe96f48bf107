var __addDisposableResource =
  (this && this.__addDisposableResource) ||
  function (env, value, async) {
    if (value !== null && value !== void 0) {
      if (typeof value !== "object" && typeof value !== "function") throw new TypeError("Object expected.")
      var dispose, inner
      if (async) {
        if (!Symbol.asyncDispose) throw new TypeError("Symbol.asyncDispose is not defined.")
        dispose = value[Symbol.asyncDispose]
      }
      if (dispose === void 0) {
        if (!Symbol.dispose) throw new TypeError("Symbol.dispose is not defined.")
        dispose = value[Symbol.dispose]
        if (async) inner = dispose
      }
      if (typeof dispose !== "function") throw new TypeError("Object not disposable.")
      if (inner)
        dispose = function () {
          try {
            inner.call(this)
          } catch (e) {
            return Promise.reject(e)
          }
        }
      env.stack.push({ value: value, dispose: dispose, async: async })
    } else if (async) {
      env.stack.push({ async: true })
    }
    return value
  }
var __disposeResources =
  (this && this.__disposeResources) ||
  (function (SuppressedError) {
    return function (env) {
      function fail(e) {
        env.error = env.hasError ? new SuppressedError(e, env.error, "An error was suppressed during disposal.") : e
        env.hasError = true
      }
      var r,
        s = 0
      function next() {
        while ((r = env.stack.pop())) {
          try {
            if (!r.async && s === 1) return ((s = 0), env.stack.push(r), Promise.resolve().then(next))
            if (r.dispose) {
              var result = r.dispose.call(r.value)
              if (r.async)
                return (
                  (s |= 2),
                  Promise.resolve(result).then(next, function (e) {
                    fail(e)
                    return next()
                  })
                )
            } else s |= 1
          } catch (e) {
            fail(e)
          }
        }
        if (s === 1) return env.hasError ? Promise.reject(env.error) : Promise.resolve()
        if (env.hasError) throw env.error
      }
      return next()
    }
  })(
    typeof SuppressedError === "function"
      ? SuppressedError
      : function (error, suppressed, message) {
          var e = new Error(message)
          return ((e.name = "SuppressedError"), (e.error = error), (e.suppressed = suppressed), e)
        }
  )
/** How a row of the failure table is run: against the server's process, through `Llm` and through the promise client. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { Cause, Context, Duration, Effect, Exit, Layer, Redacted, Scope, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { createClient } from "holdfast/promise"
import { afterAll, beforeAll } from "vitest"
let origin = ""
let runs = 0
/** Starts the server's process for the tests of a file. */
export const useServer = () => {
  let child
  beforeAll(async () => {
    child = spawn(process.execPath, [new URL("server.ts", import.meta.url).pathname], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    const { stdout } = child
    if (stdout === null) throw new Error("the server has no stdout")
    const [port] = await once(stdout, "data")
    origin = `http://127.0.0.1:${String(port).trim()}`
  })
  afterAll(() => {
    child?.stdin?.end()
  })
}
/** A fresh base URL of a row, and how to ask what reached it. */
export const row = (id) => {
  const url = `${origin}/${id}/${++runs}`
  return {
    url: `${url}/v1`,
    stats: async () => {
      const response = await fetch(`${url}/stats`)
      const stats = JSON.parse(await response.text())
      return stats
    }
  }
}
/** Asks again and again until the server has seen what is expected: it learns of a close when the packet arrives. */
export const eventually = async (stats, isSeen) => {
  const deadline = performance.now() + 5_000
  for (;;) {
    const seen = await stats()
    if (isSeen(seen) || performance.now() > deadline) return seen
  }
}
const outcomeOf = (error, text) => {
  if (!isLlmError(error)) throw error
  return { text, error, attempts: error.attempts, finishReason: undefined }
}
const isLlmError = (u) => u instanceof Error && "_tag" in u && u._tag === "LlmError"
export const clientOptions = (url, options = {}) => ({
  llm: { provider: "openai", apiKey: "sk-secret", baseUrl: url, model: "test-model" },
  ...options,
  retry: { base: 1, ...options.retry }
})
const withClient = async (url, options, use) => {
  const env_1 = { stack: [], error: void 0, hasError: false }
  try {
    const client = __addDisposableResource(env_1, createClient(clientOptions(url, options)), true)
    return await use(client)
  } catch (e_1) {
    env_1.error = e_1
    env_1.hasError = true
  } finally {
    const result_1 = __disposeResources(env_1)
    if (result_1) await result_1
  }
}
export const promiseDoor = {
  name: "promise client",
  unary: (url, options) =>
    withClient(url, options, async (client) => {
      try {
        const answer = await client.generateText("hi")
        return { ...answer, error: undefined }
      } catch (error) {
        return outcomeOf(error, "")
      }
    }),
  stream: (url, options, onText) =>
    withClient(url, options, async (client) => {
      let text = ""
      try {
        for await (const event of client.streamText("hi")) {
          if (event.type === "finish") return { ...event, text, error: undefined }
          text += event.text
          await onText?.(event.text)
        }
        throw new Error("the stream ended without a finish event")
      } catch (error) {
        return outcomeOf(error, text)
      }
    })
}
const duration = (time) =>
  time === undefined
    ? undefined
    : Duration.fromInputUnsafe(typeof time === "number" ? time : Duration.fromInputUnsafe(time))
export const policyOf = ({ maxConcurrency, retry, timeout } = {}) =>
  Policy.make({
    maxConcurrency,
    retry: { retries: retry?.retries, base: duration(retry?.base) ?? 1, maxRetryAfter: duration(retry?.maxRetryAfter) },
    timeout: {
      attempt: duration(timeout?.attempt),
      firstContent: duration(timeout?.firstContent),
      idleContent: duration(timeout?.idleContent),
      total: duration(timeout?.total)
    }
  })
export const llmLayer = (url, options) =>
  OpenAiLlm.layer({
    baseUrl: url,
    apiKey: Redacted.make("sk-secret"),
    model: "test-model",
    policy: policyOf(options)
  }).pipe(Layer.provide(UndiciHttpClient.layer()))
const withLlm = async (url, options, use, textSoFar) => {
  const scope = Scope.makeUnsafe()
  try {
    const context = await Effect.runPromise(Layer.buildWithScope(llmLayer(url, options), scope))
    const exit = await Effect.runPromiseExit(use(Context.get(context, Llm.Llm)))
    return Exit.isSuccess(exit) ? exit.value : outcomeOf(Cause.squash(exit.cause), textSoFar())
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
export const effectDoor = {
  name: "Llm",
  unary: (url, options) =>
    withLlm(
      url,
      options,
      (llm) => Effect.map(llm.generateText(Llm.toRequest("hi")), (answer) => ({ ...answer, error: undefined })),
      () => ""
    ),
  stream: (url, options, onText) => {
    let text = ""
    return withLlm(
      url,
      options,
      (llm) => {
        let outcome = { text, error: undefined, attempts: [], finishReason: undefined }
        const read = Stream.runForEach(llm.streamText(Llm.toRequest("hi")), (event) =>
          Effect.promise(async () => {
            if (event.type === "finish") {
              outcome = { text, error: undefined, attempts: event.attempts, finishReason: event.finishReason }
              return
            }
            text += event.text
            await onText?.(event.text)
          })
        )
        return Effect.map(read, () => outcome)
      },
      () => text
    )
  }
}
export const doors = [effectDoor, promiseDoor]
