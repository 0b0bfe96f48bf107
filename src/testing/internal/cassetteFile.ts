/** A cassette's file: read whole, and replaced whole by a rename, so that no half of a recording is ever seen. */
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import * as Fs from "node:fs/promises"
import { dirname } from "node:path"
import { CassetteError } from "./cassetteError.ts"
import { type Exchange, parse, print } from "./cassetteFormat.ts"

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

const saidBy = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** The longest word of a parser that is told. */
const maxSaid = 200

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").slice(0, maxSaid)

/** `undefined` where there is no file. */
const readable = <A>(path: string, read: () => Promise<A>): Effect.Effect<A | undefined, CassetteError> =>
  Effect.catch(Effect.tryPromise({ try: read, catch: (cause) => cause }), (cause) => {
    if (codeOf(cause) === "ENOENT") return Effect.succeed(undefined)
    const description = `cannot be read: ${oneLine(saidBy(cause))}`
    return Effect.fail(new CassetteError({ path, reason: "corrupt", description, cause }))
  })

/** The exchanges of a file; `undefined` where there is none. */
export const load = Effect.fnUntraced(function* (
  path: string,
  maxBytes: number
): Effect.fn.Return<ReadonlyArray<Exchange> | undefined, CassetteError> {
  const stat = yield* readable(path, () => Fs.stat(path))
  if (stat !== undefined && stat.size > maxBytes) {
    const description = `has ${stat.size} bytes, and may have ${maxBytes}: raise \`maxBytes\``
    return yield* new CassetteError({ path, reason: "tooLarge", description })
  }
  const text = yield* readable(path, () => Fs.readFile(path, "utf8"))
  if (text === undefined) return undefined
  const file = yield* Effect.mapError(parse(text), (cause) => {
    const description = `is not a cassette: ${oneLine(cause.message)}; record it again with mode "record"`
    return new CassetteError({ path, reason: "corrupt", description, cause })
  })
  return file.exchanges
})

const unwritable = (path: string) => (cause: unknown) =>
  new CassetteError({ path, reason: "unwritable", description: `cannot be saved: ${oneLine(saidBy(cause))}`, cause })

/** Makes the folder, and fails now if nothing can be saved there later. */
export const prepare = (path: string): Effect.Effect<void, CassetteError> =>
  Effect.tryPromise({
    try: async () => {
      await Fs.mkdir(dirname(path), { recursive: true })
      await Fs.access(dirname(path), Fs.constants.W_OK)
    },
    catch: unwritable(path)
  })

/** Replaces the file. */
export const save = (
  path: string,
  exchanges: ReadonlyArray<Exchange>,
  maxBytes: number
): Effect.Effect<void, CassetteError> => {
  const text = print(exchanges)
  const bytes = Buffer.byteLength(text)
  // Escapes and base64 take more room than what was weighed; a file that cannot be read again is none.
  if (bytes > maxBytes) {
    const description = `would have ${bytes} bytes, and may have ${maxBytes}: raise \`maxBytes\``
    return Effect.fail(new CassetteError({ path, reason: "tooLarge", description }))
  }
  const beside = `${path}.${randomUUID()}.tmp`
  return Effect.tryPromise({
    try: async () => {
      await Fs.writeFile(beside, text, { flag: "wx" })
      await Fs.rename(beside, path)
    },
    catch: unwritable(path)
  }).pipe(
    Effect.onError(() => Effect.promise(() => Fs.rm(beside, { force: true }))),
    Effect.uninterruptible
  )
}
