import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { assert, describe, it } from "@effect/vitest"
import {
  allowed,
  constant,
  exits,
  install,
  replaced,
  verdict,
  type Import
} from "../../src/sandbox/internal/imports.ts"

const wasm = readFileSync(createRequire(import.meta.url).resolve("pyodide/pyodide.asm.wasm"))
const imports = WebAssembly.Module.imports(new WebAssembly.Module(wasm))
const functions = imports.filter((item) => item.kind === "function").map((item) => item.name)

const pinned = {
  allowed: 60,
  replaced: 2,
  constant: 34,
  exits: 4,
  denied: 168
}

describe("imports", () => {
  it("are those of the Pyodide that the lock was written for", () => {
    assert.strictEqual(functions.length, 268)
    // Everything else is the address of a function, resolved from the same guarded object.
    assert.deepStrictEqual(
      [...new Set(imports.filter((item) => item.kind !== "function").map((item) => `${item.module} ${item.kind}`))],
      ["GOT.func global"]
    )
    const counts = { allowed: 0, replaced: 0, constant: 0, exits: 0, denied: 0 }
    for (const name of functions) counts[verdict(name)] += 1
    assert.deepStrictEqual(counts, pinned)
  })

  it("names no import that Pyodide does not have", () => {
    const known = new Set(functions)
    const tables = [...allowed, ...replaced, ...constant.keys(), ...exits]
    assert.deepStrictEqual(
      tables.filter((name) => !known.has(name)),
      []
    )
    assert.strictEqual(new Set(tables).size, tables.length)
  })

  it("allows nothing that speaks of JavaScript, sockets, libraries or the terminal", () => {
    const suspicious =
      /js$|^js|Js|proxy|hiwire|socket|connect|send|recv|dl(open|sym)|asm_const|console|system|ioctl|mknod|pipe|gl[A-Z]/i
    const known = [
      "_PyEM_TrampolineCall_JS",
      "_gmtime_js",
      "_localtime_js",
      "_mktime_js",
      "_mmap_js",
      "_msync_js",
      "_munmap_js",
      "_timegm_js",
      "_tzset_js"
    ]
    assert.deepStrictEqual(
      [...allowed].filter((name) => suspicious.test(name)),
      known
    )
  })

  it("denies what it does not know, once closed, and in place", () => {
    const calls: Array<string> = []
    const stop = (name: string): never => {
      calls.push(name)
      throw new Error(name)
    }
    const original: Import = () => 7
    const object: Record<string, unknown> = {
      fd_read: original,
      brand_new: original,
      __syscall_socket: original,
      exit: original,
      table: 1,
      memory: new WebAssembly.Memory({ initial: 1 }),
      suspending: { call: original }
    }
    const lock = install(object, {}, { deny: stop, exit: stop })
    const call = (name: string) => {
      const f = object[name]
      return typeof f === "function" ? f() : undefined
    }
    for (const name of ["fd_read", "brand_new", "__syscall_socket", "exit"]) assert.strictEqual(call(name), 7)
    lock.close()
    assert.strictEqual(call("fd_read"), 7)
    assert.strictEqual(call("__syscall_socket"), -5)
    assert.throws(() => call("brand_new"), "brand_new")
    assert.throws(() => call("exit"), "exit")
    // What is no function, and not passive either, calls something: it is refused as a whole.
    assert.throws(() => call("suspending"), "suspending")
    assert.deepStrictEqual(calls, ["brand_new", "exit", "suspending"])
    assert.strictEqual(object["table"], 1)
    assert.instanceOf(object["memory"], WebAssembly.Memory)
  })
})
