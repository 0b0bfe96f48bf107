/** The contract of every Sandbox over HTTP, the embedded one behind it: in the soak in all of its languages. */
import { LocalSandbox } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.ts"
import { overRest } from "../contract/restSandbox.ts"
import { sample } from "./scale.ts"

contract(
  "RestSandbox over LocalSandbox",
  overRest(LocalSandbox.layer({ maxSessions: 4 })),
  sample(["javascript", "python"])
)
