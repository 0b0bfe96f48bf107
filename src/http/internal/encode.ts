/** Request bodies as undici takes them. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpBody from "effect/http/HttpBody"
import * as Stream from "effect/Stream"
import type { Dispatcher } from "undici"
import { BodyFailure } from "./bodyFailure.ts"

type Body = NonNullable<Dispatcher.DispatchOptions["body"]>

export interface Encoded {
  readonly body: Body | null
  /** Headers that only the encoded body knows, such as a form's boundary. */
  readonly headers?: Readonly<Record<string, string>>
  /** Of a body that is made while it is sent. Absent for one that is at hand. */
  readonly progress?: { isStarted: boolean }
}

/** Whether it is certain that no byte of the body has left. */
export const isUnsent = ({ body, progress }: Encoded): boolean => body === null || progress?.isStarted === false

/** The body as undici takes it. Bodies that are made while they are sent begin anew at each send. */
export const encodeBody = (body: HttpBody.HttpBody): Effect.Effect<Encoded, unknown> => {
  switch (body._tag) {
    case "Empty":
      return Effect.succeed({ body: null })
    case "Uint8Array":
      return Effect.succeed({ body: body.body })
    case "Raw":
      return typeof body.body === "string" || body.body instanceof Uint8Array
        ? Effect.succeed({ body: body.body })
        : Effect.fail(new TypeError("a raw body must be a string or a Uint8Array"))
    case "FormData":
      return Effect.tryPromise(async () => {
        // The platform's own encoder: it streams files and chooses the boundary.
        const encoded = new Request("http://localhost", { method: "POST", body: body.formData })
        const { Readable } = await import("node:stream")
        const contentType = encoded.headers.get("content-type") ?? "multipart/form-data"
        return {
          body: Readable.from(encoded.body ?? []),
          progress: { isStarted: true },
          headers: { "content-type": contentType }
        }
      })
    case "Stream":
      return encodeStream(body.stream)
  }
}

const encodeStream = (stream: Stream.Stream<Uint8Array, unknown>): Effect.Effect<Encoded> => {
  const progress = { isStarted: false }
  const marked = stream.pipe(
    // What the program throws in its stream is its own failure too, and no reason to send again.
    Stream.catchCause((cause) => Stream.fail(new BodyFailure({ cause: Cause.squash(cause) }))),
    Stream.tap(() =>
      Effect.sync(() => {
        progress.isStarted = true
      })
    )
  )
  return Effect.flatMap(Stream.toReadableStreamEffect(marked), (source) =>
    Effect.promise(async () => {
      const { Readable } = await import("node:stream")
      return { body: Readable.from(source), progress }
    })
  )
}
