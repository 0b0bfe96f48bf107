/**
 * Files and bytes for a JavaScript program: `fs`, `path`, `Buffer`, `TextEncoder`. Written in that language and run
 * inside the engine; it reaches the guest's files by `host.file` and nothing else of the machine.
 */

/** Source of a function of `host` that returns the modules. */
export const source = `(function (host) {
"use strict"
const { parse, stringify } = JSON
const NUL = "\\u0000"
// The engine's strings cross to the host up to their first NUL: each part by itself, then.
const join = (parts) => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length + 1, -1))
  let at = 0
  for (const part of parts) { bytes.set(part, at); at += part.length + 1 }
  return bytes
}
const encode = (text, encoding = "utf8") => join(String(text).split(NUL).map((part) => new Uint8Array(host.encode(part, encoding))))
const exact = (bytes) => bytes.buffer.byteLength === bytes.byteLength ? bytes.buffer : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
const decode = (bytes, encoding = "utf8") => {
  if (encoding === "hex" || encoding.startsWith("base64") || !bytes.includes(0)) return host.decode(exact(bytes), encoding)
  let text = "", from = 0
  for (let at = bytes.indexOf(0); ; from = at + 1, at = bytes.indexOf(0, from)) {
    text += host.decode(exact(bytes.subarray(from, at < 0 ? bytes.length : at)), encoding)
    if (at < 0) return text
    text += NUL
  }
}
const bytesOf = (data, encoding) => {
  if (typeof data === "string") return encode(data, encoding)
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  throw Object.assign(new TypeError("the data must be a string, a Buffer or a typed array"), { code: "ERR_INVALID_ARG_TYPE" })
}

class Buffer extends Uint8Array {
  static from(value, encoding) {
    if (Array.isArray(value) || (typeof value === "object" && !(value instanceof ArrayBuffer) && !ArrayBuffer.isView(value))) return new Buffer(value)
    const bytes = bytesOf(value, encoding)
    return value instanceof ArrayBuffer ? new Buffer(value) : new Buffer(exact(bytes).slice(0))
  }
  static alloc(size, fill = 0) { return new Buffer(size).fill(fill) }
  static concat(list) {
    const all = new Buffer(list.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of list) { all.set(part, at); at += part.length }
    return all
  }
  static isBuffer(value) { return value instanceof Buffer }
  static byteLength(text) { return bytesOf(text).length }
  toString(encoding = "utf8", start = 0, end = this.length) { return decode(this.subarray(start, end), String(encoding).toLowerCase()) }
  toJSON() { return { type: "Buffer", data: Array.from(this) } }
  equals(other) { return this.length === other.length && this.every((byte, at) => byte === other[at]) }
}
const toBuffer = (buffer) => new Buffer(buffer)
globalThis.Buffer = Buffer
globalThis.TextEncoder = class TextEncoder { get encoding() { return "utf-8" } encode(text = "") { return encode(text) } }
globalThis.TextDecoder = class TextDecoder { get encoding() { return "utf-8" } decode(data = new Uint8Array(0)) { return decode(bytesOf(data)) } }
globalThis.btoa = (text) => Buffer.from(String(text), "latin1").toString("base64")
globalThis.atob = (text) => Buffer.from(String(text), "base64").toString("latin1")

// Of the host: bytes, "=" and JSON, or "!" and JSON of what went wrong.
const ask = (op, path, extra) => {
  const answer = host.file(op, String(path), extra)
  if (typeof answer !== "string") return answer
  const value = answer.length > 1 ? parse(answer.slice(1)) : undefined
  if (answer[0] === "=") return value
  throw Object.assign(new Error(value.code + ": " + value.message), { code: value.code, path: String(path), syscall: op })
}
const encodingOf = (options) => typeof options === "string" ? options : options?.encoding ?? undefined
const stats = ({ type, bytes, modifiedMillis }) => ({
  size: bytes, mtimeMs: modifiedMillis, mtime: new Date(modifiedMillis),
  isFile: () => type === "file", isDirectory: () => type === "folder", isSymbolicLink: () => false
})
const entry = (path) => ({ name, type }) => ({ name, parentPath: String(path), isFile: () => type === "file", isDirectory: () => type === "folder", isSymbolicLink: () => false })
const info = (path, options) => {
  if (options?.throwIfNoEntry === false && !ask("exists", path)) return undefined
  return stats(ask("info", path))
}
const below = (path, base = "") => ask("list", path).flatMap((item) =>
  item.type === "folder" ? [base + item.name, ...below(path + "/" + item.name, base + item.name + "/")] : [base + item.name])
const put = (op) => (path, data, options) => { ask(options?.flag === "a" ? "append" : op, path, exact(bytesOf(typeof data === "number" ? String(data) : data, encodingOf(options))).slice(0)) }
const fs = {
  readFileSync: (path, options) => {
    const bytes = toBuffer(ask("read", path)), encoding = encodingOf(options)
    return encoding === undefined ? bytes : bytes.toString(encoding)
  },
  writeFileSync: put("create"),
  appendFileSync: put("append"),
  existsSync: (path) => ask("exists", path),
  accessSync: (path) => { ask("info", path) },
  statSync: info, lstatSync: info,
  readdirSync: (path, options) => options?.recursive ? below(String(path)) : ask("list", path).map(options?.withFileTypes ? entry(path) : (item) => item.name),
  mkdirSync: (path, options) => { ask(options?.recursive ? "folder" : "makeFolder", path) },
  rmSync: (path, options) => {
    if (options?.force && !ask("exists", path)) return
    if (!options?.recursive && ask("info", path).type === "folder") throw Object.assign(new Error("ERR_FS_EISDIR: '" + path + "' is a directory; use { recursive: true }"), { code: "ERR_FS_EISDIR" })
    ask("remove", path)
  },
  unlinkSync: (path) => {
    if (ask("info", path).type === "folder") throw Object.assign(new Error("EPERM: operation not permitted, unlink '" + path + "'"), { code: "EPERM" })
    ask("remove", path)
  },
  rmdirSync: (path) => {
    if (ask("list", path).length > 0) throw Object.assign(new Error("ENOTEMPTY: directory not empty, rmdir '" + path + "'"), { code: "ENOTEMPTY" })
    ask("remove", path)
  },
  renameSync: (from, to) => { ask("rename", from, String(to)) },
  copyFileSync: (from, to) => { ask("create", to, ask("read", from)) }
}
fs.promises = {}
for (const name of Object.keys(fs)) if (name.endsWith("Sync") && name !== "existsSync") fs.promises[name.slice(0, -4)] = async (...args) => fs[name](...args)

const clean = (text) => {
  const rooted = text.startsWith("/"), parts = []
  for (const part of text.split("/")) {
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop()
    else if (part !== "" && part !== "." && !(part === ".." && rooted)) parts.push(part)
  }
  return (rooted ? "/" : "") + parts.join("/") || "."
}
const path = {
  sep: "/", delimiter: ":",
  isAbsolute: (text) => text.startsWith("/"),
  normalize: clean,
  join: (...parts) => clean(parts.filter((part) => part !== "").join("/")),
  resolve: (...parts) => clean([ask("cwd", ""), ...parts].reduce((base, part) => part.startsWith("/") ? part : part === "" ? base : base + "/" + part)),
  dirname: (text) => { const at = text.replace(/\\/+$/, "").lastIndexOf("/"); return at < 0 ? "." : at === 0 ? "/" : text.slice(0, at) },
  basename: (text, suffix = "") => { const name = text.replace(/\\/+$/, "").split("/").at(-1); return suffix !== "" && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name },
  extname: (text) => { const name = path.basename(text), at = name.lastIndexOf("."); return at <= 0 ? "" : name.slice(at) },
  relative: (from, to) => {
    const a = path.resolve(from).split("/").filter(Boolean), b = path.resolve(to).split("/").filter(Boolean)
    let same = 0
    while (same < a.length && a[same] === b[same]) same++
    return [...a.slice(same).map(() => ".."), ...b.slice(same)].join("/")
  },
  parse: (text) => {
    const base = path.basename(text), ext = path.extname(text), dir = path.dirname(text)
    return { root: text.startsWith("/") ? "/" : "", dir: dir === "." ? "" : dir, base, ext, name: ext === "" ? base : base.slice(0, -ext.length) }
  }
}
path.posix = path

return {
  out: (stream, text) => { host.out(stream, text.includes(NUL) ? exact(encode(text)) : text) },
  cwd: () => ask("cwd", ""),
  chdir: (to) => { ask("chdir", to) },
  modules: { fs, "fs/promises": fs.promises, path, "path/posix": path, buffer: { Buffer } }
}
})`
