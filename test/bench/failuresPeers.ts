/** The clients that meet the rows of FAILURES.md. What a client has no option for is as it comes. */
export interface Ask {
  readonly url: string
  /** Calls after the first. */
  readonly retries: number
  readonly signal: AbortSignal | undefined
  /** The total time, for a client that knows one; the signal ends the others. */
  readonly totalMillis: number | undefined
  /** How long the client waits for an answer, or for the next text, by whatever option it has for that. */
  readonly patienceMillis: number
}

/** A client; the worker makes one for each row. */
export interface Peer {
  readonly name: string
  /** Gives the text of a whole answer. */
  readonly unary: (ask: Ask) => Promise<() => Promise<string>>
  /** Reads a stream to its end, or rejects; tells each text. */
  readonly stream: (ask: Ask) => Promise<(onText: (text: string) => Promise<boolean>) => Promise<void>>
}

const openai = async ({ patienceMillis, retries, signal, url }: Ask) => {
  const { OpenAI } = await import("openai")
  const client = new OpenAI({ apiKey: "k", baseURL: url, maxRetries: retries, timeout: patienceMillis })
  const messages = [{ role: "user" as const, content: "hi" }]
  return { completions: client.chat.completions, messages, options: signal === undefined ? {} : { signal } }
}

const ai = async ({ retries, signal, url }: Ask) => {
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible")
  const library = await import("ai")
  const model = createOpenAICompatible({ name: "bench", apiKey: "k", baseURL: url })("m")
  const abortSignal = signal === undefined ? {} : { abortSignal: signal }
  return { library, options: { model, prompt: "hi", maxRetries: retries, ...abortSignal } }
}

const langchain = async ({ patienceMillis: timeout, retries, url }: Ask) => {
  const { ChatOpenAI } = await import("@langchain/openai")
  const configuration = { baseURL: url }
  return new ChatOpenAI({ apiKey: "k", model: "m", maxRetries: retries, timeout, configuration })
}

const effectful = async ({ retries, signal, url }: Ask) => {
  const [{ Effect, ManagedRuntime, Schedule, Stream }, { HttpClient, HttpClientRequest }, { Sse }, NodeHttpClient] =
    await Promise.all([
      import("effect"),
      import("effect/http"),
      import("effect/encoding"),
      import("@effect/platform-node/NodeHttpClient")
    ])
  const runtime = ManagedRuntime.make(NodeHttpClient.layerUndici)
  const execute = (stream: boolean) =>
    Effect.gen(function* () {
      const schedule = Schedule.exponential("500 millis")
      const http = HttpClient.retryTransient(yield* HttpClient.HttpClient, { times: retries, schedule })
      const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], stream })
      const request = HttpClientRequest.bodyText(
        HttpClientRequest.post(`${url}/chat/completions`),
        body,
        "application/json"
      )
      return yield* HttpClient.filterStatusOk(http).execute(request)
    })
  const runOptions = signal === undefined ? {} : { signal }
  return { Effect, Sse, Stream, execute, run: runtime.runPromise, runOptions }
}

interface Chunk {
  readonly choices?: ReadonlyArray<{ readonly delta?: { readonly content?: string } }>
}

const holdfast = async ({ patienceMillis, retries, totalMillis: total, url }: Ask) => {
  const [{ Effect, Layer, ManagedRuntime, Redacted, Stream }, { UndiciHttpClient }, { Llm, OpenAiLlm }, { Policy }] =
    await Promise.all([import("effect"), import("holdfast/http"), import("holdfast/llm"), import("holdfast/policy")])
  const timeout = { attempt: patienceMillis, firstContent: patienceMillis, idleContent: patienceMillis, total }
  const policy = Policy.make({ timeout, retry: { retries }, maxConcurrency: 1000 })
  const llm = OpenAiLlm.layer({ baseUrl: url, apiKey: Redacted.make("k"), model: "m", policy })
  const http = UndiciHttpClient.layer({ connections: 1000 })
  return { Effect, Llm, Stream, runtime: ManagedRuntime.make(Layer.provide(llm, http)) }
}

const client = async ({ patienceMillis, retries, totalMillis: total, url }: Ask) => {
  const { createClient } = await import("holdfast/promise")
  return createClient({
    llm: { provider: "openai", baseUrl: url, apiKey: "k", model: "m" },
    timeout: { attempt: patienceMillis, firstContent: patienceMillis, idleContent: patienceMillis, total },
    retry: { retries },
    maxConcurrency: 1000
  })
}

export const peers: Readonly<Record<string, Peer>> = {
  holdfast: {
    name: "holdfast",
    unary: async (ask) => {
      const { Effect, Llm, runtime } = await holdfast(ask)
      const options = ask.signal === undefined ? {} : { signal: ask.signal }
      const text = Effect.map(Llm.generateText("hi"), (answer) => answer.text)
      return () => runtime.runPromise(text, options)
    },
    stream: async (ask) => {
      const { Effect, Llm, Stream, runtime } = await holdfast(ask)
      return (onText) =>
        runtime.runPromise(
          Stream.runForEachWhile(Llm.streamText("hi"), (event) =>
            event.type === "text" ? Effect.promise(() => onText(event.text)) : Effect.succeed(true)
          )
        )
    }
  },
  holdfastPromise: {
    name: "holdfast/promise",
    unary: async (ask) => {
      const { generateText } = await client(ask)
      return async () => (await generateText("hi", { signal: ask.signal })).text
    },
    stream: async (ask) => {
      const { streamText } = await client(ask)
      return async (onText) => {
        for await (const event of streamText("hi", { signal: ask.signal })) {
          if (event.type === "text" && !(await onText(event.text))) return
        }
      }
    }
  },
  openai: {
    name: "openai",
    unary: async (ask) => {
      const { completions, messages, options } = await openai(ask)
      return async () => {
        const answer = await completions.create({ model: "m", messages }, options)
        return answer.choices[0]?.message.content ?? ""
      }
    },
    stream: async (ask) => {
      const { completions, messages, options } = await openai(ask)
      return async (onText) => {
        const stream = await completions.create({ model: "m", messages, stream: true }, options)
        for await (const chunk of stream) {
          // Its types promise the choices, a server does not.
          const text = chunk.choices?.[0]?.delta?.content
          if (text && !(await onText(text))) return
        }
      }
    }
  },
  ai: {
    name: "ai",
    unary: async (ask) => {
      const { library, options } = await ai(ask)
      // Its timeout of a step is one for all tries of it, and for the waits between them: 2, 4 and 8 seconds.
      const timeout = { stepMs: ask.patienceMillis * (ask.retries + 1) + (2 ** (ask.retries + 1) - 2) * 1000 }
      return async () => (await library.generateText({ ...options, timeout })).text
    },
    stream: async (ask) => {
      const { library, options } = await ai(ask)
      const timeout = { firstChunkMs: ask.patienceMillis, chunkMs: ask.patienceMillis }
      return async (onText) => {
        for await (const part of library.streamText({ ...options, timeout, onError: () => {} }).fullStream) {
          if (part.type === "error") throw part.error
          if (part.type === "abort") throw new Error("aborted")
          if (part.type === "text-delta" && part.text !== "" && !(await onText(part.text))) return
        }
      }
    }
  },
  langchain: {
    name: "LangChain",
    unary: async (ask) => {
      const model = await langchain(ask)
      const options = ask.signal === undefined ? {} : { signal: ask.signal }
      return async () => (await model.invoke("hi", options)).text
    },
    stream: async (ask) => {
      const model = await langchain(ask)
      const options = ask.signal === undefined ? {} : { signal: ask.signal }
      return async (onText) => {
        for await (const chunk of await model.stream("hi", options)) {
          if (chunk.text !== "" && !(await onText(chunk.text))) return
        }
      }
    }
  },
  effect: {
    name: "effect HttpClient",
    unary: async (ask) => {
      const { Effect, execute, run, runOptions } = await effectful(ask)
      const text = Effect.gen(function* () {
        const answer: { readonly choices: ReadonlyArray<{ readonly message: { readonly content: string } }> } =
          JSON.parse(yield* (yield* execute(false)).text)
        return answer.choices[0]?.message.content ?? ""
      })
      return () => run(text, runOptions)
    },
    stream: async (ask) => {
      const { Effect, Sse, Stream, execute, run, runOptions } = await effectful(ask)
      const texts = Stream.unwrap(
        Effect.map(execute(true), (response) =>
          response.stream.pipe(
            Stream.decodeText(),
            Stream.pipeThroughChannel(Sse.decode()),
            Stream.timeout(ask.patienceMillis),
            Stream.filter((event) => event.data !== "[DONE]"),
            Stream.map((event): Chunk => JSON.parse(event.data)),
            Stream.map((chunk) => chunk.choices?.[0]?.delta?.content ?? "")
          )
        )
      )
      return (onText) =>
        run(
          Stream.runForEachWhile(texts, (text) =>
            text === "" ? Effect.succeed(true) : Effect.promise(() => onText(text))
          ),
          runOptions
        )
    }
  }
}
