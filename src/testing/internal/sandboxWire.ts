/** What `SandboxServer` reads of a request and writes as its answer. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Http from "node:http"
import { encode } from "../../sandbox/internal/restErrors.ts"
import type { CommandEvent, ExecutionEvent } from "../../sandbox/Sandbox.ts"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import { SandboxError } from "../../sandbox/SandboxError.ts"

/** A body of JSON; a file's has no limit but the sandbox's own. */
const maxJsonBytes = 64 * 1024 * 1024

export const invalid = (description: string): SandboxError =>
  new SandboxError({ provider: "server", reason: new InvalidRequest({ description }) })

/** The bytes of a request as they come; they fail when it was broken off. */
export const bytesOf = (incoming: Http.IncomingMessage): Stream.Stream<Uint8Array, SandboxError> =>
  Stream.fromAsyncIterable<Uint8Array, SandboxError>(incoming, () => invalid("the request was broken off"))

/** The body as an object; an empty one is `{}`. */
export const jsonOf = (
  incoming: Http.IncomingMessage
): Effect.Effect<Readonly<Record<string, unknown>>, SandboxError> =>
  Effect.gen(function* () {
    const chunks: Array<Uint8Array> = []
    let bytes = 0
    yield* Stream.runForEach(bytesOf(incoming), (chunk) => {
      bytes += chunk.length
      if (bytes > maxJsonBytes) return Effect.fail(invalid(`the body is over ${maxJsonBytes} bytes`))
      chunks.push(chunk)
      return Effect.void
    })
    const text = Buffer.concat(chunks).toString()
    return yield* Effect.try({
      try: () => recordOf(text === "" ? {} : JSON.parse(text)),
      catch: () => invalid("the body is no JSON object")
    })
  })

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const recordOf = (value: unknown): Readonly<Record<string, unknown>> => {
  if (!isRecord(value)) throw new TypeError("no object")
  return value
}

export const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** Texts by name; what is no text is left out. */
export const texts = (value: unknown): Readonly<Record<string, string>> | undefined =>
  isRecord(value)
    ? Object.fromEntries(
        Object.entries(value).flatMap(([name, one]): ReadonlyArray<readonly [string, string]> =>
          typeof one === "string" ? [[name, one]] : []
        )
      )
    : undefined

/** A time in milliseconds. */
export const millis = (value: unknown): number | undefined =>
  typeof value === "number" && value >= 0 ? value : undefined

export const answer = (outgoing: Http.ServerResponse, status: number, body?: unknown): Effect.Effect<void> =>
  Effect.sync(() => {
    if (body === undefined) return void outgoing.writeHead(status).end()
    const text = JSON.stringify(body)
    outgoing.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) })
    outgoing.end(text)
  })

/** A failure as its status, or as a last line where the status is sent already. */
export const refuse = (outgoing: Http.ServerResponse, error: SandboxError): Effect.Effect<void> => {
  const { body, status } = encode(error)
  if (!outgoing.headersSent) return answer(outgoing, status, body)
  const isLines = outgoing.getHeader("content-type") === lines
  return Effect.sync(() => {
    // A file that breaks off must not look like a whole one.
    if (isLines) outgoing.end(lineOf({ type: "error", ...(isRecord(body) ? body : undefined) }))
    else outgoing.destroy()
  })
}

const lines = "application/x-ndjson"
const lineOf = (value: unknown): string => `${JSON.stringify(value)}\n`

/** The events of a run, a line each; the last one says what the others have not. */
export const eventLine = (event: ExecutionEvent | CommandEvent): string => {
  if (event.type !== "done") return lineOf(event)
  const { stderr: _stderr, stdout: _stdout, ...rest } = "execution" in event ? event.execution : event.result
  return lineOf({ type: "done", ...rest, results: undefined })
}

/** Writes a body as it comes, no faster than it is read; its head goes out with the first piece. */
export const pipe = (
  outgoing: Http.ServerResponse,
  type: string,
  body: Stream.Stream<string | Uint8Array, SandboxError>
): Effect.Effect<void, SandboxError> => {
  const begin = Effect.sync(() => {
    if (!outgoing.headersSent) outgoing.setHeader("content-type", type).writeHead(200)
  })
  const write = (piece: string | Uint8Array): Effect.Effect<void> =>
    Effect.callback((resume) => {
      if (outgoing.write(piece)) return resume(Effect.void)
      const settle = (): void => resume(Effect.void)
      outgoing.once("drain", settle)
      return Effect.sync(() => outgoing.removeListener("drain", settle))
    })
  return Stream.runForEach(body, (piece) => Effect.andThen(begin, write(piece))).pipe(
    Effect.andThen(begin),
    Effect.andThen(Effect.sync(() => void outgoing.end()))
  )
}

/** Whether the client reads lines. */
export const readsLines = ({ headers }: Http.IncomingMessage): boolean => headers.accept?.includes(lines) === true

export const events = (
  outgoing: Http.ServerResponse,
  body: Stream.Stream<ExecutionEvent | CommandEvent, SandboxError>
): Effect.Effect<void, SandboxError> => pipe(outgoing, lines, Stream.map(body, eventLine))
