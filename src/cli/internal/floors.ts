/** The layers that commands stand on. `main.ts` puts the real ones in; a test may put others. */
import type { HttpClient } from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { Llm } from "../../llm/Llm.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { Sandbox } from "../../sandbox/Sandbox.ts"

/** Whose protocol a model speaks; `"openai"` is any compatible server. */
export const providers = ["openai", "deepseek", "anthropic", "gemini", "evolution"] as const
export type Provider = (typeof providers)[number]

/** Where a model is, and the key that opens it. */
export interface Endpoint {
  readonly provider: Provider
  readonly baseUrl: string
  readonly model: string
  /** Absent for a server that wants none. With a `secret` it is the key's id. */
  readonly apiKey: Redacted.Redacted<string> | undefined
  /** The other half of a key that comes as a pair. */
  readonly secret: Redacted.Redacted<string> | undefined
}

/** What a person may set about the sandbox. */
export interface SandboxFlags {
  /** The embedded one, or the system's interpreters. Default: `"local"`. */
  readonly engine?: "local" | "process" | undefined
  /** Whether a wall of the operating system is used, wanted, or left out. */
  readonly os?: "auto" | "require" | "off" | undefined
  /** Of the guest, for each language. */
  readonly memoryBytes?: number | undefined
  readonly fileBytes?: number | undefined
}

export interface Floors {
  /** Without a policy: one request is one request. */
  readonly http: Layer.Layer<HttpClient>
  readonly llm: (endpoint: Endpoint, policy: Policy.Options) => Layer.Layer<Llm>
  /** `sessions`: how many are open at once. */
  readonly sandbox: (sessions: number, flags?: SandboxFlags) => Layer.Layer<Sandbox>
}
