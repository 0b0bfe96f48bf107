/**
 * What a JavaScript program expects beside the language, written in that language and run inside the engine: console,
 * timers, `process`, `require("assert")`. It reaches the host by the functions of `host` and by nothing else.
 */

/** Source of a function of `host`, and of what `preludeFiles` returned, that returns what the host keeps. */
export const source = `(function (host, files) {
"use strict"
const { result, now, exit } = host, { out, cwd, chdir } = files
const { stringify } = JSON
const TEXT_LIMIT = 64 * 1024, JSON_LIMIT = 1024 * 1024
const cut = (text) => text.length <= TEXT_LIMIT ? text : text.slice(0, TEXT_LIMIT) + "... (" + (text.length - TEXT_LIMIT) + " more)"

const key = (k) => typeof k === "symbol" ? "[" + String(k) + "]" : /^[A-Za-z_$][\\w$]*$/.test(k) ? k : quote(k)
const quote = (text) => text.includes("'") ? stringify(text) : "'" + stringify(text).slice(1, -1).replaceAll('\\\\"', '"') + "'"
const wrap = (open, parts, close) => {
  if (parts.length === 0) return open + close
  const line = parts.join(", ")
  return line.length <= 72 && !line.includes("\\n") ? open + " " + line + " " + close
    : open + "\\n  " + parts.join(",\\n").replaceAll("\\n", "\\n  ") + "\\n" + close
}
const errorText = (error) => {
  const head = String(error), stack = typeof error.stack === "string" ? error.stack : ""
  const frames = stack.split("\\n").filter((line) => line.includes("<cell ")).join("\\n")
  return frames === "" ? head : head + "\\n" + frames
}
const inspect = (value, depth = 0, seen = []) => {
  if (typeof value === "string") return depth === 0 ? value : quote(value)
  if (typeof value === "bigint") return value + "n"
  if (Object.is(value, -0)) return "-0"
  if (typeof value === "function") {
    const kind = /^class\\b/.test(Function.prototype.toString.call(value)) ? "class" : "Function"
    return kind === "class" ? "[class " + (value.name || "(anonymous)") + "]" : "[Function" + (value.name ? ": " + value.name : " (anonymous)") + "]"
  }
  if (typeof value !== "object" || value === null) return String(value)
  if (seen.includes(value)) return "[Circular]"
  if (value instanceof Error) return depth === 0 ? errorText(value) : "[" + String(value) + "]"
  if (value instanceof Date) return isNaN(value) ? "Invalid Date" : value.toISOString()
  if (value instanceof RegExp) return String(value)
  if (value instanceof Promise) return "Promise {}"
  if (depth > 4) return Array.isArray(value) ? "[Array]" : "[Object]"
  const path = [...seen, value], show = (v) => inspect(v, depth + 1, path)
  const list = (items, size) => {
    const parts = []
    for (const item of items) { if (parts.length === 100) { parts.push("... " + (size - 100) + " more items"); break } parts.push(item) }
    return parts
  }
  const name = value.constructor?.name
  if (Array.isArray(value)) return wrap("[", list(value.map(show), value.length), "]")
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return wrap(name + "(" + value.length + ") [", list(Array.from(value, String), value.length), "]")
  if (value instanceof Map) return wrap("Map(" + value.size + ") {", list([...value].map(([k, v]) => show(k) + " => " + show(v)), value.size), "}")
  if (value instanceof Set) return wrap("Set(" + value.size + ") {", list([...value].map(show), value.size), "}")
  const keys = Reflect.ownKeys(value).filter((k) => Object.prototype.propertyIsEnumerable.call(value, k))
  const parts = list(keys.map((k) => key(k) + ": " + show(value[k])), keys.length)
  const prefix = Object.getPrototypeOf(value) === null ? "[Object: null prototype] " : name && name !== "Object" ? name + " " : ""
  return wrap(prefix + "{", parts, "}")
}
const format = (args) => {
  const rest = [...args]
  let head = ""
  if (typeof rest[0] === "string" && rest.length > 1) {
    const pattern = rest.shift()
    head = pattern.replace(/%[sdifjoOc%]/g, (code) => {
      if (code === "%%") return "%"
      if (rest.length === 0) return code
      const value = rest.shift()
      if (code === "%c") return ""
      if (code === "%j") return stringify(value)
      if (code === "%d" || code === "%f") return String(Number(value))
      if (code === "%i") return String(Math.trunc(Number(value)))
      return inspect(value, code === "%s" ? 0 : 1)
    })
    if (rest.length > 0) head += " "
  }
  return head + rest.map((v) => inspect(v)).join(" ")
}

const counts = new Map(), clocks = new Map()
let indent = ""
const print = (stream) => (...args) => out(stream, indent + format(args).replaceAll("\\n", "\\n" + indent) + "\\n")
const log = print("stdout"), warn = print("stderr")
globalThis.console = {
  log, info: log, debug: log, dir: (v) => log(v), table: (v) => log(v), warn, error: warn,
  trace: (...args) => warn("Trace:", ...args),
  assert: (ok, ...args) => { if (!ok) warn("Assertion failed" + (args.length > 0 ? ":" : ""), ...args) },
  group: (...args) => { if (args.length > 0) log(...args); indent += "  " },
  groupEnd: () => { indent = indent.slice(2) },
  count: (name = "default") => { const n = (counts.get(name) ?? 0) + 1; counts.set(name, n); log(name + ": " + n) },
  time: (name = "default") => { clocks.set(name, now()) },
  timeEnd: (name = "default") => { log(name + ": " + (now() - (clocks.get(name) ?? now())).toFixed(3) + "ms"); clocks.delete(name) }
}
globalThis.performance = { now: () => now(), timeOrigin: 0 }

const timers = new Map()
let lastTimer = 0
const timer = (every) => (f, ms = 0, ...args) => {
  const wait = Math.max(every ? 1 : 0, Number(ms) || 0)
  timers.set(++lastTimer, { at: now() + wait, every: every ? wait : -1, run: () => f(...args) })
  return lastTimer
}
const clear = (id) => { timers.delete(id) }
globalThis.setTimeout = timer(false)
globalThis.setInterval = timer(true)
globalThis.setImmediate = (f, ...args) => globalThis.setTimeout(f, 0, ...args)
globalThis.clearTimeout = globalThis.clearInterval = globalThis.clearImmediate = clear
globalThis.queueMicrotask ??= (f) => { Promise.resolve().then(f) }

const bundle = (value) => {
  const forms = {}
  if (typeof value !== "function" && typeof value !== "symbol" && typeof value !== "bigint") {
    try { const text = stringify(value); if (text !== undefined && text.length <= JSON_LIMIT) forms["application/json"] = text } catch {}
  }
  try { forms["text/plain"] = cut(inspect(value, typeof value === "string" ? 1 : 0)) } catch { forms["text/plain"] = "<value cannot be shown>" }
  return forms
}
globalThis.display = (...values) => { for (const value of values) result(stringify(bundle(value))) }
globalThis.structuredClone ??= (value) => JSON.parse(stringify(value))

globalThis.process = {
  argv: [], env: {}, platform: "sandbox", version: "", versions: {}, cwd, chdir, exit: (code = 0) => exit(Number(code) & 255),
  stdout: { write: (text) => { out("stdout", String(text)); return true } },
  stderr: { write: (text) => { out("stderr", String(text)); return true } },
  nextTick: (f, ...args) => { Promise.resolve().then(() => f(...args)) },
  hrtime: Object.assign(() => { const t = now(); return [Math.floor(t / 1e3), Math.round(t % 1e3 * 1e6)] }, { bigint: () => BigInt(Math.round(now() * 1e6)) }),
  memoryUsage: () => ({ heapUsed: 0 })
}

class AssertionError extends Error {
  constructor(message, actual, expected) { super(message); this.name = "AssertionError"; this.code = "ERR_ASSERTION"; this.actual = actual; this.expected = expected }
}
const same = (a, b, strict, seen) => {
  if (Object.is(a, b) || (!strict && a == b)) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (strict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  if (seen.some(([x, y]) => x === a && y === b)) return true
  const path = [...seen, [a, b]]
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime()
  if (a instanceof RegExp && b instanceof RegExp) return String(a) === String(b)
  if (a instanceof Error && b instanceof Error && (a.message !== b.message || a.name !== b.name)) return false
  if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every((x) => b.has(x) || [...b].some((y) => same(x, y, strict, path)))
  if (a instanceof Map && b instanceof Map) return a.size === b.size && [...a].every(([k, v]) => b.has(k) && same(v, b.get(k), strict, path))
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && same(a[k], b[k], strict, path))
}
const check = (holds, words) => (actual, expected, message) => {
  if (holds(actual, expected)) return
  throw message instanceof Error ? message : new AssertionError(message ?? inspect(actual, 1) + " " + words + " " + inspect(expected, 1), actual, expected)
}
const ok = (value, message) => { if (!value) throw message instanceof Error ? message : new AssertionError(message ?? "The expression evaluated to a falsy value", value, true) }
const matches = (error, expected) => expected === undefined || typeof expected === "string" ? true
  : expected instanceof RegExp ? expected.test(String(error))
  : typeof expected === "function" ? (expected.prototype !== undefined && error instanceof expected) || (expected.prototype === undefined && expected(error) === true)
  : Object.keys(expected).every((k) => same(error[k], expected[k], true, []))
const caught = (error, expected) => { if (!matches(error, expected)) throw error }
const missing = () => { throw new AssertionError("Missing expected exception.") }
const assert = Object.assign((value, message) => ok(value, message), {
  AssertionError, ok,
  equal: check((a, b) => a == b || (a !== a && b !== b), "=="), notEqual: check((a, b) => a != b, "!="),
  strictEqual: check(Object.is, "==="), notStrictEqual: check((a, b) => !Object.is(a, b), "!=="),
  deepEqual: check((a, b) => same(a, b, false, []), "deep-equals"), notDeepEqual: check((a, b) => !same(a, b, false, []), "is not"),
  deepStrictEqual: check((a, b) => same(a, b, true, []), "deep-equals"), notDeepStrictEqual: check((a, b) => !same(a, b, true, []), "is not"),
  match: check((a, b) => b.test(a), "matches"), doesNotMatch: check((a, b) => !b.test(a), "does not match"),
  fail: (message = "Failed") => { throw message instanceof Error ? message : new AssertionError(message) },
  throws: (f, expected) => { let threw = true; try { f(); threw = false } catch (error) { caught(error, expected) } if (!threw) missing() },
  doesNotThrow: (f) => { f() },
  rejects: async (p, expected) => { let threw = true; try { await (typeof p === "function" ? p() : p); threw = false } catch (error) { caught(error, expected) } if (!threw) missing() }
})
assert.strict = assert
const modules = { ...files.modules, assert, "assert/strict": assert, process: globalThis.process }
globalThis.require = (name) => {
  const known = String(name).replace(/^node:/, "")
  if (Object.hasOwn(modules, known)) return modules[known]
  throw new Error("Cannot find module '" + name + "': this sandbox has no modules but " + Object.keys(modules).sort().join(", "))
}

return {
  begin: (env) => { globalThis.process.env = { ...JSON.parse(env) }; indent = "" },
  show: (value) => { if (value !== undefined) globalThis.display === undefined ? 0 : result(stringify(bundle(value))) },
  explain: (error) => {
    let name = "Error", value = "", traceback = ""
    try {
      if (error instanceof Error) {
        name = String(error.name)
        value = String(error.message)
        traceback = errorText(error)
      } else {
        name = typeof error
        value = inspect(error)
        traceback = "Uncaught " + value
      }
    } catch {}
    return stringify({ name: cut(name), value: cut(value), traceback: cut(traceback) })
  },
  // Milliseconds until the next timer, -1 when there is none. Intervals alone do not keep a program alive.
  wait: (waiting) => {
    let at = Infinity, alive = waiting
    for (const t of timers.values()) { at = Math.min(at, t.at); if (t.every < 0) alive = true }
    return at === Infinity || !alive ? -1 : Math.max(0, at - now())
  },
  fire: () => {
    let next
    for (const [id, t] of timers) if (next === undefined || t.at < next[1].at) next = [id, t]
    if (next === undefined || next[1].at > now()) return
    if (next[1].every < 0) timers.delete(next[0])
    else next[1].at = now() + next[1].every
    next[1].run()
  },
  reset: () => { timers.clear() }
}
})`
