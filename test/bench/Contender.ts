/** What all contenders have in common: a way to set up, and a way to be run `count` times, `concurrency` at a time. */
export interface Session {
  /** Makes `count` calls and resolves with how many units (calls or events) were done. */
  readonly run: (count: number, concurrency: number) => Promise<Done>
  readonly close: () => Promise<void>
}

export interface Done {
  /** Calls, or events of a stream. */
  readonly units: number
  /** Milliseconds from each stream's call to its first text. */
  readonly firstMillis: ReadonlyArray<number>
}

/** Prepares a session against a base URL of the server (`http://127.0.0.1:1234/unary`). */
export type Setup = (url: string) => Promise<Session>

/** What a library takes part in. */
export interface Contender {
  readonly name: string
  /** Asks a question, waits for the whole answer, retries what fails. */
  readonly unary?: Setup
  /** Reads a stream to its end. */
  readonly stream?: Setup
  /** Wraps a call that does nothing in retry and timeout. */
  readonly wrap?: Setup
  /** Runs tasks under a limit of 64. */
  readonly limit?: Setup
  /** Reserves a request and its tokens within a minute's limits. */
  readonly reserve?: Setup
  /** Runs tasks of three priorities for eight keys, under a limit of 8 for each. */
  readonly priority?: Setup
  /** Does jobs of a queue, eight at a time, and awaits their results. */
  readonly jobs?: Setup
  /** Stores vectors, in batches of 500. */
  readonly insert?: Setup
  /** Finds the nearest ten of 10 000 vectors. */
  readonly search?: Setup
  /** The same of 500 vectors, whose server is far away. */
  readonly searchOne?: Setup
  /** The same for ten queries at once. */
  readonly searchTen?: Setup
}

let asked = 0

/** A question that no other call of this process asks; `/retry` knows its tries by it. */
export const question = (): string => `question ${process.pid}-${asked++}`

/** The body that clients without types of their own send. */
export const chatBody = (stream: boolean): string =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: question() }], stream })

/** A session of calls that take nothing and give nothing but a promise. */
export const ofCalls = (call: () => Promise<void>, close: () => Promise<void> = async () => {}): Session => ({
  close,
  run: async (count, concurrency) => {
    let left = count
    const worker = async (): Promise<void> => {
      while (left-- > 0) await call()
    }
    await Promise.all(Array.from({ length: Math.min(count, concurrency) }, worker))
    return { units: count, firstMillis: [] }
  }
})

/** A session of streams: `read` says for each text that it has come, and when it is over how many there were. */
export const ofStreams = (
  read: (onText: () => void) => Promise<void>,
  close: () => Promise<void> = async () => {}
): Session => {
  const firstMillis: Array<number> = []
  let texts = 0
  const call = async (): Promise<void> => {
    const start = performance.now()
    let isFirst = true
    await read(() => {
      texts += 1
      if (!isFirst) return
      isFirst = false
      firstMillis.push(performance.now() - start)
    })
  }
  const calls = ofCalls(call, close)
  return {
    close,
    run: async (count, concurrency) => {
      texts = 0
      firstMillis.length = 0
      await calls.run(count, concurrency)
      return { units: texts, firstMillis: [...firstMillis] }
    }
  }
}

/** The key and the class (0, 1 or 2, the last one first) of each next task of the benchmark of priorities. */
export const claims = (): (() => { readonly key: string; readonly priority: 0 | 1 | 2 }) => {
  const keys = Array.from({ length: 8 }, (_, n) => `key ${n}`)
  const priorities = [0, 1, 2] as const
  let next = 0
  return () => {
    next++
    return { key: keys[next % 8] ?? "", priority: priorities[next % 3] ?? 0 }
  }
}

/** A session of tasks that each wait for one turn of the event loop, under a limiter; `concurrency` of them wait for it. */
export const ofTasks = (limit: (task: () => Promise<void>) => Promise<void>): Session => {
  const task = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return ofCalls(() => limit(task))
}
