/**
 * Moves files from one guest of a session to another, so that its languages see the same ones.
 *
 * The parent carries them: the two processes share nothing, and what a guest may do to the other one is to give it
 * files. Only what changed since the last time is moved. Paths are made of names that the guest gave, checked by
 * `fileFrame.ts`, and go nowhere but to the other guest.
 */
import * as Effect from "effect/Effect"
import { SessionLost } from "../SandboxError.ts"
import type { Child } from "./child.ts"
import { pieceBytes, type FileAnswer, type FileEntry, type FileQuestion } from "./fileFrame.ts"
import { pathChars } from "./guestFiles.ts"

/** What cannot be done with a file, as the guest says it. */
export interface Refused {
  readonly _tag: "Refused"
  readonly path: string
  readonly answer: Extract<FileAnswer, { readonly kind: "refused" }>
}

type Kind = FileAnswer["kind"]

/** Asks a question whose answer has one kind, or is a refusal. */
export const ask = <K extends Kind>(
  child: Child,
  question: FileQuestion,
  kind: K
): Effect.Effect<Extract<FileAnswer, { readonly kind: K }>, SessionLost | Refused> =>
  Effect.flatMap(child.ask(question), (answer) => {
    if (isKind(answer, kind)) return Effect.succeed(answer)
    if (answer.kind === "refused")
      return Effect.fail<SessionLost | Refused>({ _tag: "Refused", path: question.path, answer })
    return child
      .kill("protocol", "the guest answered another question about a file")
      .pipe(Effect.andThen(Effect.suspend(() => Effect.fail(child.loss ?? unanswered))))
  })

const unanswered = new SessionLost({ why: "protocol", description: "the guest did not answer about a file" })

const isKind = <K extends Kind>(answer: FileAnswer, kind: K): answer is Extract<FileAnswer, { readonly kind: K }> =>
  answer.kind === kind

/** Bytes of a file from `at`; shorter than `length` only at its end. */
export const read = (
  child: Child,
  path: string,
  at: number,
  length: number
): Effect.Effect<Uint8Array, SessionLost | Refused> =>
  Effect.flatMap(ask(child, { op: "read", path, at, length }, "data"), ({ data }) => {
    const bytes = new Uint8Array(Buffer.from(data, "base64"))
    return bytes.length <= length
      ? Effect.succeed(bytes)
      : Effect.andThen(
          child.kill("protocol", "the guest gave more of a file than it was asked for"),
          Effect.suspend(() => Effect.fail(child.loss ?? unanswered))
        )
  })

/** Writes a piece: the first makes the file and its folders, or empties it. */
export const write = (
  child: Child,
  path: string,
  bytes: Uint8Array,
  isFirst: boolean
): Effect.Effect<unknown, SessionLost | Refused> =>
  ask(child, { op: isFirst ? "create" : "append", path, data: Buffer.from(bytes).toString("base64") }, "done")

/** All entries of a folder. */
export const list = Effect.fnUntraced(function* (child: Child, path: string, limit: number) {
  const entries: Array<FileEntry> = []
  for (let more = true; more;) {
    const page = yield* ask(child, { op: "list", path, at: entries.length }, "list")
    for (const entry of page.entries) entries.push(entry)
    more = page.more
    // Its own quota would have stopped an honest guest long before.
    if (entries.length > limit) {
      yield* child.kill("protocol", "the guest told of more files than it may hold")
      return yield* Effect.fail(child.loss ?? unanswered)
    }
  }
  return entries
})

/** Files and folders by path, in an order in which a folder comes before what it holds. */
type Tree = ReadonlyMap<string, Pick<FileEntry, "type" | "stamp">>

/** The folders that every guest has for its user; beside them, what was made at the root since it started. */
const roots = new Set(["/home", "/tmp"])

const walk = Effect.fnUntraced(function* (child: Child, limit: number) {
  const tree = new Map<string, Pick<FileEntry, "type" | "stamp">>()
  const folders = [""]
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    for (const { name, type, stamp } of yield* list(child, at === "" ? "/" : at, limit - tree.size)) {
      const path = `${at}/${name}`
      if (path.length > pathChars || (at === "" && stamp === 0 && !roots.has(path))) continue
      if (type === "folder") folders.push(path)
      if (type === "folder" || (type === "file" && stamp > 0)) tree.set(path, { type, stamp })
    }
  }
  return tree
})

const copy = Effect.fnUntraced(function* (from: Child, to: Child, path: string) {
  for (let at = 0; ; at += pieceBytes) {
    const bytes = yield* read(from, path, at, pieceBytes)
    if (at === 0 || bytes.length > 0) yield* write(to, path, bytes, at === 0)
    if (bytes.length < pieceBytes) return
  }
})

/** A file that is gone, or was never there, needs no removal. */
const remove = (child: Child, path: string) =>
  ask(child, { op: "remove", path }, "done").pipe(
    Effect.catchTag("Refused", (refused) => (refused.answer.why === "notFound" ? Effect.void : Effect.fail(refused)))
  )

/** What each guest held when files were last moved. */
export class Mirror {
  private readonly known = new Map<Child, Tree>()
  private readonly limit: number

  /** `fileCount` is the quota of each guest. */
  constructor(fileCount: number) {
    // Beside the quota, the guest's own files; a new engine's are a few hundred.
    this.limit = fileCount + 10_000
  }

  /** Makes the files of `to` those of `from`. What is interrupted half-way is done again the next time. */
  move(from: Child, to: Child): Effect.Effect<void, SessionLost | Refused> {
    const { known, limit } = this
    return Effect.gen(function* () {
      const before = known.get(from) ?? new Map()
      const now = yield* walk(from, limit)
      for (const [path, { type }] of before) if (now.get(path)?.type !== type) yield* remove(to, path)
      for (const [path, { type, stamp }] of now) {
        if (before.get(path)?.stamp === stamp) continue
        if (type === "folder") yield* ask(to, { op: "folder", path }, "done")
        else yield* copy(from, to, path)
      }
      known.set(from, now)
      known.set(to, yield* walk(to, limit))
    })
  }
}
