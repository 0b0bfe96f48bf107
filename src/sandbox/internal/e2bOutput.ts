/** What a run or a command has said so far: kept up to a limit, told as it comes. */
import type { ExecutionError, ExecutionEvent, MimeBundle } from "../Sandbox.ts"
import * as Fields from "./fields.ts"

export interface Limits {
  /** stdout and stderr together, in bytes. */
  readonly outputBytes: number
  /** All results, in bytes. */
  readonly resultBytes: number
}

type Tell = (event: Exclude<ExecutionEvent, { readonly type: "done" }>) => void

const utf8 = new TextEncoder()

/** The head of a text that has no more bytes than this, and no half of a character. */
const headOf = (text: string, bytes: number): string => {
  const { read } = utf8.encodeInto(text, new Uint8Array(bytes))
  return text.slice(0, read)
}

/** Text by stream, the head of all of it. */
export class Output {
  stdout = ""
  stderr = ""
  isCut = false
  private leftBytes: number

  constructor(limitBytes: number) {
    this.leftBytes = limitBytes
  }

  /** The part of it that is within the limit. */
  add(stream: "stdout" | "stderr", text: string): string {
    const bytes = Buffer.byteLength(text)
    const kept = bytes <= this.leftBytes ? text : headOf(text, this.leftBytes)
    this.isCut ||= kept.length < text.length
    this.leftBytes -= Math.min(bytes, this.leftBytes)
    this[stream] += kept
    return kept
  }
}

/** What the interpreter calls its MIME types (code-interpreter 7df1757, `template/server/api/models/result.py`). */
const mimes: Readonly<Record<string, string>> = {
  text: "text/plain",
  html: "text/html",
  markdown: "text/markdown",
  svg: "image/svg+xml",
  png: "image/png",
  jpeg: "image/jpeg",
  pdf: "application/pdf",
  latex: "text/latex",
  json: "application/json",
  javascript: "application/javascript",
  data: "e2b/data",
  chart: "e2b/chart"
}

const notResults = new Set(["type", "extra", "is_main_result"])

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** A result of the wire as a bundle. What is not known keeps its name. */
const bundleOf = (line: Fields.Fields): MimeBundle => {
  const bundle: Record<string, string> = { "text/plain": "" }
  const extra = Fields.fields(Fields.own(line, "extra")) ?? {}
  for (const [name, value] of [...Object.entries(line), ...Object.entries(extra)]) {
    if (notResults.has(name) || value === null || value === undefined) continue
    bundle[Object.hasOwn(mimes, name) ? (mimes[name] ?? name) : name] = textOf(value)
  }
  return bundle
}

/** What one line of an execution means. */
export type Meaning = "goesOn" | "ended" | "unreadable"

/** An execution by its lines. */
export class Transcript {
  readonly output: Output
  readonly results: Array<MimeBundle> = []
  error: ExecutionError | undefined
  isCut = false
  private resultBytes: number
  private readonly tell: Tell

  constructor(limits: Limits, tell: Tell) {
    this.output = new Output(limits.outputBytes)
    this.resultBytes = limits.resultBytes
    this.tell = tell
  }

  get truncated(): boolean {
    return this.isCut || this.output.isCut
  }

  /** Takes a line; one of a type that is not known is passed over. */
  line(text: string): Meaning {
    const line = Fields.parse(text)
    if (line === undefined) return "unreadable"
    const type = Fields.text(line, "type")
    switch (type) {
      case "stdout":
      case "stderr": {
        const kept = this.output.add(type, Fields.text(line, "text") ?? "")
        if (kept !== "") this.tell({ type, text: kept })
        return "goesOn"
      }
      case "result":
        this.result(bundleOf(line), text.length)
        return "goesOn"
      case "error":
        this.error ??= {
          name: Fields.text(line, "name") ?? "Error",
          value: Fields.text(line, "value") ?? "",
          traceback: Fields.text(line, "traceback") ?? ""
        }
        return "goesOn"
      case "end_of_execution":
        return "ended"
    }
    return "goesOn"
  }

  private result(result: MimeBundle, bytes: number): void {
    this.resultBytes -= bytes
    if (this.resultBytes < 0) {
      this.isCut = true
      return
    }
    this.results.push(result)
    this.tell({ type: "result", result })
  }
}
