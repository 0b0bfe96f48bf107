/** E2B's control plane: what is asked and what is read of the answers (e2b 2.51, `sandboxApi.ts`, 2026-11). */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Ask } from "../../http/internal/ask.ts"
import { Exchange, type Failed } from "../../http/internal/exchange.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { SandboxError } from "../SandboxError.ts"
import * as Address from "./e2bAddress.ts"
import { toError } from "./e2bError.ts"
import * as Reason from "./e2bReason.ts"
import * as Fields from "./fields.ts"

/** A sandbox as the control plane gives it to who made it or connects to it. */
export interface Made extends Address.Route {
  readonly envdVersion: string
}

/** A sandbox as it is listed. */
export interface Listed {
  readonly id: string
  readonly template: string
  readonly state: "running" | "paused"
  readonly metadata: Readonly<Record<string, string>>
  /** ISO 8601. */
  readonly startedAt: string
  /** ISO 8601: when its lifetime ends. */
  readonly endAt: string
}

export interface CreateRequest {
  readonly template: string
  readonly lifetime: Duration.Duration
  readonly metadata: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string>>
  readonly allowInternetAccess: boolean | undefined
}

/** What calls to one place share. */
export interface Access {
  readonly place: Address.Place
  readonly held: Policy.Held
  readonly http: HttpClient.HttpClient
}

/** Whole seconds, never less than was asked for. */
export const seconds = (lifetime: Duration.Duration): number => Math.max(1, Math.ceil(Duration.toSeconds(lifetime)))

const secret = (value: string | undefined) => (value === undefined || value === "" ? undefined : Redacted.make(value))

const made = (value: unknown): Result.Result<Made, string> => {
  const fields = Fields.fields(value) ?? {}
  const id = Fields.text(fields, "sandboxID")
  if (id === undefined || id === "") return Result.fail("the sandbox has no sandboxID")
  return Result.succeed({
    id,
    domain: Fields.text(fields, "domain") || undefined,
    accessToken: secret(Fields.text(fields, "envdAccessToken")),
    trafficToken: secret(Fields.text(fields, "trafficAccessToken")),
    envdVersion: Fields.text(fields, "envdVersion") ?? ""
  })
}

const listed = (value: unknown): ReadonlyArray<Listed> => {
  const fields = Fields.fields(value)
  const id = fields === undefined ? undefined : Fields.text(fields, "sandboxID")
  if (fields === undefined || id === undefined) return []
  return [
    {
      id,
      template: Fields.text(fields, "alias") ?? Fields.text(fields, "templateID") ?? "",
      state: Fields.text(fields, "state") === "paused" ? "paused" : "running",
      metadata: Fields.strings(Fields.own(fields, "metadata")) ?? {},
      startedAt: Fields.text(fields, "startedAt") ?? "",
      endAt: Fields.text(fields, "endAt") ?? ""
    }
  ]
}

const page = (value: unknown): Result.Result<ReadonlyArray<Listed>, string> =>
  Array.isArray(value) ? Result.succeed(value.flatMap(listed)) : Result.fail("the list is no array")

/** A filter is a query in itself: names and values are encoded, then all of it, and once more as a parameter. */
const filterOf = (metadata: Readonly<Record<string, string>>): string | undefined => {
  const pairs = Object.entries(metadata).map(([name, value]) => [encodeURIComponent(name), encodeURIComponent(value)])
  return pairs.length === 0 ? undefined : new URLSearchParams(pairs).toString()
}

/** Nobody has more sandboxes than this; a server that says "more" for ever is not believed. */
const maxPages = 100

export class Api {
  readonly access: Access
  /** Whose slots its calls take. */
  readonly key: string
  private readonly exchange: Exchange<Reason.Own>

  constructor(access: Access) {
    this.access = access
    const address = Address.api(access.place)
    this.key = `e2b ${address.baseUrl}`
    const { held, http } = access
    this.exchange = new Exchange({ ...address, provider: "e2b", key: this.key, held, http, reasonOf: Reason.ofApi })
  }

  /** Sent again where the first may have been done: what it made besides is found by its tag. */
  create(request: CreateRequest): Effect.Effect<{ readonly made: Made; readonly sends: number }, Failed<Reason.Own>> {
    const { allowInternetAccess, env, lifetime, metadata, template } = request
    const json = {
      templateID: template,
      timeout: seconds(lifetime),
      metadata,
      ...(Object.keys(env).length === 0 ? undefined : { envVars: env }),
      ...(allowInternetAccess === undefined ? undefined : { allow_internet_access: allowInternetAccess })
    }
    return Effect.suspend(() => {
      // Not the attempts: a hedge that lost is written down later.
      let sends = 0
      const onSend = (): void => void sends++
      const ask: Ask = { method: "POST", path: "/v2/sandboxes", json, safety: "idempotent", keyed: true, onSend }
      return Effect.map(this.exchange.json(ask, made), ({ value }) => ({ made: value, sends }))
    })
  }

  /** Resumes it where it is paused. Its lifetime becomes no shorter. */
  connect(id: string, lifetime: Duration.Duration): Effect.Effect<Made, SandboxError> {
    const json = { timeout: seconds(lifetime) }
    const ask: Ask = {
      method: "POST",
      path: `/v2/sandboxes/${encodeURIComponent(id)}/connect`,
      json,
      safety: "idempotent"
    }
    return this.told(Effect.map(this.exchange.json(ask, made), ({ value }) => value))
  }

  /** Whether there was one to kill. */
  kill(id: string): Effect.Effect<boolean, SandboxError> {
    return this.told(
      Effect.map(this.exchange.text(this.askOf("DELETE", id, "", [404])), ({ status }) => status !== 404)
    )
  }

  /** Whether it was running. */
  pause(id: string): Effect.Effect<boolean, SandboxError> {
    const ask = { ...this.askOf("POST", id, "/pause", [409]), json: {}, safety: "idempotent" as const }
    return this.told(Effect.map(this.exchange.text(ask), ({ status }) => status !== 409))
  }

  /** Sets the lifetime, counted from now. */
  setTimeout(id: string, lifetime: Duration.Duration): Effect.Effect<void, SandboxError> {
    const json = { timeout: seconds(lifetime) }
    return this.told(
      Effect.asVoid(this.exchange.text({ ...this.askOf("POST", id, "/timeout"), json, safety: "idempotent" }))
    )
  }

  /** All that carry this metadata, paused ones too. */
  list(metadata: Readonly<Record<string, string>>): Effect.Effect<ReadonlyArray<Listed>, SandboxError> {
    const query = { metadata: filterOf(metadata), state: "running,paused", limit: 100 }
    const { exchange } = this
    const all = Effect.gen(function* () {
      const found: Array<Listed> = []
      let nextToken: string | undefined
      for (let pages = 0; pages < maxPages; pages++) {
        const answer = yield* exchange.json(
          { method: "GET", path: "/v2/sandboxes", query: { ...query, nextToken } },
          page
        )
        found.push(...answer.value)
        nextToken = answer.headers["x-next-token"] || undefined
        if (nextToken === undefined) break
      }
      return found
    })
    return this.told(all)
  }

  private askOf(method: Ask["method"], id: string, verb: string, accept?: ReadonlyArray<number>): Ask {
    return { method, path: `/sandboxes/${encodeURIComponent(id)}${verb}`, accept }
  }

  private told<A>(self: Effect.Effect<A, Failed<Reason.Own>>): Effect.Effect<A, SandboxError> {
    return Effect.mapError(self, toError)
  }
}
