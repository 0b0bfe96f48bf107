/** The contract of every Sandbox through the promise client. Over the embedded sandbox it is run by the soak. */
import { fromLayer } from "holdfast/promise/effect"
import { TestSandbox } from "holdfast/testing"
import { contract } from "../contract/Sandbox.ts"
import { act, commands } from "../contract/sandboxScript.ts"
import { asSandbox } from "./asSandbox.ts"

const scripted = TestSandbox.layer(act, { languages: ["python"], commands })

contract(
  "the promise client",
  asSandbox(() => fromLayer(scripted)),
  ["python"],
  { shell: true }
)
