/** Where E2B's services are, and what they are shown (e2b 2.51, `connectionConfig.ts`, 2026-11). */
import type * as Redacted from "effect/Redacted"
import type { Address } from "../../http/internal/ask.ts"

/** Who calls, and where to. */
export interface Place {
  readonly apiKey: Redacted.Redacted<string>
  readonly domain?: string | undefined
  readonly apiUrl?: string | undefined
  readonly sandboxUrl?: string | undefined
}

/** A sandbox as its traffic is routed to it. */
export interface Route {
  readonly id: string
  /** Of its own, where the control plane names one. */
  readonly domain: string | undefined
  readonly accessToken: Redacted.Redacted<string> | undefined
  readonly trafficToken: Redacted.Redacted<string> | undefined
}

export const defaultDomain = "e2b.app"

const envdPort = 49983
const interpreterPort = 49999

/** Domains with one host for all sandboxes, which reads the routing headers. */
const shared = new Set(["e2b.app", "e2b.dev", "e2b.pro", "e2b-staging.dev"])

const bare = (url: string): string => url.replace(/\/+$/, "")

// The proxy answers browsers by pages of HTML, so it is told who asks.
const agent = { "user-agent": "holdfast" }

/** The control plane. */
export const api = ({ apiKey, apiUrl, domain = defaultDomain }: Place): Address => ({
  baseUrl: bare(apiUrl ?? `https://api.${domain}`),
  headers: { ...agent, "x-api-key": apiKey }
})

const routed = ({ accessToken, id }: Route, port: number) => ({
  ...agent,
  "e2b-sandbox-id": id,
  "e2b-sandbox-port": String(port),
  "x-access-token": accessToken
})

const domainOf = (place: Place, route: Route): string => route.domain ?? place.domain ?? defaultDomain

const host = (place: Place, route: Route, port: number): string =>
  `https://${port}-${route.id}.${domainOf(place, route)}`

/** Files and commands of a sandbox. */
export const envd = (place: Place, route: Route): Address => {
  const domain = domainOf(place, route)
  const own = shared.has(domain) ? `https://sandbox.${domain}` : host(place, route, envdPort)
  return { baseUrl: bare(place.sandboxUrl ?? own), headers: routed(route, envdPort) }
}

/** The code interpreter of a sandbox. */
export const interpreter = (place: Place, route: Route): Address => ({
  baseUrl: bare(place.sandboxUrl ?? host(place, route, interpreterPort)),
  headers: { ...routed(route, interpreterPort), "e2b-traffic-access-token": route.trafficToken }
})
