/** Takes what was shown to a server out of what the server says: some repeat the key in their errors. */
import * as Redacted from "effect/Redacted"
import * as SecretHeaders from "../../http/SecretHeaders.ts"
import type { TokenAuth } from "../TokenAuth.ts"

/** Removes known secrets from a text. */
export type Redact = (text: string) => string

interface Shown {
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly auth?: TokenAuth | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Credentials of one's own, such as Azure's `api-key`, without the word before them. */
const secretsIn = (headers: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries(headers).flatMap(([name, value]) =>
    SecretHeaders.isSecret(name) ? [value.replace(/^(Bearer|Basic|Api-Key) /i, "")] : []
  )

export const make = ({ apiKey, auth, headers = {} }: Shown): Redact => {
  const key = apiKey === undefined ? "" : Redacted.value(apiKey)
  const secrets = [key, ...secretsIn(headers)].filter((secret) => secret !== "")
  return (text) => {
    const safe = secrets.reduce((said, secret) => said.replaceAll(secret, "<redacted>"), text)
    return auth?.redact?.(safe) ?? safe
  }
}

/** The same for one request with headers of its own. */
export const over = (redact: Redact, headers: Shown["headers"]): Redact => {
  if (headers === undefined || secretsIn(headers).length === 0) return redact
  const own = make({ headers })
  return (text) => redact(own(text))
}
