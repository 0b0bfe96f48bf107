/**
 * The contract of every Sandbox through the promise client, over the embedded sandbox; and of that one without the
 * operating system's wall. Only in the soak.
 */
import { createClient } from "holdfast/promise"
import { LocalSandbox } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.ts"
import { asSandbox } from "../promise/asSandbox.ts"

contract(
  "the promise client",
  asSandbox(() => createClient({ sandbox: { provider: "local", maxSessions: 4 } })),
  ["javascript", "python"]
)

contract("LocalSandbox without a wall", LocalSandbox.layer({ os: "off", maxSessions: 4 }), [
  "python",
  "javascript",
  "typescript"
])
