/** The contract on the system's interpreters: Python in `npm test`, the other languages in the soak. */
import { ProcessSandbox } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.ts"
import { isWhole } from "../soak/scale.ts"
import { hasWall } from "./processWall.ts"

if (hasWall)
  contract(
    "ProcessSandbox",
    ProcessSandbox.layer({ maxSessions: 4 }),
    isWhole ? ["python", "javascript", "typescript", "bash"] : ["python"],
    { shell: true }
  )
