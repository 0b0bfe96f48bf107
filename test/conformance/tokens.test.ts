/** Tokens that have expired, over a real IAM and a real model: one refresh for all who wait, and one repeat for each. */
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { EvolutionLlm, Llm } from "holdfast/llm"
import type { Attempt } from "holdfast/policy"
import { createClient } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { policyOf, row, useServer } from "./rows.ts"

useServer()

/** A client that lives for many calls. */
interface Asking {
  readonly ask: () => Promise<{ readonly text: string; readonly attempts: ReadonlyArray<Attempt.Attempt> }>
  readonly close: () => Promise<unknown>
}

interface Pair {
  readonly keyId: string
  readonly secret: string
  readonly baseUrl: string
  readonly tokenUrl: string
}

const openLlm = async ({ secret, ...rest }: Pair): Promise<Asking> => {
  const layer = EvolutionLlm.layer({ ...rest, secret: Redacted.make(secret), policy: policyOf() })
  const scope = Scope.makeUnsafe()
  const built = Layer.buildWithScope(Layer.provide(layer, UndiciHttpClient.layer()), scope)
  const llm = Context.get(await Effect.runPromise(built), Llm.Llm)
  return {
    ask: () => Effect.runPromise(llm.generateText(Llm.toRequest("hi"))),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const openClient = async (pair: Pair): Promise<Asking> => {
  const client = createClient({ llm: { provider: "evolution", ...pair }, retry: { base: 1 } })
  return { ask: () => client.generateText("hi"), close: () => client.close() }
}

const doors = [
  { name: "Llm", open: openLlm },
  { name: "createClient", open: openClient }
]

describe.each(doors)("through the $name", ({ open }) => {
  const opened = async (id: string) => {
    const { stats, url } = row(id)
    const tokenUrl = url.replace(/v1$/, "token")
    return { stats, client: await open({ keyId: "key-id", secret: "key-secret", baseUrl: url, tokenUrl }) }
  }

  it("token-expired: twenty callers get one new token, and are answered after one repeat each", async () => {
    const { client, stats } = await opened("token-expired")
    expect(await stats()).toMatchObject({ requests: 0, tokens: 0 })
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.ask()))
    expect(answers.every(({ attempts, text }) => text === "hello world" && attempts.length === 1)).toBe(true)
    const seen = await stats()
    // The first token and the one that replaced it.
    expect(seen).toMatchObject({ requests: 40, tokens: 2 })
    const sent = (token: string): number => seen.secrets.filter((secret) => secret.endsWith(`Bearer ${token}`)).length
    expect([sent("token-1"), sent("token-2")]).toEqual([20, 20])
    await client.close()
  })

  it("token-expired: a second refusal is Unauthorized, and repeated no more", async () => {
    const { client, stats } = await opened("unauthorized")
    await expect(client.ask()).rejects.toMatchObject({ code: "Unauthorized", status: 401, phase: "rejected" })
    expect(await stats()).toMatchObject({ requests: 2, tokens: 2 })
    await client.close()
  })
})
