/** Programs that try to get out, each in a session of its own: all of them in the soak, a tenth in `npm test`. */
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { LocalSandbox } from "holdfast/sandbox"
import { contained, host, Snippet, type Host } from "../sandbox/hostile.ts"
import { sample } from "./scale.ts"

class TheHost extends Context.Service<TheHost, Host>()("test/sandbox/Host") {}

const decode = Schema.decodeUnknownSync(Schema.Array(Snippet))
const read = (path: string) => decode(JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")))

const suite = (name: string, snippets: ReadonlyArray<Snippet>) =>
  layer(Layer.mergeAll(LocalSandbox.layer({ maxSessions: 3, pool: { python: 0 } }), Layer.effect(TheHost, host)), {
    excludeTestServices: true,
    timeout: "60 seconds"
  })(name, (it) => {
    for (const snippet of sample(snippets))
      it.effect(`contains ${snippet.id}: ${snippet.mustNotHappen}`, () =>
        Effect.flatMap(TheHost, (host) => contained(snippet, host))
      )
  })

suite("LocalSandbox against our own snippets", read("../fixtures/sandbox/hostile-own.json"))

const corpus = "../../../shared/data/hostile.json"
if (existsSync(fileURLToPath(new URL(corpus, import.meta.url)))) suite("LocalSandbox against the corpus", read(corpus))
else
  describe("LocalSandbox against the corpus", () => {
    it("needs ../shared/data/hostile.json", ({ skip }) => {
      const reason = "../shared/data/hostile.json is not here: the hostile corpus was NOT tried on this sandbox"
      if (process.env["CI"] !== undefined) throw new Error(reason)
      console.warn(reason)
      skip(reason)
    })
  })
