/**
 * The lines that the parent and the guest process exchange: one JSON object per line.
 *
 * The guest process is untrusted: its lines carry the session's nonce and are read by own properties only; whatever is
 * not exactly one of the shapes below reads as `undefined`, and the parent kills the process. No Effect here: the
 * guest process imports this file, and it must start fast.
 */
import { count, fields, flag, own, parse, strings, text, type Fields } from "./fields.ts"
import { decodeFileReply, decodeFileRequest, type FileReply, type FileRequest } from "./fileFrame.ts"

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
  readonly t: "run"
  readonly id: number
  readonly code: string
  /** The code is TypeScript: its types are taken off first. */
  readonly isTyped: boolean
  /** Whose variables it sees: `0` for the session's own. A context is made when its number first comes. */
  readonly context: number
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/** What the parent asks for. */
export type Request = Run | FileRequest

/** What each result costs beside its text, in bytes: the parent keeps an empty one too. */
export const resultCost = 256

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
  | FileReply
  | { readonly t: "gone"; readonly why: "exited" | "violation" | "crashed" | "outOfMemory"; readonly what: string }

const raised = (value: unknown): Raised | undefined => {
  const from = fields(value)
  if (from === undefined) return undefined
  const name = text(from, "name")
  const message = text(from, "value")
  const traceback = text(from, "traceback")
  return name === undefined || message === undefined || traceback === undefined
    ? undefined
    : { name, value: message, traceback }
}

const end = (from: Fields): End | undefined => {
  const id = count(from, "id")
  const ok = flag(from, "ok")
  const exitCode = count(from, "exitCode")
  const memoryBytes = count(from, "memoryBytes")
  const truncated = flag(from, "truncated")
  if (id === undefined || ok === undefined || exitCode === undefined) return undefined
  if (memoryBytes === undefined || truncated === undefined) return undefined
  const error = raised(own(from, "error"))
  if (!ok && error === undefined) return undefined
  return { t: "end", id, ok, error: ok ? undefined : error, exitCode, memoryBytes, truncated }
}

const reasons = ["exited", "violation", "crashed", "outOfMemory"] as const

const decoders: Readonly<Record<string, (fields: Fields) => Reply | undefined>> = {
  ready: () => ({ t: "ready" }),
  out: (from) => {
    const stream = text(from, "stream")
    const data = text(from, "text")
    return data === undefined || (stream !== "stdout" && stream !== "stderr")
      ? undefined
      : { t: "out", stream, text: data }
  },
  result: (from) => {
    const result = strings(own(from, "result"))
    return result === undefined ? undefined : { t: "result", result }
  },
  end,
  file: decodeFileReply,
  gone: (from) => {
    const why = reasons.find((reason) => reason === own(from, "why"))
    return why === undefined ? undefined : { t: "gone", why, what: text(from, "what") ?? "" }
  }
}

/** Reads a line of the guest; `undefined` for anything but a well-formed reply that carries the nonce. */
export const decodeReply = (line: string, nonce: string): Reply | undefined => {
  const from = parse(line)
  if (from === undefined || own(from, "n") !== nonce) return undefined
  const kind = text(from, "t")
  const decode = kind !== undefined && Object.hasOwn(decoders, kind) ? decoders[kind] : undefined
  return decode?.(from)
}

/** Reads the first line of the parent. */
export const decodeBoot = (line: string): Boot | undefined => {
  const from = parse(line)
  if (from === undefined) return undefined
  const language = own(from, "language")
  if (language !== "python" && language !== "javascript") return undefined
  return {
    language,
    nonce: text(from, "nonce") ?? "",
    snapshotOnly: flag(from, "snapshotOnly") ?? false,
    engine: text(from, "engine") ?? "",
    variant: text(from, "variant") ?? "",
    snapshot: text(from, "snapshot") ?? "",
    memoryBytes: count(from, "memoryBytes") ?? 0,
    fileBytes: count(from, "fileBytes") ?? 0,
    fileCount: count(from, "fileCount") ?? 0,
    outputBytes: count(from, "outputBytes") ?? 0,
    resultBytes: count(from, "resultBytes") ?? 0,
    env: strings(own(from, "env")) ?? {}
  }
}

/** Reads what the parent asks for. */
export const decodeRequest = (line: string): Request | undefined => {
  const from = parse(line)
  if (from === undefined) return undefined
  if (own(from, "t") === "file") return decodeFileRequest(from)
  const id = count(from, "id")
  const code = text(from, "code")
  if (own(from, "t") !== "run" || id === undefined || code === undefined) return undefined
  return {
    t: "run",
    id,
    code,
    isTyped: flag(from, "isTyped") ?? false,
    context: count(from, "context") ?? 0,
    env: strings(own(from, "env")) ?? {},
    cwd: text(from, "cwd") ?? ""
  }
}
