/** A request as a cassette sees it: its whole URL and its bytes, whatever its body is made of. */
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import { EncodeError, HttpClientError, InvalidUrlError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Url from "effect/http/Url"
import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import * as Stream from "effect/Stream"
import { type RequestRecord, toText } from "./cassetteFormat.ts"

/** A request on its way. */
export interface Asked {
  /** As it is sent: a body that is made while it is sent has been read. */
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: URL
  /** Absent where there is no body. */
  readonly bytes: Uint8Array | undefined
  readonly contentType: string | undefined
}

interface Read {
  readonly bytes: Uint8Array
  readonly type: string | undefined
}

/** Reads a request; its body may have `maxBytes`. */
export const ask = (
  request: HttpClientRequest.HttpClientRequest,
  maxBytes: number
): Effect.Effect<Asked, HttpClientError> => {
  const made = Url.make(request.url, request.urlParams, undefined)
  if (Result.isFailure(made)) {
    return Effect.fail(new HttpClientError({ reason: new InvalidUrlError({ request, cause: made.failure }) }))
  }
  const url = made.success
  const { body, headers } = request
  if (body._tag === "Empty") {
    return Effect.succeed({ request, url, bytes: undefined, contentType: headers["content-type"] })
  }
  return Effect.matchEffect(read(body, maxBytes), {
    onFailure: (cause) => failed(request, cause),
    onSuccess: ({ bytes, type }) => {
      const asked = { request, url, bytes, contentType: type ?? headers["content-type"] }
      // What can be read once is sent as the bytes that were read.
      return body._tag === "FormData" || body._tag === "Stream"
        ? Effect.succeed({ ...asked, request: HttpClientRequest.setBody(request, HttpBody.uint8Array(bytes, type)) })
        : Effect.succeed(asked)
    }
  })
}

const read = (body: Exclude<HttpBody.HttpBody, HttpBody.Empty>, maxBytes: number): Effect.Effect<Read, unknown> => {
  const type = body.contentType
  switch (body._tag) {
    case "Uint8Array":
      return Effect.succeed({ bytes: body.body, type })
    case "Raw":
      if (typeof body.body === "string") return Effect.succeed({ bytes: Buffer.from(body.body), type })
      return body.body instanceof Uint8Array
        ? Effect.succeed({ bytes: body.body, type })
        : Effect.fail(new TypeError("a raw body must be a string or a Uint8Array"))
    case "FormData":
      return readForm(body)
    case "Stream":
      return Effect.map(readStream(body.stream, maxBytes), (bytes) => ({ bytes, type }))
  }
}

const failed = (
  request: HttpClientRequest.HttpClientRequest,
  cause: unknown
): Effect.Effect<never, HttpClientError> => {
  const description = cause instanceof Error ? cause.message : "the request cannot be encoded"
  return Effect.fail(new HttpClientError({ reason: new EncodeError({ request, cause, description }) }))
}

const readForm = (body: HttpBody.FormData): Effect.Effect<Read, unknown> =>
  Effect.tryPromise(async () => {
    // The platform's own encoder: it streams files and chooses the boundary.
    const encoded = new Response(body.formData)
    return {
      bytes: new Uint8Array(await encoded.arrayBuffer()),
      type: encoded.headers.get("content-type") ?? undefined
    }
  })

const readStream = (
  stream: Stream.Stream<Uint8Array, unknown>,
  maxBytes: number
): Effect.Effect<Uint8Array, unknown> => {
  const read = Stream.runFoldEffect(
    stream,
    () => ({ chunks: new Array<Uint8Array>(), bytes: 0 }),
    ({ bytes, chunks }, chunk) => {
      const total = bytes + chunk.length
      chunks.push(chunk)
      return total > maxBytes
        ? Effect.fail(new RangeError(`its body is over the ${maxBytes} bytes of a cassette`))
        : Effect.succeed({ chunks, bytes: total })
    }
  )
  return Effect.map(read, ({ chunks }) => new Uint8Array(Buffer.concat(chunks)))
}

/** A form's boundary is made by chance; in a cassette it is this word. */
const boundary = "boundary"

/** What says more of an answer than the body does; other request headers are not kept, so that none can leak. */
const keptHeaders = ["accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta"]

const pick = (headers: Headers.Headers, names: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(
    names
      .map((name) => [name.toLowerCase(), headers[name.toLowerCase()]] as const)
      .flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  )

/** The form in which requests are kept and compared. `headers` are kept beside the usual ones. */
export const recordOf = (
  { bytes, contentType, request, url }: Asked,
  headers: ReadonlyArray<string>
): RequestRecord => {
  const whole = new URL(url)
  whole.username = ""
  whole.password = ""
  whole.hash = ""
  const type = contentType?.toLowerCase() ?? ""
  const chosen = type.startsWith("multipart/") ? /boundary="?([^";]+)/i.exec(contentType ?? "")?.[1] : undefined
  const kept = pick(request.headers, [...new Set([...keptHeaders, ...headers])])
  if (contentType !== undefined) {
    kept["content-type"] = chosen === undefined ? contentType : contentType.replace(chosen, boundary)
  }
  return {
    method: request.method,
    url: whole.href,
    headers: kept,
    ...(bytes === undefined ? undefined : bodyOf(chosen === undefined ? bytes : unbound(bytes, chosen), type))
  }
}

const unbound = (bytes: Uint8Array, chosen: string): Uint8Array =>
  Buffer.from(Buffer.from(bytes).toString("latin1").replaceAll(chosen, boundary), "latin1")

const bodyOf = (bytes: Uint8Array, type: string): Pick<RequestRecord, "body" | "bodyBase64" | "bodyText"> => {
  const [encoding, text] = toText(bytes)
  if (encoding === "base64") return { bodyBase64: text }
  const json = type === "" || type.includes("json") ? parseJson(text) : undefined
  return json === undefined ? { bodyText: text } : { body: json }
}

/** `undefined` where the text is no JSON. */
export const parseJson = (text: string): Json | undefined => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
