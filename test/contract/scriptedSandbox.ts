/** The contract of every Sandbox, by the scripted one. */
import { TestSandbox } from "holdfast/testing"
import { act, commands } from "../contract/sandboxScript.ts"

export const scriptedSandbox = TestSandbox.layer(act, { languages: ["python"], commands })
