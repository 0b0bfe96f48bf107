/** What E2B's services refuse with, as a reason. */
import type { ReasonOf, Refusal } from "../../http/internal/refusal.ts"
import { oneLine } from "../../http/internal/oneLine.ts"
import { FileFailed, SessionLost, Unavailable } from "../SandboxError.ts"
import { failureOf } from "./connect.ts"
import * as Fields from "./fields.ts"

/** Reasons of E2B beside those of every service. */
export type Own = Unavailable | SessionLost | FileFailed

const gone = (description: string): SessionLost => new SessionLost({ why: "gone", description: oneLine(description) })

/** What the control plane's codes say of trying again; a code that is not here is read by its status. */
const placements = new Map([
  ["sandbox_capacity_unavailable", true],
  ["sandbox_placement_timeout", true],
  ["sandbox_create_failed", true],
  ["sandbox_no_compatible_node", false]
])

/** Of the control plane. */
export const ofApi: ReasonOf<Own> = ({ ask, description, json, status }) => {
  const fields = Fields.fields(json)
  const code = fields === undefined ? undefined : Fields.text(fields, "error_code")
  const transient = code === undefined ? undefined : placements.get(code)
  if (transient !== undefined) return new Unavailable({ description: `${description} (${code})`, transient })
  const isOfOne = /^(?:\/v2)?\/sandboxes\/./.test(ask.path)
  return status === 404 && isOfOne ? gone(description) : undefined
}

/** The proxy's own refusals. A page for browsers says the same as the JSON, in its title. */
const ofProxy = ({ description, json, status, text }: Refusal): Own | undefined => {
  const fields = Fields.fields(json) ?? {}
  const isProxy = Fields.text(fields, "sandboxId") !== undefined
  if (status === 409 && isProxy) return new Unavailable({ description, transient: true })
  if (status !== 502) return undefined
  if (isProxy && Fields.own(fields, "port") === undefined) return gone(description)
  // Not listening yet, or never: a template without a code interpreter.
  if (isProxy)
    return new Unavailable({ description: `${description}: ${Fields.integer(fields, "port")}`, transient: true })
  if (/<title>\s*Sandbox Not Found/i.test(text)) return gone("the sandbox was not found")
  if (/<title>[^<]*Port/i.test(text))
    return new Unavailable({ description: "the sandbox's port is closed", transient: true })
  return undefined
}

/** Of the code interpreter. */
export const ofInterpreter: ReasonOf<Own> = ofProxy

type Why = FileFailed["why"]

/** envd says in words what the system said. */
const whyOf = (message: string): Why =>
  /permission denied|operation not permitted/i.test(message)
    ? "denied"
    : /no space|not enough/i.test(message)
      ? "noSpace"
      : /path is a file|not a directory/i.test(message)
        ? "notFolder"
        : /is a directory|file exists/i.test(message)
          ? "isFolder"
          : /no such file|does not exist|not found/i.test(message)
            ? "notFound"
            : "other"

const filesByStatus: Readonly<Record<number, Why | undefined>> = { 404: "notFound", 507: "noSpace" }
const filesByCode = new Map<string, Why>([
  ["not_found", "notFound"],
  ["permission_denied", "denied"]
])

/** Of envd, asked for a file: which one, the caller knows. */
export const ofFile =
  (path: string): ReasonOf<Own> =>
  (refusal) => {
    const { description, json, status } = refusal
    const proxy = ofProxy(refusal)
    if (proxy !== undefined) return proxy
    if (status === 401 || status === 403 || status === 429) return undefined
    const failure = failureOf(json)
    const why = failure === undefined ? filesByStatus[status] : filesByCode.get(failure.code)
    const isEnvd = failure !== undefined || Fields.fields(json) !== undefined
    if (why !== undefined) return new FileFailed({ path, why, description })
    return isEnvd && status <= 500 ? new FileFailed({ path, why: whyOf(description), description }) : undefined
  }

/** Of envd, asked for a command. */
export const ofCommand: ReasonOf<Own> = ofProxy
