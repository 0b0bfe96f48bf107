/**
 * Answers of servers that speak the REST protocol, or nearly: under the names that are in use, and with what is missing
 * filled in. What has nothing of a run in it is no run.
 */
import * as Result from "effect/Result"
import type { Execution, ExecutionError, FileInfo, Language, MimeBundle } from "../Sandbox.ts"
import { type Fields, fields, flag, own, text } from "./fields.ts"

/** What a server has beside `execute`. */
export type Feature = "timeout" | "interrupt" | "contexts" | "lifetime" | "commands" | "files"

const first = (from: Fields, ...keys: ReadonlyArray<string>): unknown => {
  for (const key of keys) {
    const value = own(from, key)
    if (value !== undefined && value !== null) return value
  }
  return undefined
}

const words = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)
const number = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

/** A sandbox as the server made it. */
export interface Made {
  readonly id: string
  readonly languages: ReadonlyArray<Language> | undefined
  readonly features: ReadonlyArray<Feature> | undefined
  readonly engine: string | undefined
}

const languages = new Set<unknown>([
  "python",
  "javascript",
  "typescript",
  "bash",
  "r",
  "java"
] satisfies Array<Language>)
export const isLanguage = (value: unknown): value is Language => languages.has(value)
const features = new Set<unknown>([
  "timeout",
  "interrupt",
  "contexts",
  "lifetime",
  "commands",
  "files"
] satisfies Array<Feature>)
const isFeature = (value: unknown): value is Feature => features.has(value)

const listOf = <A>(value: unknown, is: (one: unknown) => one is A): ReadonlyArray<A> | undefined =>
  Array.isArray(value) ? value.filter(is) : undefined

/** `{ id }`, also as `sandbox_id`, and inside `sandbox` or `data`. */
export const made = (value: unknown): Result.Result<Made, string> => {
  const whole = fields(value) ?? {}
  const from = fields(first(whole, "sandbox", "data")) ?? whole
  const id = first(from, "id", "sandbox_id", "sandboxId", "sandboxID")
  if ((typeof id !== "string" && typeof id !== "number") || id === "") return Result.fail("it has no `id`")
  return Result.succeed({
    id: String(id),
    languages: listOf(own(from, "languages"), isLanguage),
    features: listOf(own(from, "features"), isFeature),
    engine: text(fields(own(from, "isolation")) ?? {}, "engine")
  })
}

/** `{ id }` of a context. */
export const madeContext = (value: unknown): Result.Result<string, string> => Result.map(made(value), ({ id }) => id)

/** What a run answered; what the server does not say is absent. */
export type Ran = { readonly [Name in keyof Execution]?: Execution[Name] | undefined }

const known = ["stdout", "stderr", "output", "results", "result", "error", "exit_code", "exitCode", "outcome"]

/** The object that tells of a run, out of its envelopes. */
const bare = (from: Fields): Fields => {
  const inner = fields(first(from, "data", "output", "execution_result", "execution", "result"))
  const isWhole = inner === undefined || Object.keys(from).some((key) => key === "stdout" || key === "stderr")
  return isWhole || !Object.keys(inner).some((key) => known.includes(key) || key === "execution_result")
    ? from
    : bare(inner)
}

const isOutcome = (value: unknown): value is Execution["outcome"] =>
  value === "ok" || value === "failed" || value === "timedOut" || value === "interrupted"

/** `{ stdout | output, stderr, results | result, error, exitCode | exit_code, … }`, or a text, which is its output. */
export const ran = (value: unknown): Result.Result<Ran, string> => {
  if (typeof value === "string") return Result.succeed({ stdout: value })
  const whole = fields(value)
  const from = whole === undefined ? {} : bare(whole)
  if (!known.some((key) => Object.hasOwn(from, key))) return Result.fail("it has nothing of a run in it")
  return Result.succeed(read(from))
}

/** The last line of a streamed run: what it does not say, the lines before it have said. */
export const ranAtEnd = (line: Fields): Ran => read(fields(own(line, "execution")) ?? line)

const read = (from: Fields): Ran => {
  const outcome = own(from, "outcome")
  const state = first(from, "sessionState", "session_state")
  return {
    outcome: isOutcome(outcome) ? outcome : undefined,
    stdout: words(first(from, "stdout", "output")),
    stderr: words(own(from, "stderr")),
    results: bundlesOf(from),
    error: errorOf(own(from, "error")),
    exitCode: number(first(from, "exitCode", "exit_code")),
    durationMillis: durationOf(from),
    memoryBytes: number(first(from, "memoryBytes", "memory_bytes", "memory_usage")),
    sessionState: state === "lost" || state === "kept" ? state : undefined,
    truncated: flag(from, "truncated")
  }
}

/** `execution_time` is in seconds, as Python's clients have it. */
const durationOf = (from: Fields): number | undefined => {
  const millis = number(first(from, "durationMillis", "duration_ms", "durationMs", "execution_time_ms"))
  if (millis !== undefined) return millis
  const seconds = number(first(from, "execution_time", "duration"))
  return seconds === undefined ? undefined : seconds * 1000
}

const last = (text: string): string => text.trimEnd().split("\n").at(-1) ?? ""

/** `{ name, value, traceback }`, or a traceback whose last line is `Name: value`. */
const errorOf = (value: unknown): ExecutionError | undefined => {
  if (typeof value === "string") {
    if (value === "") return undefined
    const [, name = "Error", said = last(value)] = /^([A-Za-z_][\w.]*)(?:: (.*))?$/.exec(last(value)) ?? []
    return { name, value: said, traceback: value }
  }
  const from = fields(value)
  if (from === undefined) return undefined
  const traceback = first(from, "traceback", "stack")
  return {
    name: words(first(from, "name", "type", "code")) ?? "Error",
    value: words(first(from, "value", "message")) ?? "",
    traceback: Array.isArray(traceback) ? traceback.map(String).join("\n") : (words(traceback) ?? "")
  }
}

/** The short names of MIME types that interpreters use. */
const types: Readonly<Record<string, string>> = {
  text: "text/plain",
  html: "text/html",
  markdown: "text/markdown",
  svg: "image/svg+xml",
  png: "image/png",
  jpeg: "image/jpeg",
  latex: "text/latex",
  json: "application/json"
}

const bundlesOf = (from: Fields): ReadonlyArray<MimeBundle> | undefined => {
  const results = own(from, "results")
  if (Array.isArray(results)) return results.flatMap(bundlesIn)
  const single = own(from, "result")
  return single === undefined || single === null ? undefined : bundlesIn(single)
}

/** A value as a bundle; one that has none of the types is shown as JSON. */
export const bundlesIn = (value: unknown): ReadonlyArray<MimeBundle> => {
  if (typeof value === "string") return [{ "text/plain": value }]
  const shown = Object.entries(fields(value) ?? {}).flatMap(([key, one]): ReadonlyArray<readonly [string, string]> => {
    const type = key.includes("/") ? key : Object.hasOwn(types, key) ? types[key] : undefined
    if (type === undefined || one === null || one === undefined) return []
    return [[type, typeof one === "string" ? one : JSON.stringify(one)]]
  })
  if (shown.length > 0) return [Object.fromEntries(shown)]
  return value === null || value === undefined ? [] : [{ "text/plain": JSON.stringify(value) }]
}

/** A run with all that it needs. */
export const executionOf = (
  { error, ...ran }: Ran,
  said: Pick<Execution, "stdout" | "stderr" | "results">,
  durationMillis: number
): Execution => {
  const isFailed = error !== undefined || (ran.exitCode !== undefined && ran.exitCode !== 0)
  const outcome = ran.outcome ?? (isFailed ? "failed" : "ok")
  return {
    outcome,
    stdout: ran.stdout ?? said.stdout,
    stderr: ran.stderr ?? said.stderr,
    results: ran.results ?? said.results,
    ...(error === undefined ? undefined : { error }),
    exitCode: ran.exitCode ?? exitCodes[outcome],
    durationMillis: ran.durationMillis ?? durationMillis,
    memoryBytes: ran.memoryBytes ?? 0,
    sessionState: ran.sessionState ?? "kept",
    truncated: ran.truncated ?? false
  }
}

const exitCodes = { ok: 0, failed: 1, timedOut: 124, interrupted: 130 }

/** `[{ name, path, type, bytes }]`, also inside `files` or `entries`. */
export const listed =
  (folder: string) =>
  (value: unknown): Result.Result<ReadonlyArray<FileInfo>, string> => {
    const list = Array.isArray(value) ? value : first(fields(value) ?? {}, "files", "entries")
    if (!Array.isArray(list)) return Result.fail("it is no list of files")
    return Result.succeed(
      list.flatMap((one) => infoOf(fields(one) ?? {}, folder)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    )
  }

const infoOf = (from: Fields, folder: string): ReadonlyArray<FileInfo> => {
  const path = text(from, "path")
  const name = text(from, "name") ?? path?.split("/").findLast((part) => part !== "")
  if (name === undefined) return []
  const kind = first(from, "type", "kind")
  const isFolder =
    kind === "folder" || kind === "dir" || kind === "directory" || first(from, "is_dir", "isDir", "isFolder") === true
  const type = isFolder ? "folder" : kind === undefined || kind === "file" ? "file" : "other"
  const bytes = isFolder ? 0 : (number(first(from, "bytes", "size")) ?? 0)
  return [{ name, path: path ?? `${folder.replace(/\/$/, "")}/${name}`, type, bytes }]
}
