/**
 * The lines that the parent and the guest process exchange: one JSON object per line.
 *
 * The guest process is untrusted: its lines carry the session's nonce and are read by own properties only; whatever is
 * not exactly one of the shapes below reads as `undefined`, and the parent kills the process. No Effect here: the
 * guest process imports this file, and it must start fast.
 */

/** The first line to a guest: who it is and what it may use. */
export interface Boot {
  readonly nonce: string
  readonly language: "python" | "javascript"
  /** Make a snapshot of the booted engine on stdout instead of serving. */
  readonly snapshotOnly: boolean
  /** Folder or module of the engine. */
  readonly engine: string
  /** Second module of the engine, where there is one. */
  readonly variant: string
  /** Snapshot file, or `""` for a boot without one. */
  readonly snapshot: string
  readonly memoryBytes: number
  readonly fileBytes: number
  readonly fileCount: number
  readonly outputBytes: number
  readonly resultBytes: number
  readonly env: Readonly<Record<string, string>>
}

/** Run this. `id` counts from 1. */
export interface Run {
  readonly id: number
  readonly code: string
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/** What the guest raised. */
export interface Raised {
  readonly name: string
  readonly value: string
  readonly traceback: string
}

/** The end of a run, as the engine's own C interface reported it. */
export interface End {
  readonly t: "end"
  readonly id: number
  readonly ok: boolean
  readonly error: Raised | undefined
  readonly exitCode: number
  readonly memoryBytes: number
  readonly truncated: boolean
}

/** A line from the guest. */
export type Reply =
  | { readonly t: "ready" }
  | { readonly t: "out"; readonly stream: "stdout" | "stderr"; readonly text: string }
  | { readonly t: "result"; readonly result: Readonly<Record<string, string>> }
  | End
  | { readonly t: "gone"; readonly why: "exited" | "violation" | "crashed" | "outOfMemory"; readonly what: string }

type Fields = Readonly<Record<string, unknown>>

const isFields = (u: unknown): u is Fields => typeof u === "object" && u !== null && !Array.isArray(u)

const parse = (line: string): Fields | undefined => {
  try {
    const value: unknown = JSON.parse(line)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

const own = (fields: Fields, key: string): unknown => (Object.hasOwn(fields, key) ? fields[key] : undefined)

const text = (fields: Fields, key: string): string | undefined => {
  const value = own(fields, key)
  return typeof value === "string" ? value : undefined
}

const count = (fields: Fields, key: string): number | undefined => {
  const value = own(fields, key)
  return typeof value === "number" && Number.isSafeInteger(value) ? value : undefined
}

const flag = (fields: Fields, key: string): boolean | undefined => {
  const value = own(fields, key)
  return typeof value === "boolean" ? value : undefined
}

/** A record of strings, copied into an object without a prototype; `undefined` when it is anything else. */
export const strings = (value: unknown): Readonly<Record<string, string>> | undefined => {
  if (!isFields(value)) return undefined
  const copy: Record<string, string> = Object.create(null)
  for (const key of Object.keys(value)) {
    const item = value[key]
    if (typeof item !== "string") return undefined
    copy[key] = item
  }
  return copy
}

const raised = (value: unknown): Raised | undefined => {
  if (!isFields(value)) return undefined
  const name = text(value, "name")
  const message = text(value, "value")
  const traceback = text(value, "traceback")
  return name === undefined || message === undefined || traceback === undefined
    ? undefined
    : { name, value: message, traceback }
}

const end = (fields: Fields): End | undefined => {
  const id = count(fields, "id")
  const ok = flag(fields, "ok")
  const exitCode = count(fields, "exitCode")
  const memoryBytes = count(fields, "memoryBytes")
  const truncated = flag(fields, "truncated")
  if (id === undefined || ok === undefined || exitCode === undefined) return undefined
  if (memoryBytes === undefined || truncated === undefined) return undefined
  const error = raised(own(fields, "error"))
  if (!ok && error === undefined) return undefined
  return { t: "end", id, ok, error: ok ? undefined : error, exitCode, memoryBytes, truncated }
}

const reasons = ["exited", "violation", "crashed", "outOfMemory"] as const

const decoders: Readonly<Record<string, (fields: Fields) => Reply | undefined>> = {
  ready: () => ({ t: "ready" }),
  out: (fields) => {
    const stream = text(fields, "stream")
    const data = text(fields, "text")
    return data === undefined || (stream !== "stdout" && stream !== "stderr")
      ? undefined
      : { t: "out", stream, text: data }
  },
  result: (fields) => {
    const result = strings(own(fields, "result"))
    return result === undefined ? undefined : { t: "result", result }
  },
  end,
  gone: (fields) => {
    const why = reasons.find((reason) => reason === own(fields, "why"))
    return why === undefined ? undefined : { t: "gone", why, what: text(fields, "what") ?? "" }
  }
}

/** Reads a line of the guest; `undefined` for anything but a well-formed reply that carries the nonce. */
export const decodeReply = (line: string, nonce: string): Reply | undefined => {
  const fields = parse(line)
  if (fields === undefined || own(fields, "n") !== nonce) return undefined
  const kind = text(fields, "t")
  const decode = kind !== undefined && Object.hasOwn(decoders, kind) ? decoders[kind] : undefined
  return decode?.(fields)
}

/** Reads the first line of the parent. */
export const decodeBoot = (line: string): Boot | undefined => {
  const fields = parse(line)
  if (fields === undefined) return undefined
  const language = own(fields, "language")
  if (language !== "python" && language !== "javascript") return undefined
  return {
    language,
    nonce: text(fields, "nonce") ?? "",
    snapshotOnly: flag(fields, "snapshotOnly") ?? false,
    engine: text(fields, "engine") ?? "",
    variant: text(fields, "variant") ?? "",
    snapshot: text(fields, "snapshot") ?? "",
    memoryBytes: count(fields, "memoryBytes") ?? 0,
    fileBytes: count(fields, "fileBytes") ?? 0,
    fileCount: count(fields, "fileCount") ?? 0,
    outputBytes: count(fields, "outputBytes") ?? 0,
    resultBytes: count(fields, "resultBytes") ?? 0,
    env: strings(own(fields, "env")) ?? {}
  }
}

/** Reads a run that the parent asks for. */
export const decodeRun = (line: string): Run | undefined => {
  const fields = parse(line)
  if (fields === undefined) return undefined
  const id = count(fields, "id")
  const code = text(fields, "code")
  if (id === undefined || code === undefined) return undefined
  return { id, code, env: strings(own(fields, "env")) ?? {}, cwd: text(fields, "cwd") ?? "" }
}
