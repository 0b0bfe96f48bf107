/** Failures of E2B as the one error of the service. */
import type { Failed } from "../../http/internal/exchange.ts"
import { SandboxError } from "../SandboxError.ts"
import type * as Reason from "./e2bReason.ts"

const provider = "e2b"

export const refuse = (reason: SandboxError["reason"]): SandboxError => new SandboxError({ provider, reason })

export const toError = ({ attempts, reason }: Failed<Reason.Own>): SandboxError =>
  new SandboxError({ provider, reason, attempts })
