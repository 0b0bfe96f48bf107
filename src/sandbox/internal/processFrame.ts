/**
 * The lines that ProcessSandbox and its keeper exchange: one JSON object per line. The keeper is a process inside the
 * wall; programs of the guest run beside it with the same rights, so the parent believes its lines no further than
 * they are bounded: they carry the session's nonce, are read by own properties, and decide no timeout and no kill.
 * No Effect here: the keeper imports this file, and it must start fast.
 */
import { count, fields, flag, own, parse, strings, text, type Fields } from "./fields.ts"
import { decodeFileReply, decodeFileRequest, type FileReply, type FileRequest } from "./fileFrame.ts"

/** What a kernel interprets. TypeScript is JavaScript by then. */
export type KernelLanguage = "python" | "javascript" | "bash"

type Argv = ReadonlyArray<string>

/** The first line to a keeper. */
export interface Boot {
  readonly nonce: string
  readonly home: string
  /** What starts each kernel; empty where there is none. */
  readonly kernels: Readonly<Record<KernelLanguage, Argv>>
  readonly env: Readonly<Record<string, string>>
  readonly outputBytes: number
  readonly resultBytes: number
}

/** Run this. `id` counts from 1, over runs and commands. */
export interface Run {
  readonly t: "run"
  readonly id: number
  /** Names the variables that it sees; the kernel starts when its name first comes. */
  readonly kernel: string
  readonly language: KernelLanguage
  readonly code: string
  /** The code is TypeScript: its types are taken off first, in the guest, where a slow parser meets the timeout. */
  readonly isTyped: boolean
  /** Over the session's, for this run alone. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/** Run this command line in a shell of its own. */
export interface Command {
  readonly t: "command"
  readonly id: number
  readonly command: string
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Base64; `undefined` closes the standard input. */
  readonly stdin: string | undefined
}

/** What the parent asks for. `"stop"` asks the program politely, `"kill"` does not ask. */
export type Request = Run | Command | { readonly t: "stop" | "kill"; readonly id: number } | FileRequest

/** What a program raised. */
export interface Raised {
  readonly name: string
  readonly value: string
  readonly traceback: string
}

/** How a run or a command ended by itself, as its kernel or its exit code says. */
export interface End {
  readonly t: "end"
  readonly id: number
  readonly ok: boolean
  readonly error: Raised | undefined
  readonly exitCode: number
  readonly truncated: boolean
}

/** A line from the keeper. `"died"`: the kernel's process ended while it ran `id`. */
export type Reply =
  | { readonly t: "ready" }
  | { readonly t: "out"; readonly id: number; readonly stream: "stdout" | "stderr"; readonly text: string }
  | { readonly t: "result"; readonly id: number; readonly result: Readonly<Record<string, string>> }
  | End
  | { readonly t: "died"; readonly id: number; readonly how: string; readonly isOutOfMemory: boolean }
  | FileReply

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

/** What a kernel says of a run's end, without the run. */
export const decodeVerdict = (from: Fields): Pick<End, "ok" | "error" | "exitCode"> | undefined => {
  const ok = flag(from, "ok")
  const exitCode = count(from, "exitCode")
  const error = raised(own(from, "error"))
  if (ok === undefined || exitCode === undefined || exitCode > 255) return undefined
  return { ok, error: ok ? undefined : error, exitCode: ok ? 0 : exitCode }
}

const end = (from: Fields): End | undefined => {
  const id = count(from, "id")
  const verdict = decodeVerdict(from)
  const truncated = flag(from, "truncated")
  return id === undefined || verdict === undefined || truncated === undefined
    ? undefined
    : { t: "end", id, ...verdict, truncated }
}

const decoders: Readonly<Record<string, (from: Fields) => Reply | undefined>> = {
  ready: () => ({ t: "ready" }),
  out: (from) => {
    const id = count(from, "id")
    const stream = text(from, "stream")
    const data = text(from, "text")
    return id === undefined || data === undefined || (stream !== "stdout" && stream !== "stderr")
      ? undefined
      : { t: "out", id, stream, text: data }
  },
  result: (from) => {
    const id = count(from, "id")
    const result = strings(own(from, "result"))
    return id === undefined || result === undefined ? undefined : { t: "result", id, result }
  },
  end,
  died: (from) => {
    const id = count(from, "id")
    const how = (text(from, "how") ?? "").slice(0, 500)
    return id === undefined ? undefined : { t: "died", id, how, isOutOfMemory: flag(from, "isOutOfMemory") ?? false }
  },
  file: decodeFileReply
}

/** Reads a line of the keeper; `undefined` for anything but a well-formed reply that carries the nonce. */
export const decodeReply = (line: string, nonce: string): Reply | undefined => {
  const from = parse(line)
  if (from === undefined || own(from, "n") !== nonce) return undefined
  const kind = text(from, "t")
  const decode = kind !== undefined && Object.hasOwn(decoders, kind) ? decoders[kind] : undefined
  return decode?.(from)
}

const argv = (value: unknown): Argv =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : []

/** Reads the first line of the parent. */
export const decodeBoot = (line: string): Boot | undefined => {
  const from = parse(line)
  const kernels = from === undefined ? undefined : fields(own(from, "kernels"))
  if (from === undefined || kernels === undefined) return undefined
  return {
    nonce: text(from, "nonce") ?? "",
    home: text(from, "home") ?? "/",
    kernels: {
      python: argv(own(kernels, "python")),
      javascript: argv(own(kernels, "javascript")),
      bash: argv(own(kernels, "bash"))
    },
    env: strings(own(from, "env")) ?? {},
    outputBytes: count(from, "outputBytes") ?? 0,
    resultBytes: count(from, "resultBytes") ?? 0
  }
}

const languages = ["python", "javascript", "bash"] as const

/** Reads what the parent asks for. */
export const decodeRequest = (line: string): Request | undefined => {
  const from = parse(line)
  const id = from === undefined ? undefined : count(from, "id")
  if (from === undefined || id === undefined) return undefined
  const kind = own(from, "t")
  const where = { id, env: strings(own(from, "env")) ?? {}, cwd: text(from, "cwd") ?? "/" }
  switch (kind) {
    case "file":
      return decodeFileRequest(from)
    case "stop":
    case "kill":
      return { t: kind, id }
    case "command":
      return { t: kind, ...where, command: text(from, "command") ?? "", stdin: text(from, "stdin") }
    case "run": {
      const language = languages.find((item) => item === own(from, "language"))
      const kernel = text(from, "kernel")
      if (language === undefined || kernel === undefined) return undefined
      return {
        t: kind,
        ...where,
        kernel,
        language,
        code: text(from, "code") ?? "",
        isTyped: flag(from, "isTyped") ?? false
      }
    }
    default:
      return undefined
  }
}
