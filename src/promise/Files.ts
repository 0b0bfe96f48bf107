/** The files of a sandbox session for plain programs: bytes and texts whole, or as they come. */
import * as Effect from "effect/Effect"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import type * as Effectful from "../sandbox/Sandbox.ts"
import { type Calls, heard, run } from "./Bridge.ts"
import { signalOf } from "./internal/callOptions.ts"
import { readingBytes } from "./internal/reading.ts"
import { checkOptions, checkText } from "./internal/runOptions.ts"
import type { SandboxCalls } from "./internal/sandboxCalls.ts"
import type { RequestOptions } from "./Options.ts"
import type { Flow } from "./Reading.ts"
import { toDuration } from "./Time.ts"

/** What a file is uploaded from. It is read once. */
export type FileSource = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Blob

/** `timeout` bounds the whole call. Default: none. */
export interface FileOptions extends RequestOptions {}

/**
 * The guest's files. A path that is not absolute is meant from the guest's home. All languages and contexts of a session
 * see the same files. What cannot be done rejects with `FileFailed`.
 */
export interface Files {
  /** Reads a whole file. */
  readonly read: (path: string, options?: FileOptions) => Promise<Uint8Array>
  /** Reads a whole file as UTF-8. */
  readonly readText: (path: string, options?: FileOptions) => Promise<string>
  /** Writes a whole file, over what was there, and makes the folders that it needs. Text is written as UTF-8. */
  readonly write: (path: string, data: string | Uint8Array, options?: FileOptions) => Promise<void>
  /** What a folder holds, by name. Default: the guest's home. */
  readonly list: (path?: string, options?: FileOptions) => Promise<ReadonlyArray<Effectful.FileInfo>>
  /** Removes a file, or a folder with all that it holds. */
  readonly remove: (path: string, options?: FileOptions) => Promise<void>
  /**
   * Writes a file from a stream, which is cancelled when the upload ends before it does; a file that was not written to
   * its end is removed. Rejects with the stream's own error when that fails.
   */
  readonly upload: (path: string, data: FileSource, options?: FileOptions) => Promise<void>
  /** Reads a file in pieces of at most 64 KiB. Leaving the loop ends the reading. */
  readonly download: (path: string, options?: FileOptions) => Flow<Uint8Array>
}

const isReadable = (u: unknown): u is ReadableStream<unknown> =>
  typeof u === "object" && u !== null && "getReader" in u && typeof u.getReader === "function"

const isIterable = (u: unknown): u is AsyncIterable<unknown> =>
  typeof u === "object" && u !== null && Symbol.asyncIterator in u

const isBytes = (u: unknown): u is Uint8Array => u instanceof Uint8Array

const self = (error: unknown): unknown => error

const anything = (source: unknown): Stream.Stream<unknown, unknown> => {
  // Not every runtime can loop over a ReadableStream.
  if (isReadable(source)) return Stream.fromReadableStream({ evaluate: () => source, onError: self })
  if (source instanceof Blob)
    return Stream.fromReadableStream<unknown, unknown>({ evaluate: () => source.stream(), onError: self })
  if (isIterable(source)) return Stream.fromAsyncIterable(source, self)
  throw new TypeError(
    "data: give a ReadableStream, an AsyncIterable or a Blob of bytes; `write` takes texts and whole bytes"
  )
}

const toBytes = (source: unknown): Stream.Stream<Uint8Array, unknown> =>
  Stream.mapEffect(anything(source), (piece) =>
    isBytes(piece)
      ? Effect.succeed(piece)
      : Effect.fail(new TypeError(`data: a ${typeof piece} came, not a Uint8Array; encode texts first`))
  )

const checkData = (data: unknown): void => {
  if (typeof data === "string" || isBytes(data)) return
  throw new TypeError("data: give a text or a Uint8Array; `upload` takes streams")
}

const timeOf = ({ timeout }: FileOptions) => (timeout === undefined ? undefined : toDuration(timeout, "timeout"))

/** The files of this session. */
export const make = <R>(
  files: Effectful.Files,
  runtime: ManagedRuntime.ManagedRuntime<R, unknown>,
  calls: Calls,
  around: SandboxCalls
): Files => {
  const call = <A>(path: unknown, options: FileOptions, make: () => Effect.Effect<A, unknown, R>): Promise<A> =>
    heard(() => {
      checkText(path, "path")
      checkOptions(options, "call")
      return run(around.within(make(), options, timeOf(options)), runtime, calls, options.signal)
    }, 2)
  return {
    read: (path, options = {}) => call(path, options, () => files.read(path)),
    readText: (path, options = {}) => call(path, options, () => files.readText(path)),
    write: (path, data, options = {}) =>
      call(path, options, () => {
        checkData(data)
        return files.write(path, data)
      }),
    list: (path, options = {}) => call(path ?? "", options, () => files.list(path)),
    remove: (path, options = {}) => call(path, options, () => files.remove(path)),
    upload: (path, data, options = {}) => call(path, options, () => files.upload(path, toBytes(data))),
    download: (path, options = {}) => {
      // What is wrong with a stream's options fails its first pull.
      const pieces = Stream.suspend(() => {
        checkText(path, "path")
        checkOptions(options, "call")
        return around.stream(files.download(path), options, timeOf(options))
      })
      return readingBytes(pieces, runtime, calls, signalOf(options))
    }
  }
}
