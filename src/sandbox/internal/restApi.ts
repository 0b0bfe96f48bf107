/** The requests of the REST protocol: each endpoint, what it is sent, and what its answer is read as. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as EventStream from "../../http/EventStream.ts"
import type { Ask, HeaderValues } from "../../http/internal/ask.ts"
import { Exchange, type Failed } from "../../http/internal/exchange.ts"
import type { Body } from "../../http/internal/exchangeStream.ts"
import { type ByteSink, headerOf, subscribe } from "../../http/internal/source.ts"
import type * as Policy from "../../policy/Policy.ts"
import * as Release from "../../policy/Release.ts"
import type { Retryable } from "../../policy/Retryable.ts"
import type { FileInfo } from "../Sandbox.ts"
import { InvalidResponse } from "../../http/ServiceReason.ts"
import { SandboxError } from "../SandboxError.ts"
import * as Decode from "./restDecode.ts"
import { reasonOfBody, reasonOfRefusal, type RestReason } from "./restErrors.ts"
import { own, parse, text } from "./fields.ts"

/** Where the endpoints are, below the base URL; `{id}` is the sandbox's. */
export interface Paths {
  readonly create: string
  readonly sandbox: string
  readonly execute: string
  readonly interrupt: string
  readonly contexts: string
  readonly lifetime: string
  readonly commands: string
  readonly files: string
}

export const defaultPaths: Paths = {
  create: "/sandboxes",
  sandbox: "/sandboxes/{id}",
  execute: "/sandboxes/{id}/execute",
  interrupt: "/sandboxes/{id}/interrupt",
  contexts: "/sandboxes/{id}/contexts",
  lifetime: "/sandboxes/{id}/lifetime",
  commands: "/sandboxes/{id}/commands",
  files: "/sandboxes/{id}/files"
}

export interface Parts {
  readonly provider: string
  /** Whose slots are taken. */
  readonly key: string
  readonly baseUrl: string
  readonly headers: HeaderValues
  readonly paths: Paths
  readonly held: Policy.Held
  readonly http: HttpClient.HttpClient
}

/** What a run says on the wire. */
export type Said =
  | { readonly type: "stdout" | "stderr"; readonly text: string }
  | { readonly type: "result"; readonly value: unknown }
  /** Of a type that is not known, such as a keep-alive. */
  | { readonly type: "other" }
  | { readonly type: "done"; readonly ran: Decode.Ran }

/** How a run is sent, and how long its answer may take. */
export interface Running {
  readonly body: unknown
  readonly limit: Duration.Duration
  readonly onSend: () => void
  readonly onFail: (reason: Retryable) => void
}

/** The results of a run have 8 MiB at most where we make them; a line has room for those and their quotes. */
const maxLineBytes = 64 * 1024 * 1024

export class RestApi {
  private readonly parts: Parts
  private readonly general: Exchange<RestReason>

  constructor(parts: Parts) {
    this.parts = parts
    this.general = this.exchange(undefined)
  }

  private exchange(file: string | undefined): Exchange<RestReason> {
    const { baseUrl, headers, held, http, key, paths, provider } = this.parts
    return new Exchange<RestReason>({
      provider,
      key,
      held,
      http,
      baseUrl,
      headers,
      reasonOf: (refusal) => reasonOfRefusal(refusal, { isMade: refusal.ask.path !== paths.create, file })
    })
  }

  private pathOf(endpoint: keyof Paths, id: string): string {
    return this.parts.paths[endpoint].replace("{id}", encodeURIComponent(id))
  }

  private readonly fail = ({ attempts, reason }: Failed<RestReason>): SandboxError =>
    new SandboxError({ provider: this.parts.provider, reason, attempts })

  /**
   * Sent again under the same key, which is the caller's own where there is one: a server that knows it makes one sandbox
   * of all its sends.
   */
  create(body: unknown, idempotencyKey: string, total: Duration.Duration): Effect.Effect<Decode.Made, SandboxError> {
    const ask: Ask = {
      method: "POST",
      path: this.parts.paths.create,
      json: body,
      headers: { "idempotency-key": idempotencyKey },
      keyed: true,
      timeout: { attempt: total, total }
    }
    return this.value(this.general.json(ask, Decode.made))
  }

  /** Deletes a sandbox, whatever holds other calls back; one that is not there is deleted. What fails is logged. */
  remove(id: string): Effect.Effect<void> {
    const ask: Ask = { method: "DELETE", path: this.pathOf("sandbox", id), accept: [404, 410] }
    const removed = Release.run(Effect.mapError(this.general.text(ask), this.fail))
    return Effect.ignore(removed, { log: "Warn", message: `the sandbox ${id} was not deleted` })
  }

  execute(endpoint: "execute" | "commands", id: string, running: Running): Stream.Stream<Said, SandboxError> {
    const { body, limit, onFail, onSend } = running
    const { held } = this.parts
    const ask: Ask = {
      method: "POST",
      path: this.pathOf(endpoint, id),
      json: body,
      headers: { accept: "application/x-ndjson, application/json" },
      safety: "unsafe",
      keyed: true,
      // The policy's total is for all but the run, whose own time is over before this.
      timeout: {
        attempt: limit,
        idleContent: limit,
        total: Duration.sum(limit, Duration.millis(held.policy.timeout.totalMillis))
      },
      onSend,
      onFail
    }
    return Stream.mapError(this.general.stream(ask, linesOf), this.fail).pipe(
      Stream.mapEffect((line) =>
        Effect.flatMap(this.general.safe(ask), (safe) =>
          Effect.fromResult(
            Result.mapError(saidIn(line, safe), (reason) => new SandboxError({ provider: this.parts.provider, reason }))
          )
        )
      )
    )
  }

  interrupt(id: string): Effect.Effect<void, SandboxError> {
    return this.done({ method: "POST", path: this.pathOf("interrupt", id), json: {}, safety: "idempotent" })
  }

  extend(id: string, lifetimeMillis: number | undefined): Effect.Effect<void, SandboxError> {
    const ask: Ask = { method: "PUT", path: this.pathOf("lifetime", id), json: { lifetimeMillis } }
    return this.done(ask)
  }

  createContext(id: string, language: string, cwd: string | undefined): Effect.Effect<string, SandboxError> {
    const ask: Ask = {
      method: "POST",
      path: this.pathOf("contexts", id),
      json: { language, cwd },
      safety: "idempotent",
      keyed: true
    }
    return this.value(this.general.json(ask, Decode.madeContext))
  }

  private ofFile(method: Ask["method"], id: string, path: string): Ask {
    return { method, path: this.pathOf("files", id), query: { path } }
  }

  readFile(id: string, path: string): Effect.Effect<Uint8Array, SandboxError> {
    const headers = { accept: "application/octet-stream" }
    return this.value(this.exchange(path).bytes({ ...this.ofFile("GET", id, path), headers }))
  }

  downloadFile(id: string, path: string): Stream.Stream<Uint8Array, SandboxError> {
    const headers = { accept: "application/octet-stream" }
    return Stream.mapError(this.exchange(path).pieces({ ...this.ofFile("GET", id, path), headers }), this.fail)
  }

  writeFile(id: string, path: string, data: Uint8Array): Effect.Effect<void, SandboxError> {
    const body = HttpBody.uint8Array(data, "application/octet-stream")
    return Effect.asVoid(this.value(this.exchange(path).text({ ...this.ofFile("PUT", id, path), body })))
  }

  /** Sent once: what a stream has given it may not give again. What was not written to its end is removed. */
  uploadFile<E>(id: string, path: string, data: Stream.Stream<Uint8Array, E>): Effect.Effect<void, SandboxError> {
    const body = HttpBody.stream(data, "application/octet-stream")
    return Effect.suspend(() => {
      let isSent = false
      const onSend = (): void => {
        isSent = true
      }
      const ask: Ask = { ...this.ofFile("PUT", id, path), body, onSend, once: true }
      const removed = Effect.ignore(Release.run(this.removeFile(id, path)))
      return Effect.onError(Effect.asVoid(this.value(this.exchange(path).text(ask))), (cause) => {
        const error = Cause.findErrorOption(cause)
        // What the server has not begun with is as it was before.
        const isRefused = error._tag === "Some" && ["notSent", "rejected"].includes(error.value.phase)
        // The server may not have noticed yet that nothing follows.
        return isSent && !isRefused ? removed : Effect.void
      })
    })
  }

  listFiles(id: string, path: string | undefined): Effect.Effect<ReadonlyArray<FileInfo>, SandboxError> {
    const ask: Ask = { method: "GET", path: this.pathOf("files", id), query: { path, list: true } }
    return this.value(this.exchange(path ?? "").json(ask, Decode.listed(path ?? "")))
  }

  removeFile(id: string, path: string): Effect.Effect<void, SandboxError> {
    return Effect.asVoid(this.value(this.exchange(path).text(this.ofFile("DELETE", id, path))))
  }

  private done(ask: Ask): Effect.Effect<void, SandboxError> {
    return Effect.asVoid(this.value(this.general.text(ask)))
  }

  private value<A>(answer: Effect.Effect<{ readonly value: A }, Failed<RestReason>>): Effect.Effect<A, SandboxError> {
    return Effect.mapBoth(answer, { onFailure: this.fail, onSuccess: ({ value }) => value })
  }
}

/** An answer line by line, where the server sends lines; else the whole of it, as JSON or as text. */
const linesOf = (response: HttpClientResponse): Body<Line> => {
  const type = headerOf(response, "content-type") ?? ""
  if (/ndjson|jsonl|json-seq|stream\+json/i.test(type)) {
    const reader = EventStream.ndjsonReader(response, { maxEventBytes: maxLineBytes })
    const pull = Effect.map(reader.pull, ([head, ...tail]) => [lineOf(head), ...tail.map(lineOf)] as const)
    return { pull, abort: reader.abort }
  }
  const isText = /^text\/plain/i.test(type)
  let isRead = false
  const pull = Effect.suspend((): Body<Line>["pull"] => {
    if (isRead) return Cause.done()
    isRead = true
    return Effect.map(response.text, (text): readonly [Line] => [{ kind: isText ? "text" : "whole", text }])
  })
  // Whoever leaves the stream while it is read interrupts the pull, and that closes the connection.
  return { pull, abort: () => (isRead ? undefined : subscribe(response, nobody).abort()) }
}

const nobody: ByteSink = { onBytes: () => undefined, onEnd: () => undefined, onError: () => undefined }

interface Line {
  readonly kind: "line" | "whole" | "text"
  readonly text: string
}

const lineOf = (text: string): Line => ({ kind: "line", text })

/** Errors are written with what is `safe` to show. */
const saidIn = (
  { kind, text: said }: Line,
  safe: (text: string) => string
): Result.Result<Said, InvalidResponse | RestReason> => {
  if (kind === "text") return Result.succeed({ type: "done", ran: { stdout: said } })
  const line = kind === "line" ? parse(said) : undefined
  const type = line === undefined ? undefined : text(line, "type")
  if (line !== undefined && (type === "stdout" || type === "stderr"))
    return Result.succeed({ type, text: text(line, "text") ?? text(line, "data") ?? "" })
  if (line !== undefined && type === "result")
    return Result.succeed({ type, value: own(line, "result") ?? own(line, "data") })
  // What went wrong after the status was sent.
  const reason = type === "error" ? reasonOfBody(parse(safe(said)), "the run was broken off") : undefined
  if (reason !== undefined) return Result.fail(reason)
  const ran = line !== undefined && type === "done" ? Result.succeed(Decode.ranAtEnd(line)) : Decode.ran(valueOf(said))
  if (Result.isFailure(ran) && kind === "line" && type !== undefined) return Result.succeed({ type: "other" })
  return Result.mapBoth(ran, {
    onFailure: (description) => new InvalidResponse({ description, excerpt: safe(said), delivered: true }),
    onSuccess: (ran): Said => ({ type: "done", ran })
  })
}

const valueOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
