/**
 * The secrets of one recording: learnt from where they are sent, and replaced wherever they come back.
 *
 * They are searched as bytes, so the edge between two frames hides none; also as JSON and a URL would write them.
 */
import type * as Cookies from "effect/http/Cookies"
import type * as Headers from "effect/http/Headers"
import * as UrlParams from "effect/http/UrlParams"
import * as Redacted from "effect/Redacted"
import * as SecretHeaders from "../../http/SecretHeaders.ts"
import { redacted, type RequestRecord } from "./cassetteFormat.ts"
import { type Asked, parseJson, recordOf } from "./cassetteRequest.ts"

/** What has a secret for its value. */
export interface Names {
  readonly headers: ReadonlyArray<string | RegExp>
  readonly parameters: ReadonlyArray<string | RegExp>
  /** Also names of JSON fields, at any depth. */
  readonly own: ReadonlyArray<string>
}

/** An answer as it was heard. */
export interface Heard {
  readonly headers: Headers.Headers
  readonly cookies: Cookies.Cookies
  readonly chunks: ReadonlyArray<Uint8Array>
}

/** A shorter value is part of ordinary words, and no service gives out keys so short. */
const minCharacters = 6

/** The fields that a service for tokens reads and answers with (RFC 6749, and a key pair's own). */
const tokenFields = "access_token api_key apiKey client_secret id_token password refresh_token secret".split(" ")

const latin1 = (text: string): string => Buffer.from(text, "utf8").toString("latin1")

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)

export class Secrets {
  private readonly values = new Set<string>()
  private readonly own: ReadonlySet<string>

  constructor(own: ReadonlyArray<string>, values: ReadonlyArray<string | Redacted.Redacted<string>>) {
    this.own = new Set(own.map((name) => name.toLowerCase()))
    // What is named by hand is searched for however short it is.
    for (const value of values) this.add(Redacted.isRedacted(value) ? Redacted.value(value) : value, 1)
  }

  private add(value: string, least = minCharacters): void {
    const trimmed = value.trim()
    if (trimmed.length < least) return
    this.values.add(trimmed)
    this.values.add(JSON.stringify(trimmed).slice(1, -1))
    this.values.add(encodeURIComponent(trimmed.toWellFormed()))
  }

  /** Learns what a request carries: its headers, its URL, the fields of its body. */
  learn({ bytes, contentType, request, url }: Asked, names: Names): void {
    for (const [name, value] of Object.entries(request.headers)) {
      if (isSecretHeader(name, names)) this.addHeader(name, value)
    }
    this.add(decode(url.username))
    this.add(decode(url.password))
    for (const [name, value] of url.searchParams) if (isSecretParameter(name, names)) this.add(value)
    for (const [, value] of request.urlParams.params) if (Redacted.isRedacted(value)) this.add(Redacted.value(value))
    if (bytes === undefined) return
    const text = Buffer.from(bytes).toString("utf8")
    if (contentType?.includes("urlencoded") === true) {
      for (const [name, value] of new URLSearchParams(text)) if (isSecretParameter(name, names)) this.add(value)
    } else this.learnJson(text)
  }

  /** Learns what an answer hands out: cookies, other headers, tokens in a JSON body. */
  learnAnswer(answer: Heard, names: Names): void {
    const { chunks, cookies, headers } = answer
    for (const [name, value] of Object.entries(headers)) {
      if (name !== "set-cookie" && isSecretHeader(name, names)) this.addHeader(name, value)
    }
    for (const { valueEncoded } of Object.values(cookies.cookies)) this.add(valueEncoded)
    if (headers["content-type"]?.includes("json") === true) this.learnJson(Buffer.concat(chunks).toString("utf8"))
  }

  private learnJson(text: string): void {
    const json = parseJson(text)
    if (typeof json !== "object" || json === null) return
    for (const [name, value] of Object.entries(json)) {
      if (typeof value === "string" && tokenFields.includes(name)) this.add(value)
    }
    if (this.own.size > 0) this.learnOwn(json)
  }

  private learnOwn(json: unknown): void {
    if (typeof json !== "object" || json === null) return
    for (const [name, value] of Object.entries(json)) {
      if (typeof value === "string" && this.own.has(name.toLowerCase())) this.add(value, 1)
      else this.learnOwn(value)
    }
  }

  private addHeader(name: string, value: string): void {
    this.add(value)
    if (name.endsWith("cookie")) {
      for (const pair of value.split(";")) this.add(pair.slice(pair.indexOf("=") + 1))
      return
    }
    // What follows `Bearer` or `Basic` is the secret; of a Basic one, the password too.
    const [, scheme, rest] = /^\s*(\S+)\s+(.+)$/.exec(value) ?? []
    if (rest === undefined) return
    this.add(rest)
    if (scheme?.toLowerCase() !== "basic") return
    const pair = Buffer.from(rest, "base64").toString("utf8")
    this.add(pair)
    this.add(pair.slice(pair.indexOf(":") + 1))
  }

  /** Finds the secrets known by now, longest first; `undefined` where there are none. */
  private patternOf(encode: (value: string) => string): RegExp | undefined {
    if (this.values.size === 0) return undefined
    const longestFirst = [...this.values].sort((a, b) => b.length - a.length)
    return new RegExp(longestFirst.map((value) => escaped(encode(value))).join("|"), "g")
  }

  /** Replaces the secrets known by now. Make it when the recording is over. */
  redactor(): Redactor {
    const text = this.patternOf((value) => value)
    const bytes = this.patternOf(latin1)
    return {
      text: (value) => (text === undefined ? value : value.replaceAll(text, redacted)),
      frames: (frames) => (bytes === undefined ? frames : redactFrames(frames, bytes))
    }
  }
}

/** Replaces secrets. */
export interface Redactor {
  readonly text: (value: string) => string
  /** As many frames as there were; one that was the middle of a secret is empty. */
  readonly frames: (frames: ReadonlyArray<Uint8Array>) => ReadonlyArray<Uint8Array>
}

/** A replacement stands where its secret began; the rest of it is missing from the frames that follow. */
const redactFrames = (frames: ReadonlyArray<Uint8Array>, pattern: RegExp): ReadonlyArray<Uint8Array> => {
  const whole = Buffer.concat(frames).toString("latin1")
  const found = Array.from(whole.matchAll(pattern), ({ 0: { length }, index }) => ({ from: index, to: index + length }))
  if (found.length === 0) return frames
  let start = 0
  let next = 0
  let skipTo = 0
  return frames.map((frame) => {
    const end = start + frame.length
    let kept = ""
    let at = Math.max(start, skipTo)
    for (let secret = found[next]; secret !== undefined && secret.from < end; secret = found[++next]) {
      kept += whole.slice(at, secret.from) + redacted
      at = secret.to
      skipTo = secret.to
    }
    if (at < end) kept += whole.slice(at, end)
    start = end
    return Buffer.from(kept, "latin1")
  })
}

const isSecretHeader = (name: string, names: Names): boolean =>
  SecretHeaders.isSecret(name, [...names.headers, ...names.own])

const isSecretParameter = (name: string, names: Names): boolean =>
  UrlParams.isRedactedName(name, [...SecretHeaders.parameters, ...names.parameters, ...names.own])

const decode = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** The record of a request without its secrets. */
export const redactRequest = (
  asked: Asked,
  keptHeaders: ReadonlyArray<string>,
  names: Names,
  redactor: Redactor
): RequestRecord => {
  const bytes = asked.bytes === undefined ? undefined : redactor.frames([asked.bytes])[0]
  const record = recordOf({ ...asked, bytes }, keptHeaders)
  const url = new URL(record.url)
  for (const name of new Set(url.searchParams.keys())) {
    if (isSecretParameter(name, names)) url.searchParams.set(name, redacted)
  }
  const headers = Object.entries(record.headers).map(([name, value]) => [
    name,
    isSecretHeader(name, names) ? redacted : redactor.text(value)
  ])
  return { ...record, url: redactor.text(url.href), headers: Object.fromEntries(headers) }
}

/** What a response says of its connection and of its way here, which a replay has none of. */
const framing = "alt-svc connection content-encoding content-length date keep-alive nel report-to transfer-encoding"
  .concat(" strict-transport-security trailer upgrade via")
  .split(" ")

/** Whether a header belongs to the connection and not to the answer. */
export const isFraming = (name: string): boolean => framing.includes(name)

/** The headers of an answer as they are kept: cookies keep their names and lose their values. */
export const answerHeaders = (
  headers: Headers.Headers,
  setCookie: ReadonlyArray<string>,
  names: Names,
  redactor: Redactor
): Record<string, string | ReadonlyArray<string>> => {
  const kept = Object.entries(headers)
    .filter(([name]) => !isFraming(name) && name !== "set-cookie")
    .map(([name, value]) => [name, isSecretHeader(name, names) ? redacted : redactor.text(value)] as const)
  const cookies = setCookie.map((line) => redactor.text(line.replace(/^([^=;]*)=[^;]*/, `$1=${redacted}`)))
  return { ...Object.fromEntries(kept), ...(cookies.length === 0 ? undefined : { "set-cookie": cookies }) }
}
