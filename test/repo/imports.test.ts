/** What an import loads, in a fresh process: the time that `npm run bench import` measures is the time of its modules. */
import { execFile } from "node:child_process"
import { resolve } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

const root = resolve(import.meta.dirname, "../..")

/** Imports `name` and prints the URL of each module that this loads. */
const program = (name: string): string => `
import { registerHooks } from "node:module"
const loaded = []
registerHooks({
  load: (url, context, next) => {
    loaded.push(url)
    return next(url, context)
  }
})
await import(${JSON.stringify(name)})
process.stdout.write(JSON.stringify(loaded))
`

const modulesOf = async (name: string): Promise<ReadonlyArray<string>> => {
  const args = ["--conditions=holdfast-source", "--input-type=module", "--eval", program(name)]
  // Without the options of the test runner around.
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env: { NODE_OPTIONS: "" } })
  return JSON.parse(stdout)
}

/** What some programs need and others do not: loaded by the call that needs it, never by an import. */
const late = {
  Schema: /\/effect\/dist\/Schema\.js$/,
  CircuitBreaker: /\/effect\/dist\/persistence\/CircuitBreaker\.js$/,
  undici: /\/node_modules\/undici\//,
  pyodide: /\/node_modules\/pyodide\//,
  quickjs: /\/node_modules\/(?:quickjs-emscripten-core|@jitl)\//
}

const lateOf = async (name: string): Promise<ReadonlyArray<string>> => {
  const loaded = await modulesOf(name)
  return Object.entries(late).flatMap(([what, path]) => (loaded.some((url) => path.test(url)) ? [what] : []))
}

// A process that strips the types of all of src, beside others.
describe("an import", { timeout: 30_000 }, () => {
  for (const name of ["holdfast/policy", "holdfast/promise", "holdfast/openai"]) {
    it(`of ${name} loads nothing that only some programs need`, async () => {
      expect(await lateOf(name)).toEqual([])
    })
  }

  it("that loads more is noticed", async () => {
    expect(await lateOf("effect/persistence/CircuitBreaker")).toEqual(["Schema", "CircuitBreaker"])
    expect(await lateOf("./node_modules/undici/index.js")).toEqual(["undici"])
  })
})
