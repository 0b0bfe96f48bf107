/** An OpenAI-compatible server, whatever it is asked: how a request shows who asks, and what the environment says. */
import type { ConfigError } from "effect/Config"
import type * as Effect from "effect/Effect"
import * as Environment from "./environment.ts"
import * as Server from "./server.ts"

export interface Access extends Server.Access {
  readonly scheme?: "Bearer" | "Api-Key" | undefined
}

export const make = (access: Access): Server.Server => {
  const { baseUrl = "https://api.openai.com/v1", provider = "openai", scheme = "Bearer" } = access
  const prefix = `${scheme} `
  return Server.make(access, {
    provider,
    baseUrl: baseUrl.replace(/\/+$/, ""),
    keyHeader: "authorization",
    keyPrefix: prefix,
    tokenPrefix: prefix
  })
}

/** The key and the address from `OPENAI_API_KEY` and `OPENAI_BASE_URL`, where the options do not say them. */
export const configured = <A extends Access>(access: A): Effect.Effect<A, ConfigError> =>
  Environment.access(access, {
    keys: ["OPENAI_API_KEY"],
    address: "OPENAI_BASE_URL",
    origin: "https://api.openai.com"
  })
