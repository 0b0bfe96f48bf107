/** The files of a sandbox on a server. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Files } from "../Sandbox.ts"
import type { SandboxError } from "../SandboxError.ts"
import type { RestApi } from "./restApi.ts"

/** Uses the sandbox, where it is there and has files. */
export type Use = <A>(
  operation: string,
  use: (api: RestApi, id: string) => Effect.Effect<A, SandboxError>
) => Effect.Effect<A, SandboxError>

const maxPiece = 64 * 1024

const pieces = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / maxPiece) }, (_, index) =>
    bytes.subarray(index * maxPiece, (index + 1) * maxPiece)
  )

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What an upload's own stream failed with, which the request does not carry through. */
class Own<E> {
  failure: { readonly error: E } | undefined
}

const upload =
  (use: Use): Files["upload"] =>
  <E, R>(path: string, data: Stream.Stream<Uint8Array, E, R>) =>
    Effect.contextWith((context: Context.Context<R>) => {
      const own = new Own<E>()
      const watched = Stream.tapError(Stream.provideContext(data, context), (error) =>
        Effect.sync(() => {
          own.failure = { error }
        })
      )
      const sent = use("files.upload", (api, id) => api.uploadFile(id, path, watched))
      return Effect.mapError(sent, (error): E | SandboxError => (own.failure === undefined ? error : own.failure.error))
    })

export const make = (use: Use): Files => {
  const read: Files["read"] = (path) => use("files.read", (api, id) => api.readFile(id, path))
  return {
    read,
    readText: (path) => Effect.map(read(path), (bytes) => decoder.decode(bytes)),
    write: (path, data) =>
      use("files.write", (api, id) => api.writeFile(id, path, typeof data === "string" ? encoder.encode(data) : data)),
    list: (path) => use("files.list", (api, id) => api.listFiles(id, path)),
    remove: (path) => use("files.remove", (api, id) => api.removeFile(id, path)),
    upload: upload(use),
    download: (path) =>
      Stream.unwrap(use("files.download", (api, id) => Effect.succeed(api.downloadFile(id, path)))).pipe(
        Stream.flatMap((bytes) => Stream.fromIterable(pieces(bytes)))
      )
  }
}
