/** The Gemini API, or Vertex AI, whatever it is asked: how a request shows who asks, and what the environment says. */
import type { ConfigError } from "effect/Config"
import type * as Effect from "effect/Effect"
import * as Environment from "./environment.ts"
import * as Server from "./server.ts"

const origin = "https://generativelanguage.googleapis.com"

/** An origin alone gets the version of the API. */
const baseUrlOf = ({ baseUrl = origin }: Server.Access): string => {
  const base = baseUrl.replace(/\/+$/, "")
  return /^https?:\/\/[^/?#]+$/i.test(base) ? `${base}/v1beta` : base
}

export const make = (access: Server.Access): Server.Server =>
  Server.make(access, {
    provider: access.provider ?? "gemini",
    baseUrl: baseUrlOf(access),
    keyHeader: "x-goog-api-key"
  })

/** The key and the address from `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, and `GEMINI_BASE_URL`. */
export const configured = <A extends Server.Access>(access: A): Effect.Effect<A, ConfigError> =>
  Environment.access(access, { keys: ["GEMINI_API_KEY", "GOOGLE_API_KEY"], address: "GEMINI_BASE_URL", origin })
